//! The command line as typed.
use clap::{Args, Parser, Subcommand};
use std::{path::PathBuf, str::FromStr};

/// Diffusion models out of interchangeable parts: train, sample and look at them.
#[derive(Debug, Parser)]
#[command(name = "tweedie", version, arg_required_else_help = true, disable_help_subcommand = true)]
#[command(after_help = "`tweedie train` without a recipe learns handwritten digits in about two minutes.")]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train a model as a recipe says
    Train(Train),
    /// Draw from the model of a run
    Sample(Sample),
    /// Measure the model of a run on the data that it did not learn from
    Evaluate(Evaluate),
    /// Show the modules that a recipe can name, with their parameters and defaults
    List(List),
    /// Draw the pictures that explain: Gaussians, forward processes, schedules, points, runs
    Plot(crate::commands::plot::Plot),
    /// Check every module against its laws
    Verify(Verify),
    /// Hold the samplers against a solution of high accuracy
    Compare(Compare),
}

/// `tweedie train`.
#[derive(Debug, Args)]
pub struct Train {
    /// TOML file, as in `recipes/`; without one, the built-in recipe for handwritten digits
    pub recipe: Option<PathBuf>,
    /// Folder of the run [default: runs/NAME, or the first free of runs/NAME-2, …]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Steps in all, those of a run gone on with included
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<u64>)]
    pub steps: Option<u64>,
    /// Seed of everything random
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<u64>)]
    pub seed: Option<u64>,
    /// Steps between checkpoints
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<u64>)]
    pub checkpoint_every: Option<u64>,
    /// Go on with the run in --out, or with the latest run of the recipe's name
    #[arg(long)]
    pub resume: bool,
    /// Path of the data, in place of the recipe's
    #[arg(long, value_name = "PATH")]
    pub data: Option<String>,
    /// Set any field of the recipe, as in train.rate=0.001; may be repeated
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    pub set: Vec<String>,
    /// Where to compute
    #[arg(long, default_value = "cpu", value_name = "NAME")]
    pub device: String,
    /// Say nothing but errors
    #[arg(long, short)]
    pub quiet: bool,
}

/// `tweedie sample`.
#[derive(Debug, Args)]
pub struct Sample {
    /// Folder of a run, or one of its checkpoints
    pub run: PathBuf,
    /// How many [default: the recipe's]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<usize>)]
    pub n: Option<usize>,
    /// Classes to draw, by name or number: 3, or 3,7, or none for no class [default: all in turn]
    #[arg(long, value_name = "CLASS", value_delimiter = ',')]
    pub class: Vec<String>,
    /// Seed: the same gives the same files, bit for bit
    #[arg(long, default_value_t = 0, value_name = "N", allow_negative_numbers = true, value_parser = whole::<u64>)]
    pub seed: u64,
    /// Name of a sampler, or a table such as '{ name = "ddim", eta = 1 }' [default: the recipe's]
    #[arg(long, value_name = "NAME")]
    pub sampler: Option<String>,
    /// Name of a spacing for the sampler's times, as arcsine or even, or a table such as '{ name = "karras", rho = 5 }' [default:
    /// the recipe's]
    #[arg(long, value_name = "NAME")]
    pub times: Option<String>,
    /// Steps of the sampler [default: the recipe's]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<usize>)]
    pub steps: Option<usize>,
    /// Guidance towards the class; 1 is none [default: the recipe's]
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub guidance: Option<f64>,
    /// Dynamic thresholding: keep guesses within the Q-quantile of each sample's |x̂|, brought back to the range of the data; 0.995
    /// is usual [default: the recipe's, or the range of the data itself]
    #[arg(long, value_name = "Q", allow_negative_numbers = true)]
    pub threshold: Option<f64>,
    /// Text that every sample begins with; \n is an end of line
    #[arg(long, value_name = "TEXT", conflicts_with = "infill")]
    pub prompt: Option<String>,
    /// Text with blanks that are drawn, as in 'an___a'; what comes after it is drawn too
    #[arg(long, value_name = "TEXT")]
    pub infill: Option<String>,
    /// What stands for one blank token in --infill
    #[arg(long, default_value_t = '_', value_name = "CHAR")]
    pub blank: char,
    /// Tokens a sample [default: as many as the model reads]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<usize>)]
    pub length: Option<usize>,
    /// Temperature of guesses of categories: below 1 likelier ones become likelier yet [default: the recipe's]
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub temperature: Option<f64>,
    /// How many of the likeliest categories may be drawn [default: the recipe's]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<usize>)]
    pub top_k: Option<usize>,
    /// How much of the mass of a guess may be drawn, the likeliest first [default: the recipe's]
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub top_p: Option<f64>,
    /// Write trajectory.npy, times.npy and trajectory.png (or .html, for text) as well, of so many times
    #[arg(long, value_name = "TIMES", num_args = 0..=1, default_missing_value = "11")]
    pub trajectory: Option<usize>,
    /// How many are drawn at a time: this changes the memory needed and not a bit of the samples [default: the recipe's]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<usize>)]
    pub batch: Option<usize>,
    /// Folder of the files, whose old ones are replaced [default: RUN/samples, or the first free of RUN/samples-2, …]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Where to compute
    #[arg(long, default_value = "cpu", value_name = "NAME")]
    pub device: String,
    /// Say nothing but errors
    #[arg(long, short)]
    pub quiet: bool,
}

/// `tweedie evaluate`.
#[derive(Debug, Args)]
pub struct Evaluate {
    /// Folder of a run, or one of its checkpoints
    pub run: PathBuf,
    /// How many samples held out, spread over all of them [default: the recipe's `evaluate_rows`]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<usize>)]
    pub rows: Option<usize>,
    /// Times at which each sample is looked at, for the bits of categories
    #[arg(long, default_value_t = 16, value_name = "N", allow_negative_numbers = true, value_parser = whole::<usize>)]
    pub times: usize,
    /// Path of the data, in place of the recipe's
    #[arg(long, value_name = "PATH")]
    pub data: Option<String>,
    /// Seed of times and noise
    #[arg(long, default_value_t = 0, value_name = "N", allow_negative_numbers = true, value_parser = whole::<u64>)]
    pub seed: u64,
    /// Where to compute
    #[arg(long, default_value = "cpu", value_name = "NAME")]
    pub device: String,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// `tweedie list`.
#[derive(Debug, Args)]
pub struct List {
    /// data, transform, schedule, noise, net, loss, spacing or sampler
    pub kind: Option<String>,
    /// One module of that kind
    #[arg(requires = "kind")]
    pub name: Option<String>,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// `tweedie verify`.
#[derive(Debug, Args)]
pub struct Verify {
    /// schedule, noise, net, loss, spacing or sampler, or the TOML file of a recipe or the folder of a run for the modules that it
    /// names, whose data are read for it [default: every module]
    pub what: Option<String>,
    /// One module of that kind
    #[arg(requires = "what")]
    pub name: Option<String>,
    /// A line a module, and the laws that are broken
    #[arg(long, conflicts_with = "json")]
    pub brief: bool,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// `tweedie compare`.
#[derive(Clone, Debug, Args)]
pub struct Compare {
    /// Folder of a run, or an exact problem: variance-preserving, ornstein-uhlenbeck or edm
    pub model: PathBuf,
    /// Numbers of steps
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "5,10,20,40",
        value_name = "N,…",
        allow_negative_numbers = true
    )]
    #[arg(value_parser = whole::<usize>)]
    pub steps: Vec<usize>,
    /// A sampler by name, or a table such as '{ name = "deis", order = 2 }'; may be given again [default: every
    /// deterministic one]
    #[arg(long, value_name = "NAME")]
    pub sampler: Vec<String>,
    /// Times of the steps: a spacing by name, or a table; may be given again [default: even, on the grid of the schedule's
    /// table; and arcsine for deis, unipc and dpm-solver++]
    #[arg(long, value_name = "NAME")]
    pub times: Vec<String>,
    /// Move the times of each deterministic sampler to where N other walks end nearest to the flow's end, and say them; as long as
    /// up to 16 walks of N for each time of each step count
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<usize>)]
    pub tune: Option<usize>,
    /// Leave x̂ as the net of a run says it, and not within the range of the data
    #[arg(long)]
    pub unclamped: bool,
    /// Also the distance of so many samples, or of as many as there are data held out, from those data: sliced Wasserstein and
    /// energy distance, of every sampler
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<usize>)]
    pub samples: Option<usize>,
    /// How many samples
    #[arg(long, default_value_t = 16, value_name = "N", allow_negative_numbers = true, value_parser = whole::<usize>)]
    pub n: usize,
    /// Seed of the starting noise
    #[arg(long, default_value_t = 0, value_name = "N", allow_negative_numbers = true, value_parser = whole::<u64>)]
    pub seed: u64,
    /// From so many seeds, --seed the first of them: errors are those of all, ratios come with their spread over the seeds
    #[arg(long, default_value_t = 1, value_name = "K", allow_negative_numbers = true, value_parser = whole::<usize>)]
    pub seeds: usize,
    /// Folder for compare.html, compare.png and compare.svg, in place of those that are there [default: no pictures]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// As JSON
    #[arg(long)]
    pub json: bool,
    /// Say nothing but the table and errors
    #[arg(long, short)]
    pub quiet: bool,
}

/// A count, or one sentence on what it should be.
fn whole<T: FromStr>(text: &str) -> Result<T, String> {
    let text = text.trim();
    match text.parse() {
        Ok(number) => Ok(number),
        Err(_) if text.is_empty() => Err("nothing is given where a whole number was expected".into()),
        Err(_) if text.bytes().all(|byte| byte.is_ascii_digit()) => Err("the number is too large".into()),
        Err(_) => Err("a whole number of 0 or more was expected, as in 20".into()),
    }
}
