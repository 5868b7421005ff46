//! The command line tool.
fn main() -> std::process::ExitCode {
    tweedie_cli::run(tweedie_cli::Modules::default())
}
