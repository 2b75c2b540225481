//! The configuration: validated, immutable, what the program reads.
//!
//! A file becomes a tree (`load`, `walk`), variables are filled in (`tree`, `interpolate`), and each level
//! is read into the model (`check`, `backend`, `process`, `docker`, `remote`, `external`,
//! `sandbox`) against what it may
//! hold (`schema`), collecting every problem with its place (`problem`).

mod adhoc;
mod backend;
mod check;
mod cursor;
mod docker;
mod external;
mod files;
mod gateway_options;
mod image;
mod interpolate;
mod load;
mod problem;
mod process;
mod remote;
mod sandbox;
mod schema;
mod summary;
mod tree;
mod units;
mod walk;

use std::path::PathBuf;
use std::sync::Arc;

pub use adhoc::{AtUrl, demo, of_command, of_url};
pub use image::{InContainer, of_image};
pub use interpolate::Environment;
pub use load::load;
pub use problem::{Invalid, Place, Problem};
pub use summary::backend_infos;
pub use units::duration;

use crate::model::{Backend, GatewayOptions, Limits, Mode, RemoteApi, SandboxRuntime};

/// Where a configuration came from.
#[derive(Clone, Debug, PartialEq)]
pub enum Origin {
    File(PathBuf),
    /// `envdeck -- COMMAND …`, `--image IMAGE` or `--url URL`
    AdHoc,
    Demo,
}

/// A validated configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    pub origin: Origin,
    /// In the order of the file.
    pub backends: Vec<Arc<Backend>>,
    /// A `tracing` filter directive such as `info`.
    pub log_level: String,
    pub limits: Limits,
    pub gateway: GatewayOptions,
}

impl Config {
    /// The APIs that its backends use.
    pub fn remote_apis(&self) -> Vec<Arc<RemoteApi>> {
        let api = |backend: &Arc<Backend>| match &backend.mode {
            Mode::RemoteHttpApi(remote) => Some(remote.api.clone()),
            _ => None,
        };
        self.backends.iter().filter_map(api).collect()
    }

    /// The Box runtimes that its backends use.
    pub fn sandbox_runtimes(&self) -> Vec<SandboxRuntime> {
        let runtime = |backend: &Arc<Backend>| match &backend.mode {
            Mode::Sandbox(sandbox) => sandbox.runtime.clone(),
            _ => None,
        };
        self.backends.iter().filter_map(runtime).collect()
    }
}
