//! `envdeck check`: validates a configuration file.

use std::io::{self, Write};
use std::path::Path;

use super::exit;
use crate::config::{self, Config, Environment};

/// Writes a summary to `out`, or all problems to `err`, and returns the exit code.
///
/// # Errors
/// Only of the writers.
pub fn run(
    file: &Path,
    env: Environment,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<u8> {
    match config::load(file, env) {
        Ok(config) => {
            summarise(file, &config, out)?;
            Ok(exit::OK)
        }
        Err(invalid) => {
            writeln!(err, "{invalid}")?;
            Ok(exit::USAGE)
        }
    }
}

fn summarise(file: &Path, config: &Config, out: &mut dyn Write) -> io::Result<()> {
    let file = file.display();
    let infos = config::backend_infos(config);
    match infos.len() {
        0 => writeln!(
            out,
            "{file}: ok, but without backends there is nothing to start"
        )?,
        1 => writeln!(out, "{file}: ok: 1 backend")?,
        n => writeln!(out, "{file}: ok: {n} backends")?,
    }
    let width = infos
        .iter()
        .map(|info| info.name.chars().count())
        .max()
        .unwrap_or_default();
    for (info, backend) in infos.iter().zip(&config.backends) {
        let mode = backend.mode.name();
        let (name, transport, scope) = (&info.name, info.transport, info.scope);
        let summary = info.summary.escape_debug();
        writeln!(
            out,
            "  {name:width$}  {mode}, {transport}, {scope}: {summary}"
        )?;
    }
    Ok(())
}
