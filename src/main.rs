//! Parses the arguments, runs a front end, exits with its code.

use std::io::{self, ErrorKind, Write, stderr, stdout};
use std::process::ExitCode;

use envdeck::cli::{Cli, Command};
use envdeck::commands::exit::{self, Ending};
use envdeck::commands::{call, check, completions, console, gc, ps, serve, tools};
use envdeck::paths::Paths;
use envdeck::signals;

fn main() -> ExitCode {
    match run() {
        Ok(Ending::Code(code)) => ExitCode::from(code),
        Ok(Ending::Signal(signal)) => signals::end_by(signal),
        // `| head`: whoever read us has seen enough.
        Err(error) if is_closed_pipe(&error) => ExitCode::from(exit::OK),
        Err(error) => {
            // Not `eprintln!`: it panics where the terminal is gone.
            let _ = writeln!(stderr(), "envdeck: {error:#}");
            ExitCode::from(exit::ENVIRONMENT)
        }
    }
}

fn run() -> anyhow::Result<Ending> {
    let paths = Paths::of_user()?;
    let cli = Cli::parse_with(&paths.log());
    match cli.command {
        Some(Command::Tools(options)) => tools::run(&options, &paths),
        Some(Command::Call(options)) => call::run(&options, &paths),
        Some(Command::Ps { json }) => ps::run(json, &paths, &mut stdout()),
        Some(Command::Gc { dry_run }) => gc::run(dry_run, &paths, &mut stdout()),
        Some(Command::Check { config }) => {
            let env = |name: &str| std::env::var(name).ok();
            let (out, err) = (&mut stdout(), &mut stderr());
            let code = check::run(&config, &env, out, err)?;
            Ok(Ending::Code(code))
        }
        Some(Command::Serve(options)) => serve::run(&options, &paths).map(Ending::Code),
        Some(Command::Completions { shell }) => {
            completions::run(shell, &paths.log(), &mut stdout())?;
            Ok(Ending::Code(exit::OK))
        }
        None => console::run(&cli.console, &paths).map(Ending::Code),
    }
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<io::Error>();
    io.is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}
