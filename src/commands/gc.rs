//! `envdeck gc`: removes what killed runs left, and nothing of runs that live.

use std::io::Write;

use anyhow::Context;
use tokio::runtime::Builder;

use super::exit;
use crate::drivers::Installed;
use crate::model::RunId;
use crate::paths::{Paths, RunDirectory};
use crate::stores::lines::clean;

/// Tells on `out` what was removed and on `err` what stays; returns the exit code.
///
/// # Errors
/// Of the writers and of the user's own directories.
pub fn run(paths: &Paths, out: &mut dyn Write, err: &mut dyn Write) -> anyhow::Result<u8> {
    let run = RunId::new(format!("{:016x}", rand::random::<u64>()));
    // Making ours removes those of runs that are dead.
    let directory = RunDirectory::create(&paths.cache, &run)
        .with_context(|| format!("{} can't be used", paths.cache.display()))?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let drivers = Installed::new(directory.path());
    let (mut removed, mut code) = (0, exit::OK);
    for driver in drivers.all() {
        let kind = driver.kind();
        match runtime.block_on(driver.reap(&run)) {
            Ok(0) => {}
            Ok(count) => {
                removed += count;
                writeln!(out, "{kind}: removed {count} left by killed runs")?;
            }
            Err(failure) => {
                code = exit::ENVIRONMENT;
                // It may quote an engine.
                writeln!(err, "{kind}: {}", clean(&failure.to_string()))?;
            }
        }
    }
    if removed == 0 && code == exit::OK {
        writeln!(out, "nothing was left by killed runs")?;
    }
    Ok(code)
}
