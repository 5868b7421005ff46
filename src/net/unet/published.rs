//! Published nets.
use super::{Resampling, UNetConfig};
use crate::error::{Error, Result};

impl UNetConfig {
    /// The net of "Denoising Diffusion Probabilistic Models" for CIFAR-10: 35.7 million parameters.
    ///
    /// 128 channels times 1, 2, 2, 2, attention at 16×16 in one head of all channels, time and class added, dropout 0.1.
    ///
    /// Ho, Jain and Abbeel (2020), appendix B, <https://arxiv.org/abs/2006.11239>.
    pub fn ddpm_cifar10() -> Self {
        Self {
            attention: vec![1],
            head_channels: 256,
            groups: 32,
            scale_shift: false,
            dropout: 0.1,
            time_features: 128,
            ..Self::new(3, [128, 256, 256, 256])
        }
    }

    /// The net of "Diffusion Models Beat GANs on Image Synthesis" (ADM) for ImageNet at a side of 64 or 256, with 1000 classes and
    /// a learned variance: 296 and 554 million parameters.
    ///
    /// 192 channels times 1, 2, 3, 4 and three blocks a level, or 256 channels times 1, 1, 2, 2, 4, 4 and two; attention at 32×32,
    /// 16×16 and 8×8 in heads of 64 channels; residual blocks change the resolution.
    ///
    /// Dhariwal and Nichol (2021), table 4 and section 3, <https://arxiv.org/abs/2105.05233>.
    ///
    /// # Errors
    ///
    /// If the side is another.
    pub fn adm(side: usize) -> Result<Self> {
        let (width, times, blocks, attention, dropout) = match side {
            64 => (192, vec![1, 2, 3, 4], 3, vec![1, 2, 3], 0.1),
            256 => (256, vec![1, 1, 2, 2, 4, 4], 2, vec![3, 4, 5], 0.0),
            _ => {
                let problem = format!("must be 64 or 256, the sides of ADM's nets, got {side}");
                return Err(Error::invalid(problem).with_field("side").with_remedy("give `channels` of your own"));
            }
        };
        Ok(Self {
            blocks,
            attention,
            head_channels: 64,
            groups: 32,
            resampling: Resampling::Residual,
            num_classes: 1000,
            dropout,
            time_features: width,
            outputs: 2,
            ..Self::new(3, times.into_iter().map(|n: usize| n * width).collect::<Vec<_>>())
        })
    }
}
