//! The modules that come with tweedie.
use crate::{
    data::{PointSource, SphereSource, WaveSource},
    registry::{
        Modules,
        conditions::{ClassCondition, ImageCondition, LabelMapCondition, TokensCondition, VectorCondition},
        nets::SignalUNet,
        noises::{Absorbing, DiscretizedGaussian, GaussianConfig, Marginal, NearestNeighbor, Uniform as UniformNoise},
        schedules::{BetweenConfig, ShiftedConfig, ZeroTerminalConfig},
        spacings::{
            Aligned, AntitheticTimes, Arcsine, Even, ExponentialTimes, Grid, ImportanceTimes, IndependentTimes,
            KarrasTimes, LeadingTimes, LinspaceTimes, ListedTimes, Sections, ShiftedTimes,
        },
        transforms::TokenEmbedding,
        weights::{AbsoluteConfig, HuberConfig, PerLogSnrConfig, PseudoHuberConfig, SquaredConfig},
    },
};
use tweedie::{
    loss::{CrossEntropy, MaskedNelbo, Prior, Rounding, ScoreEntropy, Simple, Vlb, weight},
    net::{DitConfig, Edm2Config, MlpConfig, TransformerConfig, UNetConfig},
    sample::{
        AdamsBashforth, Analytic, Ancestral, Blocks, Cached, Churn, Consistency, Ddim, Deis, DormandPrince, Dpm2,
        Dpm2Ancestral, DpmSolver, DpmSolverPp, DpmSolverPp2S, DpmSolverPp2SAncestral, Etd, Euler, EulerAncestral,
        EulerMaruyama, FirstHitting, Heun, Ipndm, Lms, Ordered, Plms, Pndm, PredictorCorrector, Remasking, Restart,
        SaSolver, SdeHeun, TauLeaping, UniPc,
    },
    schedule::{
        Constant, Cosine, CosineAngle, CosineMask, Decaying, Edm, FlowMatching, Geometric, Jsd, Laplace, Linear,
        Listed, LogLinear, OrnsteinUhlenbeck, Polynomial, ScaledLinear, Sigmoid, SigmoidSignal, Sqrt,
        SubVariancePreserving, VarianceExploding, VariancePreserving,
    },
    spacing::{Beta, CosineInterpolated, LogNormal, LogitNormal, Quadratic, Uniform},
};
use tweedie_data::{Arrays, Digits, Folder, Idx, Parquet, Text};

impl Default for Modules {
    /// The built-in modules.
    fn default() -> Self {
        Self::none()
            .data::<Digits>("digits")
            .data::<Idx>("idx")
            .data::<Folder>("folder")
            .data::<Parquet>("parquet")
            .data::<Text>("text")
            .data::<PointSource>("points")
            .data::<Arrays>("npy")
            .data::<WaveSource>("waves")
            .data::<SphereSource>("spheres")
            .condition::<ClassCondition>("class")
            .condition::<VectorCondition>("vector")
            .condition::<TokensCondition>("tokens")
            .condition::<ImageCondition>("image")
            .condition::<LabelMapCondition>("label-map")
            .transform::<3, TokenEmbedding>("embedding")
            // Tables of discrete time.
            .schedule_and_survival::<Linear>("linear")
            .schedule_and_survival::<Cosine>("cosine")
            .schedule_and_survival::<Sqrt>("sqrt")
            .schedule_and_survival::<Constant>("constant")
            .schedule_and_survival::<ScaledLinear>("scaled-linear")
            .schedule_and_survival::<Sigmoid>("sigmoid")
            .schedule_and_survival::<SigmoidSignal>("sigmoid-signal")
            .schedule_and_survival::<Laplace>("laplace")
            .schedule_and_survival::<Polynomial>("polynomial")
            .schedule_and_survival::<Jsd>("jsd")
            .schedule_and_survival::<Listed>("listed")
            // Continuous time.
            .schedule_and_survival::<FlowMatching>("flow-matching")
            .schedule_and_survival::<VariancePreserving>("variance-preserving")
            .schedule::<VarianceExploding>("variance-exploding")
            .schedule::<Edm>("edm")
            .schedule_and_survival::<OrnsteinUhlenbeck>("ornstein-uhlenbeck")
            .schedule_and_survival::<CosineAngle>("cosine-angle")
            .schedule_and_survival::<SubVariancePreserving>("sub-variance-preserving")
            .schedule_and_survival::<Decaying>("decaying")
            // For categorical data.
            .survival::<LogLinear>("log-linear")
            .survival::<CosineMask>("cosine-mask")
            .survival::<Geometric>("geometric")
            // Made of other schedules.
            .schedule_of::<ZeroTerminalConfig>("zero-terminal")
            .schedule_of::<ShiftedConfig>("shifted")
            .schedule_of::<BetweenConfig>("between")
            .noise::<GaussianConfig>("gaussian")
            .noise::<Absorbing>("absorbing")
            .noise::<UniformNoise>("uniform")
            .noise::<Marginal>("marginal")
            .noise::<DiscretizedGaussian>("discretized-gaussian")
            .noise::<NearestNeighbor>("nearest-neighbor")
            .net::<4, UNetConfig>("unet")
            .net::<3, UNetConfig>("unet")
            .signal_net::<SignalUNet>("unet")
            .net::<5, UNetConfig>("unet")
            .about("U-Net for images, signals and volumes: residual blocks at several resolutions")
            .net::<4, DitConfig>("dit")
            .about("Diffusion transformer (DiT) for images, which it reads as patches")
            .net::<4, Edm2Config>("edm2")
            .about("Magnitude-preserving U-Net (EDM2) for images")
            .net::<3, TransformerConfig>("transformer")
            .about("Transformer for text and other sequences")
            .net::<2, MlpConfig>("mlp")
            .about("MLP for points")
            .loss::<Simple>("simple")
            .loss_of::<SquaredConfig>("squared")
            .loss_of::<HuberConfig>("huber")
            .loss_of::<PseudoHuberConfig>("pseudo-huber")
            .loss_of::<AbsoluteConfig>("absolute")
            .loss::<Vlb>("vlb")
            .loss::<CrossEntropy>("cross-entropy")
            .loss::<MaskedNelbo>("masked-nelbo")
            .loss::<ScoreEntropy>("score-entropy")
            .loss_for::<3, Rounding>("rounding")
            .loss::<Prior>("prior")
            .weight::<weight::Constant>("constant")
            .weight::<weight::Snr>("snr")
            .weight::<weight::TruncatedSnr>("truncated-snr")
            .weight::<weight::MinSnr>("min-snr")
            .weight::<weight::SoftMinSnr>("soft-min-snr")
            .weight::<weight::P2>("p2")
            .weight::<weight::Sigmoid>("sigmoid")
            .weight::<weight::Edm>("edm")
            .weight::<weight::InverseVariance>("inverse-variance")
            .weight::<weight::Debiased>("debiased")
            .weight_of::<PerLogSnrConfig>("per-log-snr")
            .spacing_of::<Even>("even")
            .spacing::<Uniform>("uniform")
            .spacing::<Quadratic>("quadratic")
            .spacing_of::<Arcsine>("arcsine")
            .spacing::<LogitNormal>("logit-normal")
            .spacing::<Beta>("beta")
            .spacing_of::<Grid>("grid")
            .spacing_of::<LeadingTimes>("leading")
            .spacing_of::<LinspaceTimes>("linspace")
            .spacing_of::<Sections>("sections")
            .spacing_of::<ListedTimes>("listed")
            .spacing_of::<KarrasTimes>("karras")
            .spacing_of::<ExponentialTimes>("exponential")
            .spacing_of::<ExponentialTimes>("log-snr")
            .about("Alias of `exponential`: uniform in the log-SNR")
            .spacing_of::<ExponentialTimes>("lu")
            .about("Alias of `exponential`: uniform in λ = ln(α/σ), as Lu et al. write it")
            .levels::<LogNormal>("log-normal")
            .levels::<CosineInterpolated>("cosine-interpolated")
            .levels::<Aligned>("align-your-steps")
            .spacing_of::<ShiftedTimes>("shifted")
            .spacing_of::<AntitheticTimes>("antithetic")
            .spacing_of::<IndependentTimes>("independent")
            .spacing_of::<ImportanceTimes>("importance")
            // For continuous data, deterministic.
            .sampler::<Ddim>("ddim")
            .sampler::<Euler>("euler")
            .sampler::<Heun>("heun")
            .sampler::<DpmSolverPp>("dpm-solver++")
            .sampler::<UniPc>("unipc")
            .sampler::<Deis>("deis")
            .sampler::<Dpm2>("dpm2")
            .sampler::<DpmSolver>("dpm-solver")
            .sampler::<DpmSolverPp2S>("dpm-solver++2s")
            .sampler::<Etd>("etd")
            .sampler::<Lms>("lms")
            .sampler::<AdamsBashforth>("adams-bashforth")
            .sampler::<Ipndm>("ipndm")
            .sampler::<Plms>("plms")
            .sampler::<Pndm>("pndm")
            .sampler::<DormandPrince>("dormand-prince")
            // For continuous data, stochastic; the first for categorical data too.
            .sampler::<Ancestral>("ancestral")
            .sampler::<EulerAncestral>("euler-ancestral")
            .sampler::<Dpm2Ancestral>("dpm2-ancestral")
            .sampler::<DpmSolverPp2SAncestral>("dpm-solver++2s-ancestral")
            .sampler::<Churn>("churn")
            .sampler::<EulerMaruyama>("euler-maruyama")
            .sampler::<SdeHeun>("sde-heun")
            .sampler::<SaSolver>("sa-solver")
            .sampler::<PredictorCorrector>("predictor-corrector")
            .sampler::<Restart>("restart")
            .sampler::<Consistency>("consistency")
            // For categorical data.
            .sampler::<Analytic>("analytic")
            .sampler::<FirstHitting>("first-hitting")
            .sampler::<TauLeaping>("tau-leaping")
            .sampler::<Ordered>("ordered")
            .sampler::<Remasking>("remasking")
            .sampler::<Cached>("cached")
            .sampler::<Blocks>("blocks")
    }
}
