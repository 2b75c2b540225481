//! `envdeck completions`: a script for a shell, from the definitions of the command line.

use std::io::{self, Write};
use std::path::Path;

use clap_complete::{Shell, generate};

use crate::cli::Cli;

/// Writes the script to `out`.
///
/// # Errors
/// Only of the writer.
pub fn run(shell: Shell, log_path: &Path, out: &mut dyn Write) -> io::Result<()> {
    // Into memory first: `generate` panics where it cannot write.
    let mut script = Vec::new();
    generate(
        shell,
        &mut Cli::command_with(log_path),
        "envdeck",
        &mut script,
    );
    out.write_all(&script)
}
