//! `tweedie plot`: explanatory figures, each as an interactive page and as PNG files.
mod forward;
mod gauss;
mod process;
mod run;
mod schedule;
mod weights;

use super::{compare, sample::module_of};
use crate::{
    output::console::say,
    recipe::{Recipe, build},
    registry::{AnySchedule, Modules, module},
};
use clap::{Args, Subcommand, ValueEnum};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use toml::Value;
use tweedie::{
    Dual,
    schedule::{Schedule, Survival},
};
use tweedie::{Error, Result};
use tweedie_data::Shape;
use tweedie_plot::gallery::{Site, Stills};
use tweedie_plot::{Page, Theme};

/// `tweedie plot`.
#[derive(Debug, Args)]
pub struct Plot {
    /// The plot
    #[command(subcommand)]
    pub what: What,
    /// Output folder for pages and pictures
    #[arg(long, global = true, default_value = "plots", value_name = "DIR")]
    pub out: PathBuf,
    /// Theme of the PNG and SVG files; pages follow the browser's and can be switched
    #[arg(long, global = true, value_enum, default_value_t = Paper::Light)]
    pub theme: Paper,
    /// Write SVG files too
    #[arg(long, global = true)]
    pub svg: bool,
    /// Random seed
    #[arg(long, global = true, default_value_t = 0, value_name = "N")]
    pub seed: u64,
}

/// Themes.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Paper {
    /// Dark on white
    Light,
    /// Light on dark
    Dark,
}

/// Noise types of `tweedie plot forward`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// x_t = α x + σ ε
    Gaussian,
    /// Values resampled uniformly from 256 levels
    Uniform,
    /// Pixels masked
    Absorbing,
}

/// Data sets of points.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Cloud {
    /// Two interleaving half circles
    Moons,
    /// Two concentric circles
    Rings,
    /// Two spiral arms
    Spirals,
    /// Eight Gaussians on a circle
    Gaussians,
    /// Eight squares of a checkerboard
    Checkerboard,
}

impl Cloud {
    fn shape(self) -> Shape {
        match self {
            Self::Moons => Shape::Moons,
            Self::Rings => Shape::Rings,
            Self::Spirals => Shape::Spirals,
            Self::Gaussians => Shape::Gaussians,
            Self::Checkerboard => Shape::Checkerboard,
        }
    }
}

/// The plots.
#[derive(Debug, Subcommand)]
pub enum What {
    /// The univariate normal distribution: mean, probability of an interval, families
    Univariate {
        /// Mean
        #[arg(long, default_value_t = 0.0, allow_negative_numbers = true)]
        mean: f64,
        /// Standard deviation
        #[arg(long, default_value_t = 1.0)]
        std: f64,
        /// Lower end of the interval [default: one standard deviation below the mean]
        #[arg(long, allow_negative_numbers = true)]
        low: Option<f64>,
        /// Upper end of the interval [default: one standard deviation above the mean]
        #[arg(long, allow_negative_numbers = true)]
        high: Option<f64>,
    },
    /// The bivariate normal distribution: density, marginals, covariance, samples
    Bivariate {
        /// Correlation coefficient, between −1 and 1
        #[arg(long, default_value_t = 0.8, allow_negative_numbers = true)]
        correlation: f64,
        /// Standard deviations
        #[arg(long, num_args = 2, default_values_t = [1.0, 1.0], value_names = ["FIRST", "SECOND"])]
        std: Vec<f64>,
    },
    /// Conditional densities: slices of a bivariate normal density
    Conditional {
        /// Correlation coefficient, between −1 and 1
        #[arg(long, default_value_t = 0.8, allow_negative_numbers = true)]
        correlation: f64,
        /// Means
        #[arg(long, num_args = 2, default_values_t = [0.0, 1.0], allow_negative_numbers = true, value_names = ["FIRST", "SECOND"])]
        mean: Vec<f64>,
        /// Standard deviations
        #[arg(long, num_args = 2, default_values_t = [1.0, 1.0], value_names = ["FIRST", "SECOND"])]
        std: Vec<f64>,
        /// Number of frames of the slider
        #[arg(long, default_value_t = 41, value_name = "N", value_parser = clap::value_parser!(u16).range(2..=200))]
        frames: u16,
    },
    /// The convolution of two densities, numerical and exact
    Convolution {
        /// First density: normal:MEAN:STD or uniform:LOW:HIGH
        #[arg(long, default_value = "normal:-1:0.6", value_name = "DENSITY")]
        first: gauss::Summand,
        /// Second density: normal:MEAN:STD or uniform:LOW:HIGH
        #[arg(long, default_value = "uniform:0:3", value_name = "DENSITY")]
        second: gauss::Summand,
        /// Number of grid points
        #[arg(long, default_value_t = 2001, value_name = "N", value_parser = clap::value_parser!(u32).range(3..=1_000_000))]
        points: u32,
    },
    /// The forward process on an image, with the histogram of its values
    Forward {
        /// Picture file [default: a built-in image]
        image: Option<PathBuf>,
        /// Schedule: its name, as in `tweedie list schedule`, or a table, as in
        /// '{ name = "linear", steps = 100, beta_end = 0.05 }'
        #[arg(long, default_value = "cosine", value_name = "SCHEDULE")]
        schedule: String,
        /// Noise type
        #[arg(long, value_enum, default_value_t = Kind::Gaussian)]
        noise: Kind,
        /// Number of frames of the slider
        #[arg(long, default_value_t = 24, value_name = "N", value_parser = clap::value_parser!(u16).range(2..=60))]
        frames: u16,
        /// Longer side of the image in pixels; larger images are downscaled
        #[arg(long, default_value_t = 112, value_name = "N", value_parser = clap::value_parser!(u16).range(8..=256))]
        side: u16,
        /// Show the chain q(x_t | x_{t−1}) of one trajectory too, beside samples of the marginal q(x_t | x)
        #[arg(long)]
        chain: bool,
        /// Number of steps of the chain [default: T of a table, 100 of other schedules]
        #[arg(long, requires = "chain", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
        steps: Option<u32>,
    },
    /// Noise schedules: signal and noise scale, log-SNR, β(t), weights
    Schedule {
        /// Schedules: names, as in `tweedie list schedule`, or tables, as in '{ name = "linear", steps = 100 }' [default:
        /// linear, cosine, sqrt, flow-matching and ornstein-uhlenbeck]
        #[arg(value_name = "SCHEDULE")]
        names: Vec<String>,
    },
    /// Weights of losses over log-SNR, and what the objective of a recipe emphasizes
    Weights {
        /// Recipes (TOML files), runs (folders), or weights: names, as in `tweedie list weight`, or tables, as in
        /// '{ name = "min-snr", gamma = 5 }' [default: every weight]
        #[arg(value_name = "RECIPE")]
        of: Vec<String>,
        /// Schedule of weights that are given by name: its name, as in `tweedie list schedule`, or a table
        #[arg(long, default_value = "variance-preserving", value_name = "SCHEDULE")]
        schedule: String,
    },
    /// The forward process on points, and the probability-flow ODE back with an exact denoiser
    Process {
        /// Data set
        #[arg(long, value_enum, default_value_t = Cloud::Moons)]
        data: Cloud,
        /// Schedule: its name, as in `tweedie list schedule`, or a table, as in
        /// '{ name = "linear", steps = 100, beta_end = 0.05 }'
        #[arg(long, default_value = "variance-preserving", value_name = "SCHEDULE")]
        schedule: String,
        /// Number of points
        #[arg(long, default_value_t = 300, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=2000))]
        points: u16,
        /// Number of timesteps in each direction
        #[arg(long, default_value_t = 24, value_name = "N", value_parser = clap::value_parser!(u16).range(2..=100))]
        steps: u16,
    },
    /// Training curves and samples of a run
    Run {
        /// Folder of the run
        run: PathBuf,
    },
    /// Every plot with its defaults, with an index page
    Gallery {
        /// Picture file for the forward process [default: a built-in image]
        #[arg(long, value_name = "FILE")]
        image: Option<PathBuf>,
        /// Folder of a run, to be included
        #[arg(long, value_name = "DIR")]
        run: Option<PathBuf>,
    },
}

/// Writes the plots and prints the names of the files.
pub(crate) fn run(args: &Plot, modules: &Modules) -> Result<()> {
    let theme = match args.theme {
        Paper::Light => Theme::Light,
        Paper::Dark => Theme::Dark,
    };
    let stills = Stills { theme, svg: args.svg };
    let written = match &args.what {
        What::Gallery { image, run } => {
            gallery(image.as_deref(), run.as_deref(), args.seed, modules)?.write(&args.out, stills)
        }
        what => page(what, args.seed, modules)?.write(&args.out, stills, &[]),
    };
    let written = written.map_err(Error::io(&args.out, "write into the folder"))?;
    for path in written {
        say(&path.display().to_string());
    }
    Ok(())
}

fn page(what: &What, seed: u64, modules: &Modules) -> Result<Page> {
    match what {
        What::Univariate { mean, std, low, high } => gauss::univariate(*mean, *std, *low, *high),
        What::Bivariate { correlation, std } => gauss::bivariate(*correlation, [std[0], std[1]], seed),
        What::Conditional { correlation, mean, std, frames } => {
            gauss::conditional(*correlation, [mean[0], mean[1]], [std[0], std[1]], usize::from(*frames), seed)
        }
        What::Convolution { first, second, points } => gauss::convolution(*first, *second, *points as usize),
        What::Forward { image, schedule: text, noise, frames, side, chain, steps } => {
            let picture = forward::picture(image.as_deref(), usize::from(*side))?;
            let (name, schedule) = schedule(text, modules, "--schedule ")?;
            let table = schedule.steps();
            let schedule = match noise {
                Kind::Gaussian => schedule.schedule()?,
                Kind::Uniform | Kind::Absorbing => Arc::new(Signal(schedule.survival()?)),
            };
            let steps = chain.then(|| steps.map_or(table.unwrap_or(100), |n| n as usize));
            let forward = forward::Forward { schedule: &*schedule, name: &name, kind: *noise, seed };
            forward.page(&picture, usize::from(*frames), steps)
        }
        What::Schedule { names } => {
            let names = match names.is_empty() {
                true => ["linear", "cosine", "sqrt", "flow-matching", "ornstein-uhlenbeck"].map(str::to_owned).to_vec(),
                false => names.clone(),
            };
            let all = names.iter().map(|text| {
                let (name, schedule) = schedule(text, modules, "")?;
                let shown = match schedule.schedule() {
                    Ok(shown) => shown,
                    Err(_) => Arc::new(Signal(schedule.survival()?)),
                };
                Ok((name, shown))
            });
            schedule::page(&all.collect::<Result<Vec<_>>>()?)
        }
        What::Weights { of, schedule: text } => {
            let (name, schedule) = schedule(text, modules, "--schedule ")?;
            weights::page(of, &name, schedule.schedule()?, modules)
        }
        What::Process { data, schedule: text, points, steps } => process::page(
            data.shape(),
            schedule(text, modules, "--schedule ")?.1.schedule()?,
            usize::from(*points),
            usize::from(*steps),
            seed,
        ),
        What::Run { run } => run::page(run),
        What::Gallery { .. } => unreachable!("a gallery has several pages"),
    }
}

/// Every plot with its defaults.
fn gallery(image: Option<&Path>, run: Option<&Path>, seed: u64, modules: &Modules) -> Result<Site> {
    let image = image.map(Path::to_path_buf);
    let forward = |noise, schedule: &str| What::Forward {
        image: image.clone(),
        schedule: schedule.into(),
        noise,
        frames: 24,
        side: 112,
        chain: false,
        steps: None,
    };
    let process = |data| What::Process { data, schedule: "variance-preserving".into(), points: 300, steps: 24 };
    let all = [
        What::Univariate { mean: 0.0, std: 1.0, low: None, high: None },
        What::Bivariate { correlation: 0.8, std: vec![1.0; 2] },
        What::Conditional { correlation: 0.8, mean: vec![0.0, 1.0], std: vec![1.0; 2], frames: 41 },
        What::Convolution {
            first: gauss::Summand::normal(-1.0, 0.6)?,
            second: gauss::Summand::Uniform([0.0, 3.0]),
            points: 2001,
        },
        forward(Kind::Gaussian, "cosine"),
        forward(Kind::Uniform, "flow-matching"),
        forward(Kind::Absorbing, "flow-matching"),
        What::Schedule { names: Vec::new() },
        What::Weights { of: Vec::new(), schedule: "variance-preserving".into() },
        process(Cloud::Moons),
        process(Cloud::Rings),
        process(Cloud::Gaussians),
    ];
    let mut pages = all.iter().map(|what| page(what, seed, modules)).collect::<Result<Vec<_>>>()?;
    if let Some(folder) = run {
        pages.push(run::page(folder)?);
    }
    let text = "Figures on Gaussians, noise schedules and diffusion processes. Every figure is interactive, and its \
                page shows the code behind it.";
    Ok(Site { title: "tweedie: gallery".into(), text: text.into(), pages })
}

/// Survival probabilities, plotted in place of a signal scale α.
#[derive(Debug)]
struct Signal(Arc<dyn Survival>);
impl Schedule for Signal {
    fn alpha(&self, t: Dual) -> Dual {
        self.0.survival(t)
    }
}

/// A schedule given as a name or a table, and a short label of it.
fn schedule(text: &str, modules: &Modules, flag: &str) -> Result<(String, AnySchedule)> {
    let mut recipe = Recipe::parse("the schedule", String::new())?;
    recipe.put("schedule", Value::Table(module_of(text)?), format!("{flag}{text}"))?;
    let (schedule, _) = build::module(&recipe, modules, module::Kind::Schedule, "schedule", &modules.schedules)?;
    Ok((compare::short(text)?, schedule))
}

/// The lines between `// show NAME` and the next `// show`, moved to the left edge.
fn code(source: &str, name: &str) -> String {
    let start = format!("// show {name}\n");
    let from = source.split_once(&start).map_or("", |(_, rest)| rest);
    let lines: Vec<&str> = from.lines().take_while(|line| !line.trim_start().starts_with("// show")).collect();
    let indent =
        lines.iter().filter(|l| !l.trim().is_empty()).map(|l| l.len() - l.trim_start().len()).min().unwrap_or(0);
    lines.iter().map(|line| line.get(indent..).unwrap_or("")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_shown_is_the_code_between_its_markers() {
        let source =
            "fn f() {\n    // show a\n    let x = 1;\n    if x > 0 {\n        g();\n    }\n    // show\n    h();\n}\n";
        assert_eq!(code(source, "a"), "let x = 1;\nif x > 0 {\n    g();\n}");
        assert_eq!(code(source, "b"), "");
    }

    #[test]
    fn every_page_of_the_gallery_is_complete() {
        let site = gallery(None, None, 0, &Modules::default()).unwrap();
        let mut slugs: Vec<&str> = site.pages.iter().map(|page| page.slug.as_str()).collect();
        assert_eq!(slugs.len(), 12);
        slugs.dedup();
        assert_eq!(slugs.len(), 12, "file names are unique: {slugs:?}");
        for page in &site.pages {
            assert!(!page.text.is_empty() && !page.formula.is_empty() && !page.code.is_empty(), "{}", page.slug);
            assert!(page.html(&[]).len() < 5_000_000, "{}", page.slug);
            for figure in &page.figures {
                assert_eq!(figure.missing_glyphs(), Vec::<char>::new(), "{}", page.slug);
            }
        }
    }
}
