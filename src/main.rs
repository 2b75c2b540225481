//! Parses the arguments, runs a front end, exits with its code.

use std::io::{Write, stderr, stdout};
use std::process::ExitCode;

use envdeck::cli::{Cli, Command};
use envdeck::commands::{check, console, exit, serve};
use envdeck::drivers::Installed;
use envdeck::paths::Paths;

fn main() -> ExitCode {
    match run() {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            // Not `eprintln!`: it panics where the terminal is gone.
            let _ = writeln!(stderr(), "envdeck: {error:#}");
            ExitCode::from(exit::ENVIRONMENT)
        }
    }
}

fn run() -> anyhow::Result<u8> {
    let paths = Paths::of_user()?;
    let cli = Cli::parse_with(&paths.log());
    match cli.command {
        Some(Command::Check { config }) => {
            let env = |name: &str| std::env::var(name).ok();
            Ok(check::run(
                &config,
                &env,
                &Installed::available,
                &mut stdout(),
                &mut stderr(),
            )?)
        }
        Some(Command::Serve(options)) => serve::run(&options, &paths),
        None => console::run(&cli.console, &paths),
    }
}
