//! `tweedie plot`: pictures that explain, each a page that answers the pointer and a PNG.
mod forward;
mod gauss;
mod process;
mod run;
mod schedule;

use crate::{
    output::console::say,
    recipe::unknown_module,
    registry::{AnySchedule, Modules, module},
};
use clap::{Args, Subcommand, ValueEnum};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use toml::Table;
use tweedie::{
    Dual,
    schedule::{Schedule, Survival},
};
use tweedie::{Error, Result};
use tweedie_data::Shape;
use tweedie_plot::gallery::{Site, Stills};
use tweedie_plot::{Page, Theme};

/// A page, or why there is none.
type Made = Result<Page>;

/// `tweedie plot`.
#[derive(Debug, Args)]
pub struct Plot {
    /// What to draw
    #[command(subcommand)]
    pub what: What,
    /// Folder of the pages and pictures
    #[arg(long, global = true, default_value = "plots", value_name = "DIR")]
    pub out: PathBuf,
    /// Colours of the PNG files; a page follows the reader's own and can be switched
    #[arg(long, global = true, value_enum, default_value_t = Paper::Light)]
    pub theme: Paper,
    /// Write SVG files beside the PNG files
    #[arg(long, global = true)]
    pub svg: bool,
    /// Seed of everything drawn at random
    #[arg(long, global = true, default_value_t = 0, value_name = "N")]
    pub seed: u64,
}

/// Colours.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Paper {
    /// Dark on white
    Light,
    /// Light on dark
    Dark,
}

/// What pixels become.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// x_t = α x + σ ε
    Gaussian,
    /// Another colour, any of 256 a channel
    Uniform,
    /// Masked
    Absorbing,
}

/// Points to start from.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Cloud {
    /// Two half circles that reach into each other
    Moons,
    /// Two circles
    Rings,
    /// Two arms
    Spirals,
    /// Eight Gaussians on a circle
    Gaussians,
    /// Eight squares of a board
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

/// What to draw.
#[derive(Debug, Subcommand)]
pub enum What {
    /// The normal density: mean, shaded area, families
    Univariate {
        /// Mean
        #[arg(long, default_value_t = 0.0, allow_negative_numbers = true)]
        mean: f64,
        /// Standard deviation
        #[arg(long, default_value_t = 1.0)]
        std: f64,
        /// Where the shaded area begins [default: one standard deviation below the mean]
        #[arg(long, allow_negative_numbers = true)]
        low: Option<f64>,
        /// Where it ends [default: one standard deviation above the mean]
        #[arg(long, allow_negative_numbers = true)]
        high: Option<f64>,
    },
    /// The joint density of two numbers: surface, marginals, covariance, draws
    Bivariate {
        /// Correlation, between −1 and 1
        #[arg(long, default_value_t = 0.8, allow_negative_numbers = true)]
        correlation: f64,
        /// Standard deviations
        #[arg(long, num_args = 2, default_values_t = [1.0, 1.0], value_names = ["FIRST", "SECOND"])]
        std: Vec<f64>,
    },
    /// What one number tells of another: a slice that moves through a joint density
    Conditional {
        /// Correlation, between −1 and 1
        #[arg(long, default_value_t = 0.8, allow_negative_numbers = true)]
        correlation: f64,
        /// Means
        #[arg(long, num_args = 2, default_values_t = [0.0, 1.0], allow_negative_numbers = true, value_names = ["FIRST", "SECOND"])]
        mean: Vec<f64>,
        /// Standard deviations
        #[arg(long, num_args = 2, default_values_t = [1.0, 1.0], value_names = ["FIRST", "SECOND"])]
        std: Vec<f64>,
        /// Places of the slider
        #[arg(long, default_value_t = 41, value_name = "N", value_parser = clap::value_parser!(u16).range(2..=200))]
        frames: u16,
    },
    /// Two densities, their convolution on a grid, and the exact density of the sum
    Convolution {
        /// normal:MEAN:STD or uniform:LOW:HIGH
        #[arg(long, default_value = "normal:-1:0.6", value_name = "DENSITY")]
        first: gauss::Law,
        /// normal:MEAN:STD or uniform:LOW:HIGH
        #[arg(long, default_value = "uniform:0:3", value_name = "DENSITY")]
        second: gauss::Law,
        /// Points of the grid
        #[arg(long, default_value_t = 2001, value_name = "N", value_parser = clap::value_parser!(u32).range(3..=1_000_000))]
        points: u32,
    },
    /// An image that becomes noise, with the histogram of its values
    Forward {
        /// PNG or JPEG [default: a picture of our own]
        image: Option<PathBuf>,
        /// Schedule by name, as in `tweedie list schedule`
        #[arg(long, default_value = "cosine", value_name = "NAME")]
        schedule: String,
        /// What pixels become
        #[arg(long, value_enum, default_value_t = Kind::Gaussian)]
        noise: Kind,
        /// Places of the slider
        #[arg(long, default_value_t = 24, value_name = "N", value_parser = clap::value_parser!(u16).range(2..=60))]
        frames: u16,
        /// The longer side of the image as drawn, in pixels
        #[arg(long, default_value_t = 112, value_name = "N", value_parser = clap::value_parser!(u16).range(8..=256))]
        side: u16,
    },
    /// Signal, noise, log-SNR, rate and weights of schedules
    Schedule {
        /// Schedules by name, as in `tweedie list schedule` [default: five that differ]
        names: Vec<String>,
    },
    /// Points that flow to noise and, by an exact denoiser, back
    Process {
        /// Where the points come from
        #[arg(long, value_enum, default_value_t = Cloud::Moons)]
        data: Cloud,
        /// Schedule by name, as in `tweedie list schedule`
        #[arg(long, default_value = "variance-preserving", value_name = "NAME")]
        schedule: String,
        /// Points
        #[arg(long, default_value_t = 300, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=2000))]
        points: u16,
        /// Steps each way
        #[arg(long, default_value_t = 24, value_name = "N", value_parser = clap::value_parser!(u16).range(2..=100))]
        steps: u16,
    },
    /// The curves and samples of a training run
    Run {
        /// Folder of the run
        run: PathBuf,
    },
    /// All of it, as pages with an index
    Gallery {
        /// PNG or JPEG to be noised [default: a picture of our own]
        #[arg(long, value_name = "FILE")]
        image: Option<PathBuf>,
        /// Folder of a run, for a page of its own
        #[arg(long, value_name = "DIR")]
        run: Option<PathBuf>,
    },
}

/// Draws, and says what was written.
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

fn page(what: &What, seed: u64, modules: &Modules) -> Made {
    match what {
        What::Univariate { mean, std, low, high } => gauss::univariate(*mean, *std, *low, *high),
        What::Bivariate { correlation, std } => gauss::bivariate(*correlation, [std[0], std[1]], seed),
        What::Conditional { correlation, mean, std, frames } => {
            gauss::conditional(*correlation, [mean[0], mean[1]], [std[0], std[1]], usize::from(*frames), seed)
        }
        What::Convolution { first, second, points } => gauss::convolution(*first, *second, *points as usize),
        What::Forward { image, schedule: name, noise, frames, side } => {
            let picture = forward::picture(image.as_deref(), usize::from(*side))?;
            let schedule = schedule(name, modules)?;
            let schedule = match noise {
                Kind::Gaussian => schedule.schedule()?,
                Kind::Uniform | Kind::Absorbing => Arc::new(Signal(schedule.survival()?)),
            };
            forward::page(&picture, &*schedule, name, *noise, usize::from(*frames), seed)
        }
        What::Schedule { names } => {
            let names = match names.is_empty() {
                true => ["linear", "cosine", "sqrt", "flow-matching", "ornstein-uhlenbeck"].map(str::to_owned).to_vec(),
                false => names.clone(),
            };
            let all = names.iter().map(|name| {
                let schedule = schedule(name, modules)?;
                let shown = match schedule.schedule() {
                    Ok(shown) => shown,
                    Err(_) => Arc::new(Signal(schedule.survival()?)),
                };
                Ok((name.clone(), shown))
            });
            schedule::page(&all.collect::<Result<Vec<_>>>()?)
        }
        What::Process { data, schedule: name, points, steps } => process::page(
            data.shape(),
            schedule(name, modules)?.schedule()?,
            usize::from(*points),
            usize::from(*steps),
            seed,
        ),
        What::Run { run } => run::page(run),
        What::Gallery { .. } => unreachable!("a gallery is many pages"),
    }
}

/// Every page at its defaults.
fn gallery(image: Option<&Path>, run: Option<&Path>, seed: u64, modules: &Modules) -> Result<Site> {
    let image = image.map(Path::to_path_buf);
    let forward = |noise, schedule: &str| What::Forward {
        image: image.clone(),
        schedule: schedule.into(),
        noise,
        frames: 24,
        side: 112,
    };
    let process = |data| What::Process { data, schedule: "variance-preserving".into(), points: 300, steps: 24 };
    let all = [
        What::Univariate { mean: 0.0, std: 1.0, low: None, high: None },
        What::Bivariate { correlation: 0.8, std: vec![1.0; 2] },
        What::Conditional { correlation: 0.8, mean: vec![0.0, 1.0], std: vec![1.0; 2], frames: 41 },
        What::Convolution {
            first: gauss::Law::normal(-1.0, 0.6)?,
            second: gauss::Law::Uniform([0.0, 3.0]),
            points: 2001,
        },
        forward(Kind::Gaussian, "cosine"),
        forward(Kind::Uniform, "flow-matching"),
        forward(Kind::Absorbing, "flow-matching"),
        What::Schedule { names: Vec::new() },
        process(Cloud::Moons),
        process(Cloud::Rings),
        process(Cloud::Gaussians),
    ];
    let mut pages = all.iter().map(|what| page(what, seed, modules)).collect::<Result<Vec<_>>>()?;
    if let Some(folder) = run {
        pages.push(run::page(folder)?);
    }
    let text = "Diffusion models are applied Gaussians. Every picture here answers the pointer, and is made by a few lines \
                that its page shows.";
    Ok(Site { title: "tweedie: the pictures".into(), text: text.into(), pages })
}

/// Survival probabilities, plotted in place of a signal scale α.
#[derive(Debug)]
struct Signal(Arc<dyn Survival>);
impl Schedule for Signal {
    fn alpha(&self, t: Dual) -> Dual {
        self.0.survival(t)
    }
}

/// A schedule by name, at its defaults.
fn schedule(name: &str, modules: &Modules) -> Result<AnySchedule> {
    let known = modules.schedules.names();
    if !known.contains(&name) {
        return Err(Error::invalid(unknown_module(module::Kind::Schedule, name, &known)));
    }
    Ok(modules.schedules.build(name, Table::new())?.0)
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
    fn the_lines_shown_are_the_lines_that_run() {
        let source =
            "fn f() {\n    // show a\n    let x = 1;\n    if x > 0 {\n        g();\n    }\n    // show\n    h();\n}\n";
        assert_eq!(code(source, "a"), "let x = 1;\nif x > 0 {\n    g();\n}");
        assert_eq!(code(source, "b"), "");
    }

    #[test]
    fn every_page_of_the_gallery_is_whole() {
        let site = gallery(None, None, 0, &Modules::default()).unwrap();
        let mut slugs: Vec<&str> = site.pages.iter().map(|page| page.slug.as_str()).collect();
        assert_eq!(slugs.len(), 11);
        slugs.dedup();
        assert_eq!(slugs.len(), 11, "no page is written over another: {slugs:?}");
        for page in &site.pages {
            assert!(!page.text.is_empty() && !page.formula.is_empty() && !page.code.is_empty(), "{}", page.slug);
            assert!(page.html(&[]).len() < 5_000_000, "{}", page.slug);
            for figure in &page.figures {
                assert_eq!(figure.missing_glyphs(), Vec::<char>::new(), "{}", page.slug);
            }
        }
    }
}
