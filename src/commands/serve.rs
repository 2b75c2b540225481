//! `envdeck serve`: the gateway without a screen.

use std::path::Path;

use super::exit;
use super::host::{FrontEnd, Host};
use super::progress::Progress;
use crate::cli::{DEFAULT_FILE, Place, Serve, Source};
use crate::config::{self, Config, Environment, Invalid};
use crate::paths::Paths;
use crate::telemetry;

/// Serves until told to end; returns the exit code.
pub fn run(options: &Serve, paths: &Paths) -> anyhow::Result<u8> {
    let env = |name: &str| std::env::var(name).ok();
    let config = match configuration(options, &env) {
        Ok(config) => config,
        Err(problem) => {
            Progress::new().line(&problem);
            return Ok(exit::USAGE);
        }
    };
    let (filter, format) = (options.logging.log.as_deref(), options.log_format);
    let mut host = Host::start(FrontEnd::Serve(format), paths, config, filter)?;
    let mut progress = Progress::of(Some(format));
    match host.listen() {
        Ok(address) => {
            progress.line(&format!("envdeck: serving on http://{address}/mcp"));
            host.wait();
            Ok(host.end(true))
        }
        Err(failure) => {
            progress.line(&format!("envdeck: {failure}"));
            host.end(true);
            Ok(exit::code(&failure))
        }
    }
}

fn configuration(options: &Serve, env: Environment) -> Result<Config, String> {
    let mut config = environments(options, env).map_err(|invalid| invalid.to_string())?;
    if let Some(problem) = telemetry::problem(options.logging.log.as_deref()) {
        return Err(problem);
    }
    let place = Place {
        host: options.host.clone(),
        port: options.port,
    };
    place.apply(&mut config.gateway);
    let access = options.access.apply(&mut config.gateway);
    access.map_err(|problem| format!("envdeck: {problem}"))?;
    Ok(config)
}

/// What is asked for; without a word about it the file that the predecessor read.
fn environments(options: &Serve, env: Environment) -> Result<Config, Invalid> {
    let default = Path::new(DEFAULT_FILE);
    if options.target.source() == Source::Demo && default.exists() {
        return config::load(default, env);
    }
    options.target.load(env)
}
