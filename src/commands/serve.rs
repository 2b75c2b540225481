//! `envdeck serve`: the gateway without a screen.

use super::exit;
use super::host::Host;
use super::progress::Progress;
use crate::cli::Serve;
use crate::paths::Paths;

/// Serves until told to end; returns the exit code.
pub fn run(options: &Serve, paths: &Paths) -> anyhow::Result<u8> {
    let env = |name: &str| std::env::var(name).ok();
    let mut config = match options.target.load(&env) {
        Ok(config) => config,
        Err(invalid) => {
            Progress::new().line(&invalid.to_string());
            return Ok(exit::USAGE);
        }
    };
    if let Some(host) = &options.host {
        config.gateway.host.clone_from(host);
    }
    if let Some(port) = options.port {
        config.gateway.port = port;
    }
    let mut host = Host::start("serve", paths, config, options.logging.log.as_deref())?;
    let listening = host.listen();
    match &listening {
        Ok(address) => {
            Progress::new().line(&format!("envdeck: serving on http://{address}/mcp"));
            host.wait();
        }
        Err(failure) => Progress::new().line(&format!("envdeck: {failure}")),
    }
    let code = host.end(true);
    Ok(if listening.is_ok() {
        code
    } else {
        exit::ENVIRONMENT
    })
}
