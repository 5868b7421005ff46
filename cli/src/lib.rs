//! The command line of tweedie as a library: a custom tool is three lines.
//!
//! ```no_run
//! use tweedie_cli::Modules;
//! fn main() -> std::process::ExitCode {
//!     tweedie_cli::run(Modules::default())
//! }
//! ```
//!
//! [`Modules`] is the registry of names: built-in and custom modules are registered by the same methods, and recipes,
//! error messages and `tweedie list` include both.
mod args;
mod commands;
mod data;
mod device;
mod dyn_model;
mod dyn_transform;
mod flags;
#[doc(hidden)]
pub mod fuzzing;
mod messages;
mod needs;
mod output;
mod recipe;
mod registry;
mod run_dir;

#[doc = include_str!("tutorial/registering.md")]
pub mod registering {}

pub use data::categories::{Categories, Shown};
pub use data::{
    DataKind, Digest, Facts, ImageSet, Loaded, PointSource, Set, Source, SphereSource, Split, TextSet, WaveSource,
};
pub use registry::settings::{
    LossOf, NetConfig, NoiseConfig, Part, ScheduleOf, Settings, SpacingOf, TransformConfig, WeightOf,
};
pub use registry::{AnySchedule, Modules, Rank};
/// A table of a recipe.
pub use toml::Table;
/// The dimensions of a net that the data and the noise determine, and the memory that it needs.
pub use tweedie::net::{Footprint, Task};

use clap::Parser;
use std::{ffi::OsString, process::ExitCode};

/// Exit status of training that was stopped by Ctrl-C and can be resumed.
const INTERRUPTED: u8 = 130;

/// Runs the command line with the given modules.
///
/// Exit status: 0 on success, 1 for errors in the recipe, the data or files, 2 for errors in the command line, 130 if
/// training was stopped by Ctrl-C.
pub fn run(modules: Modules) -> ExitCode {
    run_from(modules, std::env::args_os())
}

/// [`run`] with explicit arguments, the first of which is the name of the tool.
pub fn run_from(modules: Modules, arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> ExitCode {
    let cli = match args::Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let error = flags::explained(error);
            // Help is printed to standard output with exit status 0.
            return match output::console::written(error.print()) {
                Err(error) => failure(&error),
                Ok(()) => ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2)),
            };
        }
    };
    let done = device::guarded(|| command(&cli.command, &modules));
    let written = output::console::written(Ok(()));
    match done.and_then(|done| written.map(|()| done)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(INTERRUPTED),
        Err(error) => failure(&error),
    }
}

/// Runs a command; `false` if it is a training that was interrupted.
fn command(command: &args::Command, modules: &Modules) -> tweedie::Result<bool> {
    match command {
        args::Command::Train(args) => commands::train::run(args, modules),
        args::Command::Sample(args) => commands::sample::run(args, modules).map(|()| true),
        args::Command::Evaluate(args) => commands::evaluate::run(args, modules).map(|()| true),
        args::Command::Schema => {
            commands::schema::run(modules);
            Ok(true)
        }
        args::Command::Devices => {
            commands::devices::run();
            Ok(true)
        }
        args::Command::List(args) => commands::list::run(args, modules).map(|()| true),
        args::Command::Verify(args) => commands::verify::run(args, modules).map(|()| true),
        args::Command::Compare(args) => commands::compare::run(args, modules).map(|()| true),
        args::Command::Plot(args) => commands::plot::run(args, modules).map(|()| true),
    }
}

/// Reports an error.
fn failure(error: &tweedie::Error) -> ExitCode {
    let text = error.to_string();
    // An error that quotes a line of a recipe ends with that line.
    let text = if text.contains('\n') { text } else { messages::sentence(&text) };
    output::console::note(&format!("error: {text}"));
    ExitCode::FAILURE
}
