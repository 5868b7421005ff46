//! The arguments of the command line.
use clap::{Args, Parser, Subcommand};
use std::{path::PathBuf, str::FromStr};

/// Diffusion models from interchangeable components: train, sample, evaluate.
#[derive(Debug, Parser)]
#[command(name = "tweedie", version, arg_required_else_help = true)]
#[command(
    after_help = "`tweedie train` without a recipe trains on built-in handwritten digits; it takes about two minutes."
)]
pub struct Cli {
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train a model from a recipe
    Train(Train),
    /// Generate samples from a trained run
    Sample(Box<Sample>),
    /// Evaluate a trained run on held-out data
    Evaluate(Evaluate),
    /// List the modules that a recipe can name and explain their fields
    List(List),
    /// List the devices that this build can compute on
    Devices,
    /// Print the JSON schema of recipes, from which editors complete and check them
    Schema,
    /// Plot Gaussians, forward processes, schedules, point clouds and training runs
    Plot(crate::commands::plot::Plot),
    /// Check every module against the mathematical laws it must obey
    Verify(Verify),
    /// Compare samplers with a high-accuracy solution of the probability-flow ODE
    Compare(Compare),
}

/// `tweedie train`.
#[derive(Debug, Args)]
pub struct Train {
    /// TOML file, as in `recipes/` [default: the built-in recipe for handwritten digits]
    pub recipe: Option<PathBuf>,
    /// Folder of the run [default: runs/NAME; if it exists, the first free of runs/NAME-2, …]
    #[arg(long, short, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Total training steps, including those before --resume
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<u64>)]
    pub steps: Option<u64>,
    /// Random seed
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<u64>)]
    pub seed: Option<u64>,
    /// Steps between checkpoints
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<u64>)]
    pub checkpoint_every: Option<u64>,
    /// Resume the run in --out, or the latest run with the recipe's name
    #[arg(long)]
    pub resume: bool,
    /// Fine-tune: begin with the weights that `tweedie sample RUN` uses, those of a run or of one of its checkpoints.
    /// Steps, optimizer, data and split are new; without a recipe, the run's own is used
    #[arg(long, value_name = "RUN", conflicts_with = "resume")]
    pub from: Option<PathBuf>,
    /// Path of the data, overriding the recipe's
    #[arg(long, value_name = "PATH")]
    pub data: Option<String>,
    /// Set any field of the recipe, as in train.lr=0.001; repeatable
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    pub set: Vec<String>,
    /// Device: cpu, or one that `tweedie devices` lists, as cuda or cuda:1
    #[arg(long, default_value = "cpu", value_name = "NAME")]
    pub device: String,
    /// Print errors only
    #[arg(long, short)]
    pub quiet: bool,
}

/// `tweedie sample`.
#[derive(Debug, Args)]
pub struct Sample {
    /// Folder of a run, or one of its checkpoints
    pub run: PathBuf,
    /// Number of samples [default: the recipe's]
    #[arg(long, short, value_name = "N", allow_negative_numbers = true, value_parser = whole::<usize>)]
    pub n: Option<usize>,
    /// Classes to condition on, by name, or by index where names are not numbers: cat, or 3,7, or none (unconditional, if
    /// a class is named none) for unconditional samples [default: all classes, in turn]
    #[arg(long, value_name = "CLASS")]
    pub class: Vec<String>,
    /// A condition of the samples, as age=30, hair=red, position=0.5,-1, caption='two cats' or photo=in.png, or none;
    /// repeatable, also for several values of one condition in turn [default: those of held-out data]
    #[arg(long, value_name = "NAME=VALUE")]
    pub condition: Vec<String>,
    /// Random seed: the same seed gives the same samples, bit for bit
    #[arg(long, default_value_t = 0, value_name = "N", allow_negative_numbers = true, value_parser = whole::<u64>)]
    pub seed: u64,
    /// Name of a sampler, or a table such as '{ name = "ddim", eta = 1 }' [default: the recipe's]
    #[arg(long, value_name = "NAME")]
    pub sampler: Option<String>,
    /// Timestep spacing by name, such as arcsine or karras, or a table such as '{ name = "karras", rho = 5 }' [default:
    /// the recipe's]
    #[arg(long, value_name = "NAME")]
    pub times: Option<String>,
    /// Number of sampling steps [default: the recipe's]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<usize>)]
    pub steps: Option<usize>,
    /// Scale of classifier-free guidance; 1 disables it [default: the recipe's]
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub guidance: Option<f64>,
    /// Dynamic thresholding: clip x̂ to the Q-quantile of |x̂| of each sample and rescale to the data range; 0.995 is
    /// usual [default: the recipe's, or static clipping to the data range]
    #[arg(long, value_name = "Q", allow_negative_numbers = true)]
    pub threshold: Option<f64>,
    /// Text that every sample begins with; \n is a line break
    #[arg(long, value_name = "TEXT", conflicts_with = "infill")]
    pub prompt: Option<String>,
    /// Text with blanks to fill in, as in 'an___a': each blank becomes one token and never the end of the sample; what
    /// follows the text is sampled too
    #[arg(long, value_name = "TEXT")]
    pub infill: Option<String>,
    /// Character that marks one blank token in --infill
    #[arg(long, default_value_t = '_', value_name = "CHAR")]
    pub blank: char,
    /// Tokens per sample [default: the length that the model was trained with]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<usize>)]
    pub length: Option<usize>,
    /// Temperature of the predicted distribution of categories; below 1 sharpens it [default: the recipe's]
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub temperature: Option<f64>,
    /// Top-k: sample only among the N most probable categories [default: the recipe's]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<usize>)]
    pub top_k: Option<usize>,
    /// Top-p (nucleus): sample only among the most probable categories with total probability X [default: the recipe's]
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub top_p: Option<f64>,
    /// Also write the sampling trajectory at this many timesteps: trajectory.npy, times.npy and trajectory.png (.html
    /// for text)
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "11", value_parser = whole::<usize>)]
    pub trajectory: Option<usize>,
    /// Batch size; changes the memory needed, not the samples [default: the recipe's]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<usize>)]
    pub batch: Option<usize>,
    /// Precision of the network's matrix products: f32, or bf16 or f16 on a device that has it [default: the recipe's]
    #[arg(long, value_name = "NAME")]
    pub precision: Option<String>,
    /// Output folder; existing files in it are overwritten [default: RUN/samples, or RUN/samples-NAME of a checkpoint; if
    /// it exists, the first free of RUN/samples-2, …]
    #[arg(long, short, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Device: cpu, or one that `tweedie devices` lists, as cuda or cuda:1
    #[arg(long, default_value = "cpu", value_name = "NAME")]
    pub device: String,
    /// Print errors only
    #[arg(long, short)]
    pub quiet: bool,
}

/// `tweedie evaluate`.
#[derive(Debug, Args)]
pub struct Evaluate {
    /// Folder of a run, or one of its checkpoints
    pub run: PathBuf,
    /// Number of held-out samples, taken evenly over all of them [default: the recipe's `evaluate_rows`]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<usize>)]
    pub rows: Option<usize>,
    /// Timesteps per sample in the bound on bits per token or dimension
    #[arg(long, default_value_t = 16, value_name = "N", allow_negative_numbers = true, value_parser = whole::<usize>)]
    pub times: usize,
    /// Bound of the network's own predictions, without the guidance, temperature, top-k and top-p that the recipe samples
    /// with [default: the bound of the model as it is sampled]
    #[arg(long)]
    pub no_clip: bool,
    /// Path of the data, overriding the recipe's
    #[arg(long, value_name = "PATH")]
    pub data: Option<String>,
    /// Also generate N samples with the conditions of held-out data and measure a statistic of both: the power spectrum of
    /// signals, what is known exactly of `waves` and `spheres`, the mean values of other volumes
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<usize>)]
    pub samples: Option<usize>,
    /// Folder for evaluate.html, evaluate.png and evaluate.svg, the figure of that statistic; existing ones are overwritten
    #[arg(long, short, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Random seed of timesteps and noise
    #[arg(long, default_value_t = 0, value_name = "N", allow_negative_numbers = true, value_parser = whole::<u64>)]
    pub seed: u64,
    /// Device: cpu, or one that `tweedie devices` lists, as cuda or cuda:1
    #[arg(long, default_value = "cpu", value_name = "NAME")]
    pub device: String,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `tweedie list`.
#[derive(Debug, Args)]
pub struct List {
    /// data, transform, schedule, noise, net, loss, weight, spacing or sampler; or a section of recipes: train, run, sample
    /// or times
    pub kind: Option<String>,
    /// One module of that kind
    #[arg(requires = "kind")]
    pub name: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `tweedie verify`.
#[derive(Clone, Debug, Args)]
pub struct Verify {
    /// Kind of module: schedule, noise, net, loss, weight, spacing or sampler; or a module by name; or a recipe's TOML file
    /// or a run's folder, to check the modules that it names on its data [default: every module]
    pub what: Option<String>,
    /// One module of that kind
    #[arg(requires = "what")]
    pub name: Option<String>,
    /// Precision to compare with single precision on the device: nets, samplers and a training
    #[arg(long, value_name = "NAME")]
    pub precision: Option<String>,
    /// Device to compare with the processor: nets, samplers and a training
    #[arg(long, default_value = "cpu", value_name = "NAME")]
    pub device: String,
    /// Print one line per module, and the laws that failed
    #[arg(long, conflicts_with = "json")]
    pub brief: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `tweedie compare`.
#[derive(Clone, Debug, Args)]
pub struct Compare {
    /// Folder of a run, or an exact problem: variance-preserving, ornstein-uhlenbeck or edm
    pub model: PathBuf,
    /// Step counts
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "5,10,20,40",
        value_name = "N,…",
        allow_negative_numbers = true
    )]
    #[arg(value_parser = whole::<usize>)]
    pub steps: Vec<usize>,
    /// Sampler by name, or a table such as '{ name = "deis", order = 2 }'; repeatable [default: every deterministic
    /// sampler]
    #[arg(long, value_name = "NAME")]
    pub sampler: Vec<String>,
    /// Timestep spacing by name, or a table; repeatable [default: even; and arcsine for deis, unipc and dpm-solver++]
    #[arg(long, value_name = "NAME")]
    pub times: Vec<String>,
    /// Optimize the timesteps of each deterministic sampler on N other trajectories and print them; costs up to 16
    /// times N trajectories per timestep of each step count
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<usize>)]
    pub tune: Option<usize>,
    /// Do not clip x̂ to the data range
    #[arg(long, alias = "unclamped")]
    pub no_clip: bool,
    /// Also measure the distance of N samples of every sampler from held-out data (at most as many as there are):
    /// sliced Wasserstein and energy distance
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<usize>)]
    pub samples: Option<usize>,
    /// Number of samples
    #[arg(long, short, default_value_t = 16, value_name = "N", allow_negative_numbers = true, value_parser = whole::<usize>)]
    pub n: usize,
    /// Random seed of the initial noise
    #[arg(long, default_value_t = 0, value_name = "N", allow_negative_numbers = true, value_parser = whole::<u64>)]
    pub seed: u64,
    /// Number of seeds, starting at --seed: errors are over all of them, ratios are printed with their standard
    /// deviation over seeds
    #[arg(long, default_value_t = 1, value_name = "K", allow_negative_numbers = true, value_parser = whole::<usize>)]
    pub seeds: usize,
    /// Folder for compare.html, compare.png and compare.svg; existing ones are overwritten [default: no plots]
    #[arg(long, short, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Print the table and errors only
    #[arg(long, short)]
    pub quiet: bool,
}

/// Parses a non-negative integer, also as 1e3 and 1_000; the error is one sentence on what is expected.
fn whole<T: FromStr>(text: &str) -> Result<T, String> {
    let text = text.trim();
    let plain = text.replace('_', "");
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // Of 1e3 and 2.5e3 the digits, without a way through floating point.
    let scaled = plain.split_once(['e', 'E']).and_then(|(number, exponent)| {
        let (before, after) = number.split_once('.').unwrap_or((number, ""));
        let zeros = exponent.trim_start_matches('+').parse::<usize>().ok()?.checked_sub(after.len())?;
        let all = format!("{before}{after}{}", "0".repeat(zeros.min(40)));
        (digits(before) && digits(&all)).then_some(all)
    });
    let plain = scaled.unwrap_or(plain);
    match plain.parse() {
        Ok(number) if digits(&plain) => Ok(number),
        _ if text.is_empty() => Err("expected a whole number, got nothing".into()),
        _ if digits(&plain) => Err("the number is too large".into()),
        _ => Err("expected a whole number of 0 or more, as in 20".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn whole_numbers_are_read_as_people_write_them() {
        for (text, number) in [("20", 20), ("1e3", 1000), ("1_000", 1000), ("2.5e3", 2500), ("1E+2", 100), (" 7 ", 7)] {
            assert_eq!(whole::<u64>(text), Ok(number), "{text}");
        }
        for text in ["1.5", "1e-3", "2.55e1", "-3", "e3", "1e", "0x10", "few", "+3"] {
            assert!(whole::<u64>(text).unwrap_err().starts_with("expected a whole number of 0 or more"), "{text}");
        }
        assert_eq!(whole::<usize>("1e30").unwrap_err(), "the number is too large");
        assert_eq!(whole::<usize>("1e999999999").unwrap_err(), "the number is too large");
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
