//! The modules that come with tweedie.
use crate::{
    data::categories::{Absorbing, DiscretisedGaussian, Marginal, NearestNeighbour, Uniform as UniformNoise},
    data::{Facts, PointSource},
    registry::spacings::{
        Aligned, AntitheticTimes, Arcsine, Even, ExponentialTimes, Grid, ImportanceTimes, IndependentTimes,
        KarrasTimes, LeadingTimes, LinspaceTimes, ListedTimes, Sections, ShiftedTimes,
    },
    registry::{AnySchedule, Modules, NoiseConfig, ScheduleOf, part},
};
use serde::{Deserialize, Serialize};
use toml::Table;
use tweedie::{
    Error, Result,
    loss::{CrossEntropy, MaskedNelbo, Prior, Rounding, ScoreEntropy, Simple, Vlb},
    net::{DitConfig, MlpConfig, TransformerConfig, UNetConfig},
    noise::{Gaussian, Prediction, Variance},
    sample::{
        AdamsBashforth, Analytic, Ancestral, Blocks, Cached, Churn, Consistency, Ddim, Deis, DormandPrince, Dpm2,
        Dpm2Ancestral, DpmSolver, DpmSolverPp, DpmSolverPp2S, DpmSolverPp2SAncestral, Etd, Euler, EulerAncestral,
        EulerMaruyama, FirstHitting, Heun, Ipndm, Lms, Ordered, Plms, Pndm, PredictorCorrector, Remasking, Restart,
        SaSolver, SdeHeun, TauLeaping, UniPc,
    },
    schedule::{
        Between, Constant, Cosine, CosineAngle, CosineMask, Decaying, Edm, FlowMatching, Geometric, Jsd, Laplace,
        Linear, Listed, LogLinear, OrnsteinUhlenbeck, Polynomial, ScaledLinear, Shifted, Sigmoid, SigmoidSignal, Sqrt,
        SubVariancePreserving, VarianceExploding, VariancePreserving, ZeroTerminal,
    },
    spacing::{Beta, CosineInterpolated, LogNormal, LogitNormal, Quadratic, Uniform},
};
use tweedie_data::{Digits, Folder, Idx, Parquet, Text};

pub(crate) fn all(modules: Modules) -> Modules {
    modules
        .data::<Digits>("digits")
        .about("1,797 handwritten digits of 8 × 8 pixels, built in")
        .data::<Idx>("idx")
        .about("IDX files, plain or gzipped: MNIST and its kin")
        .data::<Folder>("folder")
        .about("a folder of PNG or JPEG images, sub-folders as classes")
        .data::<Parquet>("parquet")
        .about("Parquet files with a column of images, as Hugging Face lays them out")
        .data::<Text>("text")
        .about("lines, windows or a CSV column of text, plain or gzipped, as characters or byte pairs")
        .data::<PointSource>("points")
        .about("points in the plane: moons, rings, spirals and others")
        .embedding("embedding")
        .about("a vector for each token, learned with the net: Gaussian diffusion of text")
        .schedule_and_survival::<Linear>("linear")
        .about("DDPM's table: β rises along a line")
        .schedule_and_survival::<Cosine>("cosine")
        .about("improved DDPM's table: the signal falls as a squared cosine")
        .schedule_and_survival::<Sqrt>("sqrt")
        .about("Diffusion-LM's table: noise comes early, for embedded text")
        .schedule_and_survival::<Constant>("constant")
        .about("a table of the same β at each step")
        .schedule_and_survival::<FlowMatching>("flow-matching")
        .about("straight paths: α = 1 − t, σ = t")
        .schedule_and_survival::<OrnsteinUhlenbeck>("ornstein-uhlenbeck")
        .about("α = √(1 − t²), σ = t")
        .schedule::<VarianceExploding>("variance-exploding")
        .about("noise grows geometrically over unscaled data")
        .schedule_and_survival::<VariancePreserving>("variance-preserving")
        .about("the limit of DDPM's table for ever more steps")
        .schedule::<Edm>("edm")
        .about("EDM's noise levels over unscaled data")
        .schedule_and_survival::<ScaledLinear>("scaled-linear")
        .about("latent diffusion's table: √β rises along a line")
        .schedule_and_survival::<Sigmoid>("sigmoid")
        .about("GeoDiff's table: β rises as a sigmoid")
        .schedule_and_survival::<SigmoidSignal>("sigmoid-signal")
        .about("a table whose signal falls as a sigmoid, for large images")
        .schedule_and_survival::<Laplace>("laplace")
        .about("a table with most steps at middling noise")
        .schedule_and_survival::<Polynomial>("polynomial")
        .about("EDM for molecules' table: the signal falls as a polynomial")
        .schedule_and_survival::<Jsd>("jsd")
        .about("a table that loses 1/T of the signal at each step")
        .schedule_and_survival::<Listed>("listed")
        .about("a table of your own numbers, from a list or a file")
        .schedule_and_survival::<CosineAngle>("cosine-angle")
        .about("α = cos(πt/2), σ = sin(πt/2)")
        .schedule_and_survival::<SubVariancePreserving>("sub-variance-preserving")
        .about("variance-preserving with less noise: σ = 1 − α²")
        .schedule_and_survival::<Decaying>("decaying")
        .about("the signal decays at a constant rate")
        .survival::<LogLinear>("log-linear")
        .about("for categories: kept with probability 1 − t, as masked language models are trained")
        .survival::<CosineMask>("cosine-mask")
        .about("for categories: kept with probability 1 − cos(π(1 − t)/2)")
        .survival::<Geometric>("geometric")
        .about("for categories: lost at a rate that grows geometrically, as score entropy is trained")
        .schedule_of::<ZeroTerminalConfig>("zero-terminal")
        .about("another schedule, rescaled so that no signal is left at t = 1")
        .schedule_of::<ShiftedConfig>("shifted")
        .about("another schedule with its noise `factor` times as strong: for larger images")
        .schedule_of::<BetweenConfig>("between")
        .about("two schedules interpolated in log-SNR by the share of the second; share_end: that at t = 1, where it is another")
        .noise::<GaussianConfig>("gaussian")
        .about("x_t = α x + σ ε; `prediction` is what the net says of it")
        .noise::<Absorbing>("absorbing")
        .about("categories are masked, one after the other: masked diffusion")
        .noise::<UniformNoise>("uniform")
        .about("categories are redrawn from all alike")
        .noise::<Marginal>("marginal")
        .about("categories are redrawn as often as the data have them")
        .noise::<DiscretisedGaussian>("discretised-gaussian")
        .about("categories go to near ones, as grey levels do: along a table with steep steps")
        .noise::<NearestNeighbour>("nearest-neighbour")
        .about("categories walk to one of the nearest at a time")
        .net::<4, UNetConfig>("unet")
        .about("for images: U-Net, residual blocks down and up the resolution levels")
        .net::<4, DitConfig>("dit")
        .about("for images: diffusion transformer (DiT), self-attention over patches")
        .net::<3, TransformerConfig>("transformer")
        .about("for text and other sequences: self-attention over tokens")
        .net::<2, MlpConfig>("mlp")
        .about("for points: multilayer perceptron (MLP)")
        .net::<3, UNetConfig>("unet")
        .loss::<CrossEntropy>("cross-entropy")
        .about("−ln p(x | x_t) of categories, in nats")
        .loss::<MaskedNelbo>("masked-nelbo")
        .about("the bound of masked diffusion in continuous time, in nats a position")
        .loss::<ScoreEntropy>("score-entropy")
        .about("the bound of ratios of probabilities in continuous time, in nats a position")
        .loss::<Simple>("simple")
        .about("the mean square of prediction − target")
        .loss::<Vlb>("vlb")
        .about("the variational bound, term by term, in nats a dimension")
        .loss_for::<3, Rounding>("rounding")
        .about("−ln p(token | x) of embedded tokens: keeps their vectors apart")
        .loss::<Prior>("prior")
        .about("KL(q(x₁ | x) ‖ stationary): keeps vectors within the noise's reach")
        .spacing::<Uniform>("uniform")
        .about("even times from `from` to 1")
        .spacing_of::<Grid>("grid")
        .about("discrete time: 1/steps, 2/steps, …, 1; fewer of them are trailing; steps: the table's")
        .spacing::<Quadratic>("quadratic")
        .about("finer near the data: u²")
        .spacing::<LogitNormal>("logit-normal")
        .about("most times at middling noise, as rectified flows are trained")
        .spacing::<Beta>("beta")
        .about("the quantiles of a beta distribution")
        .spacing_of::<Even>("even")
        .about("even times, on the grid of the schedule's table where it has one")
        .spacing_of::<Arcsine>("arcsine")
        .about("dense at both ends: sin²(πu/2), which is beta with a = b = 0.5; for multistep samplers")
        .spacing_of::<LeadingTimes>("leading")
        .about("step numbers 0, T/n, 2T/n, … of a table; drawing begins at 1 in place of the last of them; steps: T, the table's")
        .spacing_of::<LinspaceTimes>("linspace")
        .about("step numbers of a table even from 0 to T − 1; steps: T, the table's")
        .spacing_of::<Sections>("sections")
        .about("so many steps of each of as many equal sections of a table; steps: the table's")
        .spacing_of::<ListedTimes>("listed")
        .about("a list of times, or of noise levels σ/α")
        .spacing_of::<KarrasTimes>("karras")
        .about("noise levels whose ρ-th root is even, between those of the schedule's ends")
        .spacing_of::<ExponentialTimes>("exponential")
        .about("noise levels even in ln(σ/α), between those of the schedule's ends")
        .spacing_of::<ExponentialTimes>("log-snr")
        .about("the same by its other name, even in the log-SNR")
        .spacing_of::<ExponentialTimes>("lu")
        .about("the same once more: even in Lu's λ = ln(α/σ)")
        .levels::<LogNormal>("log-normal")
        .about("log-normal noise levels, as EDM is trained")
        .levels::<CosineInterpolated>("cosine-interpolated")
        .about("noise levels between two shifted cosine schedules")
        .levels::<Aligned>("align-your-steps")
        .about("noise levels optimised for a model of Stable Diffusion's kind, and for 10 steps")
        .spacing_of::<ShiftedTimes>("shifted")
        .about("another spacing moved towards the noise")
        .spacing_of::<AntitheticTimes>("antithetic")
        .about("another spacing's training times in pairs u, 1 − u")
        .spacing_of::<IndependentTimes>("independent")
        .about("another spacing's training times, none of which knows the others")
        .spacing_of::<ImportanceTimes>("importance")
        .about("another spacing's training times, oftener where the losses are large")
        .sampler::<Ancestral>("ancestral")
        .about("draws from p(x_s | x_t): DDPM's sampler")
        .sampler::<Analytic>("analytic")
        .about("categories: draws each from its own law given the rest, to the last digit")
        .sampler::<FirstHitting>("first-hitting")
        .about("masks: one reveal at a time, at the times at which reveals happen")
        .sampler::<TauLeaping>("tau-leaping")
        .about("categories: holds the rates of jumps for a step")
        .sampler::<Ordered>("ordered")
        .about("masks: the surest first")
        .sampler::<Remasking>("remasking")
        .about("masks: reveals more and masks some again, to mend what was drawn early")
        .sampler::<Cached>("cached")
        .about("ancestral, with calls spared while nothing changes: for nets that do not read the time")
        .sampler::<Blocks>("blocks")
        .about("masks: block by block from left to right, through any length")
        .sampler::<Ddim>("ddim")
        .about("from no fresh noise (eta = 0) to ancestral (eta = 1)")
        .sampler::<Euler>("euler")
        .about("the probability-flow equation by Euler's method")
        .sampler::<Heun>("heun")
        .about("the probability-flow equation by Heun's method, two calls a step")
        .sampler::<Dpm2>("dpm2")
        .about("the midpoint method in σ/α, two calls a step")
        .sampler::<DpmSolver>("dpm-solver")
        .about("exponential Runge–Kutta on the noise, `order` calls a step")
        .sampler::<DpmSolverPp2S>("dpm-solver++2s")
        .about("the midpoint method on the data, two calls a step; eta > 0 adds noise")
        .sampler::<DpmSolverPp>("dpm-solver++")
        .about("multistep on the data; eta > 0 adds noise")
        .sampler::<UniPc>("unipc")
        .about("multistep with a corrector that costs no call")
        .sampler::<Deis>("deis")
        .about("multistep: the noise is a polynomial in time")
        .sampler::<Etd>("etd")
        .about("exponential Adams–Bashforth on the data")
        .sampler::<Lms>("lms")
        .about("linear multistep in σ/α")
        .sampler::<AdamsBashforth>("adams-bashforth")
        .about("multistep of order 1 to 6, on either word, in any clock")
        .sampler::<Ipndm>("ipndm")
        .about("multistep with the weights of even steps")
        .sampler::<Plms>("plms")
        .about("the same, started by Heun's method")
        .sampler::<Pndm>("pndm")
        .about("the same, started by three Runge–Kutta steps of four calls")
        .sampler::<DormandPrince>("dormand-prince")
        .about("an adaptive Runge–Kutta pair with tolerances")
        .sampler::<EulerAncestral>("euler-ancestral")
        .about("Euler's step down, noise up")
        .sampler::<Dpm2Ancestral>("dpm2-ancestral")
        .about("the midpoint step down, noise up")
        .sampler::<DpmSolverPp2SAncestral>("dpm-solver++2s-ancestral")
        .about("the midpoint step on the data down, noise up")
        .sampler::<Churn>("churn")
        .about("EDM's stochastic sampler: noise is raised before each of Heun's steps")
        .sampler::<EulerMaruyama>("euler-maruyama")
        .about("the reverse process by Euler's method")
        .sampler::<SdeHeun>("sde-heun")
        .about("the reverse process by Heun's method, two calls a step")
        .sampler::<SaSolver>("sa-solver")
        .about("stochastic Adams: multistep with noise of strength tau")
        .sampler::<PredictorCorrector>("predictor-corrector")
        .about("ancestral steps with Langevin steps between")
        .sampler::<Restart>("restart")
        .about("Heun's steps, with jumps back to more noise")
        .sampler::<Consistency>("consistency")
        .about("for models that say where the flow ends: its end, noised anew to the next time")
}

/// `[schedule] name = "zero-terminal"`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ZeroTerminalConfig {
    schedule: Table,
}
impl Default for ZeroTerminalConfig {
    fn default() -> Self {
        Self { schedule: part("linear") }
    }
}
impl ScheduleOf for ZeroTerminalConfig {
    const PARTS: &'static [&'static str] = &["schedule"];
    fn schedule(&self, mut parts: Vec<AnySchedule>) -> AnySchedule {
        parts.remove(0).map(ZeroTerminal, ZeroTerminal)
    }
}

/// `[schedule] name = "shifted"`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ShiftedConfig {
    factor: f64,
    schedule: Table,
}
impl Default for ShiftedConfig {
    fn default() -> Self {
        Self { factor: 2.0, schedule: part("cosine-angle") }
    }
}
impl ScheduleOf for ShiftedConfig {
    const PARTS: &'static [&'static str] = &["schedule"];
    fn schedule(&self, mut parts: Vec<AnySchedule>) -> AnySchedule {
        let factor = self.factor;
        parts.remove(0).map(|schedule| Shifted { schedule, factor }, |schedule| Shifted { schedule, factor })
    }
}

/// `[schedule] name = "between"`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct BetweenConfig {
    first: Table,
    second: Table,
    /// The second's share at t = 0, and at t = 1 too unless `share_end` says otherwise.
    share: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    share_end: Option<f64>,
}
impl Default for BetweenConfig {
    fn default() -> Self {
        Self { first: part("cosine-angle"), second: part("flow-matching"), share: 0.5, share_end: None }
    }
}
impl ScheduleOf for BetweenConfig {
    const PARTS: &'static [&'static str] = &["first", "second"];
    fn schedule(&self, parts: Vec<AnySchedule>) -> AnySchedule {
        let [first, second] = <[AnySchedule; 2]>::try_from(parts).expect("a schedule for each field");
        let share = [self.share, self.share_end.unwrap_or(self.share)];
        // Interpolation is between α and σ, also for categorical data.
        match (first.full(), second.full()) {
            (Some(first), Some(second)) => AnySchedule::both("between", Between { first, second, share }),
            _ => match (first.schedule(), second.schedule()) {
                (Ok(first), Ok(second)) => AnySchedule::continuous("between", Between { first, second, share }),
                // What has no α and σ is refused with its name.
                (Err(_), _) => first,
                (_, Err(_)) => second,
            },
        }
    }
}

/// `[noise] name = "gaussian"`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct GaussianConfig {
    prediction: Prediction,
    variance: Variance,
    data_std: f64,
}
impl Default for GaussianConfig {
    fn default() -> Self {
        Self { prediction: Prediction::default(), variance: Variance::default(), data_std: 1.0 }
    }
}
impl NoiseConfig for GaussianConfig {
    type Noise = Gaussian;
    fn noise(&self, schedule: &AnySchedule, data: &Facts) -> Result<Gaussian> {
        if data.categories.is_some() {
            return Err(Error::invalid(format!(
                "the noise `gaussian` is for numbers that are near and far, and the data are {}: take `absorbing`, or another \
                 noise for categories",
                data.describe()
            )));
        }
        Ok(Gaussian::new(schedule.schedule()?)
            .with_prediction(self.prediction)
            .with_variance(self.variance)
            .with_data_std(self.data_std))
    }
}
