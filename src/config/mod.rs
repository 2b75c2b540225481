//! The configuration: validated, immutable, what the program reads.

use std::path::PathBuf;
use std::sync::Arc;

use crate::model::{Backend, Limits};

/// Where a configuration came from.
#[derive(Clone, Debug, PartialEq)]
pub enum Origin {
    File(PathBuf),
    /// `envdeck -- COMMAND …`
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
}
