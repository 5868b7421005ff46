//! The forward process on an image.
use super::{Kind, code};
use crate::data::data_error;
use std::path::Path;
use tweedie::distribution::gaussian::UnivariateNormal;
use tweedie::schedule::Schedule;
use tweedie::{Result, Rng};
use tweedie_plot::gallery::{self, NoisyImage};
use tweedie_plot::{Page, Pixels};

/// The image at a path, or a built-in one, with sides of at most `side` pixels.
pub fn picture(path: Option<&Path>, side: usize) -> Result<Pixels> {
    let Some(path) = path else { return Ok(landscape(side)) };
    let decoded = tweedie_data::picture::load(path).map_err(data_error)?;
    let (width, height) = (decoded.width() as usize, decoded.height() as usize);
    Ok(Pixels::rgb(width, height, decoded.into_raw()).shrunk(side))
}

/// The built-in image: hills under an evening sun, with smooth shades and hard edges.
fn landscape(side: usize) -> Pixels {
    let mix = |a: [f64; 3], b: [f64; 3], w: f64| [0, 1, 2].map(|c| a[c] + (b[c] - a[c]) * w.clamp(0.0, 1.0));
    let hill = |x: f64, base: f64, tall: f64, turns: f64, shift: f64| base - tall * (turns * x + shift).sin();
    // Rendered at three times the resolution and downscaled, for smooth edges.
    let fine = 3 * side;
    let color = |x: f64, y: f64| {
        let mut at = mix([30.0, 42.0, 98.0], [250.0, 176.0, 110.0], (y / 0.62).powf(1.4));
        let far = ((x - 0.68).powi(2) + (y - 0.4).powi(2)).sqrt();
        at = mix(at, [255.0, 226.0, 150.0], 0.55 * (-12.0 * (far - 0.11).max(0.0)).exp());
        if far < 0.11 {
            at = mix([255.0, 240.0, 190.0], [255.0, 205.0, 110.0], (y - 0.3) / 0.2);
        }
        let hills = [
            (hill(x, 0.60, 0.05, 7.0, 0.4), [126.0, 98.0, 138.0]),
            (hill(x, 0.72, 0.06, 5.0, 2.1), [82.0, 78.0, 122.0]),
            (hill(x, 0.86, 0.07, 4.0, 4.4), [38.0, 52.0, 84.0]),
        ];
        for (top, shade) in hills {
            if y > top {
                at = mix(shade, [20.0, 30.0, 52.0], 1.6 * (y - top));
            }
        }
        at
    };
    let unit = |i: usize| (i as f64 + 0.5) / fine as f64;
    let bytes = (0..fine * fine).flat_map(|i| color(unit(i % fine), unit(i / fine))).map(|v| v.round() as u8);
    Pixels::rgb(fine, fine, bytes.collect()).shrunk(side)
}

/// A sample of `q(x_t | x)` for an image with values in [−1, 1].
fn noised(x: &[f64], schedule: &dyn Schedule, t: f64, kind: Kind, rng: &Rng) -> Vec<f64> {
    // The same random numbers at every time, so that frames differ in t only.
    let mut rng = rng.stream("noise");
    // show forward
    let c = schedule.at(t);
    let xt: Vec<f64> = match kind {
        Kind::Gaussian => x.iter().zip(rng.normals(1, x.len())).map(|(x, eps)| c.alpha * x + c.sigma * eps).collect(),
        Kind::Uniform => {
            let (u, v) = (rng.uniforms(1, x.len()), rng.uniforms(1, x.len()));
            let level = |v: f64| (256.0 * v).floor() / 127.5 - 1.0;
            x.iter().zip(u.into_iter().zip(v)).map(|(&x, (u, v))| if u < c.alpha { x } else { level(v) }).collect()
        }
        Kind::Absorbing => {
            let u = rng.uniforms(x.len() / 3, 1);
            x.iter().enumerate().map(|(i, &x)| if u[i / 3] < c.alpha { x } else { MASK }).collect()
        }
    };
    // show
    xt
}

/// The value of a masked pixel, outside the range of colors.
const MASK: f64 = -1.3;

/// The page: noisy images at five times, and with a slider.
pub fn page(
    picture: &Pixels,
    schedule: &dyn Schedule,
    name: &str,
    kind: Kind,
    frames: usize,
    seed: u64,
) -> Result<Page> {
    let (x, rng) = (picture.values(), Rng::new(seed));
    let at = |t: f64| {
        let values = noised(&x, schedule, t, kind, &rng);
        let c = schedule.at(t);
        let label = match kind {
            Kind::Gaussian => format!("t = {t:.2}, α = {:.2}, σ = {:.2}", c.alpha, c.sigma),
            Kind::Uniform | Kind::Absorbing => format!("t = {t:.2}, survival = {:.2}", c.alpha),
        };
        // The displayed range grows with the noise.
        let reach = if kind == Kind::Gaussian { c.alpha.clamp(1e-9, 1.0) + 1.4 * c.sigma } else { 1.0 };
        NoisyImage { label, values, range: [-reach, reach] }
    };
    // If σ(1) > 1, as for variance-exploding schedules, values are shown in units of σ(1).
    let unit = schedule.at(1.0).sigma.max(1.0);
    let mut slides: Vec<NoisyImage> = gallery::grid(0.0, 1.0, frames).into_iter().map(at).collect();
    let mut strip: Vec<NoisyImage> = [0.0, 0.25, 0.5, 0.75, 1.0].map(at).into();
    for noisy in strip.iter_mut().chain(&mut slides).filter(|_| unit > 1.0) {
        noisy.values.iter_mut().for_each(|v| *v /= unit);
        noisy.range = noisy.range.map(|v| v / unit);
    }
    for noisy in &mut strip {
        noisy.label = noisy.label.split(',').next().unwrap_or_default().to_owned();
    }
    let normal = UnivariateNormal::STANDARD;
    let bell = |v: f64| normal.density(v);
    let flat = |v: f64| if v.abs() <= 1.0 { 0.5 } else { 0.0 };
    let (counted, limit): (_, Option<(&str, gallery::Function<'_>)>) = match kind {
        Kind::Gaussian => ([-4.0, 4.0], Some(("N(0, 1)", &bell))),
        Kind::Uniform => ([-1.4, 1.4], Some(("uniform", &flat))),
        // Masked pixels are not counted, so the histogram has area ᾱ.
        Kind::Absorbing => ([-1.0, 1.0], None),
    };
    let (slug, text, formula) = match kind {
        Kind::Gaussian => (
            "forward",
            "Each step scales the values down and adds Gaussian noise; the histogram of the values converges to N(0, \
             1), whatever the image. Because sums of independent Gaussians are Gaussian, any number of steps can be \
             taken at once.",
            "xₜ = αₜ x + σₜ ε,  ε ~ N(0, I)        (one step: xₜ = √(1 − β) xₛ + √β ε)",
        ),
        Kind::Uniform => (
            "forward-uniform",
            "Each value survives with probability ᾱ and is otherwise resampled uniformly from 256 levels; the \
             histogram converges to the uniform distribution.",
            "q(xₜ | x) = Cat(ᾱₜ x + (1 − ᾱₜ) π),  π uniform",
        ),
        Kind::Absorbing => (
            "forward-absorbing",
            "Each pixel survives with probability ᾱ and is otherwise masked, here black; a masked pixel stays masked. \
             The histogram of the unmasked values loses area and keeps its shape. A model predicts the masked pixels \
             from the unmasked ones.",
            "q(xₜ | x) = Cat(ᾱₜ x + (1 − ᾱₜ) π),  π(mask) = 1",
        ),
    };
    let size = [picture.width, picture.height];
    let title = format!("From data to noise under the {name} schedule");
    Ok(Page {
        slug: slug.into(),
        title: match kind {
            Kind::Gaussian => "Forward process with Gaussian noise".into(),
            Kind::Uniform => "Forward process with uniform noise".into(),
            Kind::Absorbing => "Forward process with absorbing noise".into(),
        },
        text: text.into(),
        formula: formula.into(),
        figures: vec![
            gallery::forward_strip(&title, size, &strip),
            gallery::forward_slider(size, counted, &slides, limit),
        ],
        code: code(include_str!("forward.rs"), "forward"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tweedie::schedule::FlowMatching;

    #[test]
    fn noisy_values_follow_the_forward_marginal() {
        let x: Vec<f64> = landscape(64).values();
        let n = x.len() as f64;
        let rng = Rng::new(1);
        let t = 0.3; // α = 0.7, σ = 0.3
        let gaussian = noised(&x, &FlowMatching {}, t, Kind::Gaussian, &rng);
        let rest =
            UnivariateNormal::fit(&gaussian.iter().zip(&x).map(|(z, x)| z - 0.7 * x).collect::<Vec<_>>()).unwrap();
        assert!(rest.mean().abs() < 5.0 * 0.3 / n.sqrt() && (rest.std() - 0.3).abs() < 5.0 * 0.3 / (2.0 * n).sqrt());
        let unchanged = |values: &[f64]| values.iter().zip(&x).filter(|(z, x)| z == x).count() as f64 / n;
        let slack = 5.0 * (0.21 / (n / 3.0)).sqrt();
        // One of 256 resampled values equals the old one.
        let uniform = noised(&x, &FlowMatching {}, t, Kind::Uniform, &rng);
        assert!((unchanged(&uniform) - (0.7 + 0.3 / 256.0)).abs() < slack);
        assert!(uniform.iter().all(|v| ((v + 1.0) * 127.5).fract().min(1.0 - ((v + 1.0) * 127.5).fract()) < 1e-9));
        let absorbing = noised(&x, &FlowMatching {}, t, Kind::Absorbing, &rng);
        assert!((unchanged(&absorbing) - 0.7).abs() < slack);
        assert!(absorbing.chunks(3).all(|p| p.iter().all(|v| *v == MASK) || p.iter().all(|v| *v != MASK)));
        // Masked pixels stay masked.
        let later = noised(&x, &FlowMatching {}, 0.6, Kind::Absorbing, &rng);
        assert!(absorbing.iter().zip(&later).all(|(early, late)| *early != MASK || *late == MASK));
        assert_eq!(noised(&x, &FlowMatching {}, 0.0, Kind::Gaussian, &rng), x);
    }
}
