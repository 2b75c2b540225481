//! How a container is made: everything configured for it, parsed, and in no engine's own words.

mod isolation;
mod network;
mod resources;
mod storage;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

pub use isolation::{Isolation, Seccomp};
pub use network::{ExtraHost, Network, Port, Protocol, PublishedPort};
pub use resources::{
    Device, DeviceRate, DeviceRequest, DeviceWeight, Devices, Resources, Swap, Ulimit,
};
pub use storage::{HostMount, Mount, MountSource, Propagation, Relabel, Storage, VolumeMount};

use super::Secret;

/// Labels that begin with this are envdeck's own: they say what may be removed, so no configuration sets them.
pub const OWN_LABELS: &str = "envdeck.";

/// The options of one container, merged from `global_docker_options`, the keys of the backend and
/// `docker_run_args`, in this order; the default is what a backend gets that configures nothing.
///
/// What is `None` or empty is left to the image or to the engine.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ContainerOptions {
    /// Secret, whatever they are and wherever they were written.
    pub environment: BTreeMap<String, Secret>,
    pub labels: BTreeMap<String, String>,
    /// Replaces the image's; an empty one takes it away.
    pub entrypoint: Option<Vec<String>>,
    /// `name` or `uid`, with `:group` or `:gid`.
    pub user: Option<String>,
    pub working_dir: Option<String>,
    /// What the engine sends to ask it to end: `SIGINT` or a number.
    pub stop_signal: Option<String>,
    /// Keep stdin open over HTTP, too; over stdio it always is.
    pub keep_stdin_open: bool,
    pub health: HealthCheck,
    /// `os[/architecture[/variant]]`.
    pub platform: Option<String>,
    pub pull: Pull,
    /// The OCI runtime.
    pub runtime: Option<String>,
    pub logging: Logging,
    pub storage: Storage,
    pub network: Network,
    pub resources: Resources,
    pub devices: Devices,
    pub isolation: Isolation,
}

/// When the image is pulled.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    strum::Display,
    strum::EnumString,
    strum::VariantNames,
)]
#[strum(serialize_all = "snake_case")]
pub enum Pull {
    Always,
    #[default]
    Missing,
    Never,
}

/// How the engine finds out whether a container is well, beside our own probes. What is `None` is left to the
/// image.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HealthCheck {
    /// Not at all, whatever the image says.
    pub disabled: bool,
    pub test: Option<HealthTest>,
    pub interval: Option<Duration>,
    pub timeout: Option<Duration>,
    pub start_period: Option<Duration>,
    pub retries: Option<u32>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum HealthTest {
    /// A program with its arguments.
    Command(Vec<String>),
    /// A line for the shell of the image.
    Shell(String),
}

/// Where the engine keeps what the container writes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Logging {
    pub driver: Option<String>,
    /// Some drivers take tokens.
    pub options: BTreeMap<String, Secret>,
}

/// Data that every new instance begins with.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    /// A file or directory on this host; it existed when the configuration was read.
    pub source: PathBuf,
    /// Where the container has it.
    pub target: String,
    pub way: TemplateWay,
}

/// How template data gets into a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TemplateWay {
    /// Each instance has a copy of its own on the host, mounted read-write.
    Copy,
    /// It is put into an image once, and instances start from that image.
    Image,
}
