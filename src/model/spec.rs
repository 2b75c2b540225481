//! A backend as configured and validated: everything a driver needs to make instances of it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::{BackendName, ContainerOptions, Failure, HttpServer, Sandbox, SandboxPhase, Template};

/// A configured value that must never be shown: `Debug` and `Display` print `•••`.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(String);

impl Secret {
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself, for the one place that passes it on.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("•••")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("•••")
    }
}

#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Default,
    strum::Display,
    strum::EnumString,
    strum::VariantNames,
)]
#[strum(serialize_all = "snake_case")]
pub enum Scope {
    /// Each session has its own instances.
    #[default]
    Session,
    /// One instance for everybody, provisioned once at start-up.
    SharedGlobal,
}

#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Default,
    strum::Display,
    strum::EnumString,
    strum::VariantNames,
)]
#[strum(serialize_all = "snake_case")]
pub enum Transport {
    #[default]
    Http,
    Stdio,
}

/// `startup_check_mcp_tool`: a call that must succeed before an instance is ready.
#[derive(Clone, Debug, PartialEq)]
pub struct StartupCheck {
    pub tool: String,
    /// A JSON object.
    pub arguments: Value,
}

/// What happens when an instance dies after it was ready. A start that was asked for is never repeated by itself.
#[derive(Clone, Debug, PartialEq)]
pub enum RestartPolicy {
    Never,
    OnFailure {
        /// Automatic starts before giving up.
        attempts: u32,
        /// The first pause; it doubles up to `ceiling`, with jitter.
        backoff: Duration,
        ceiling: Duration,
        /// Being ready for this long gives the whole budget back.
        stable: Duration,
    },
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self::OnFailure {
            attempts: 3,
            backoff: Duration::from_secs(1),
            ceiling: Duration::from_secs(30),
            stable: Duration::from_secs(60),
        }
    }
}

impl RestartPolicy {
    /// Of the mode `box` where nothing is said: three times, after 2, 4 and 8 seconds.
    pub fn of_sandboxes() -> Self {
        Self::OnFailure {
            attempts: 3,
            backoff: Duration::from_secs(2),
            ceiling: Duration::from_secs(8),
            stable: Duration::from_secs(60),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct HealthPolicy {
    pub interval: Duration,
    pub timeout: Duration,
    /// Consecutive unanswered probes, with no call in flight, that count as death; 0 never does.
    pub failures: u32,
}

impl Default for HealthPolicy {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(5),
            failures: 3,
        }
    }
}

/// A configured kind of environment.
#[derive(Clone, Debug, PartialEq)]
pub struct Backend {
    pub name: BackendName,
    /// `backend_type`, an identifier.
    pub kind: String,
    pub mode: Mode,
    pub scope: Scope,
    pub transport: Transport,
    pub startup_check: Option<StartupCheck>,
    pub restart: RestartPolicy,
    pub health: HealthPolicy,
    /// From its own start (not its place in the queue) to ready.
    pub start_timeout: Duration,
    /// Time without answer or progress after which a call ends.
    pub call_timeout: Duration,
    /// Hard maximum of a call, whatever its progress.
    pub call_max_timeout: Duration,
    /// Between asking an instance to end and killing it.
    pub stop_grace: Duration,
}

/// `orchestration_mode` with what it needs.
#[derive(Clone, Debug, PartialEq)]
pub enum Mode {
    /// The demo server inside this process.
    Embedded,
    LocalProcess(LocalProcess),
    LocalDocker(Box<LocalDocker>),
    RemoteHttpApi(Box<RemoteHttpApi>),
    /// `external`: a server that somebody else runs.
    External(Box<HttpServer>),
    /// `box`: a managed process in a shared sandbox.
    Sandbox(Box<Sandbox>),
}

impl Mode {
    /// Its name in the configuration file.
    pub fn name(&self) -> &'static str {
        match self {
            Mode::Embedded => "embedded",
            Mode::LocalProcess(_) => "local_process",
            Mode::LocalDocker(_) => "local_docker",
            Mode::RemoteHttpApi(_) => "remote_http_api",
            Mode::External(_) => "external",
            Mode::Sandbox(_) => "box",
        }
    }

    /// The failure by the names that this mode has for stages.
    #[must_use]
    pub fn named(&self, failure: Failure) -> Failure {
        match (self, SandboxPhase::of(failure.stage)) {
            (Mode::Sandbox(_), Some(phase)) => failure.or_at(phase),
            _ => failure,
        }
    }

    /// Whether a start that was asked for and failed is tried again, as one after a death is.
    pub fn repeats_starts(&self) -> bool {
        matches!(self, Mode::Sandbox(_))
    }

    /// What a list column has room for.
    pub fn short(&self) -> &'static str {
        match self {
            Mode::Embedded => "embedded",
            Mode::LocalProcess(_) => "process",
            Mode::LocalDocker(_) => "docker",
            Mode::RemoteHttpApi(_) => "remote",
            Mode::External(_) => "external",
            Mode::Sandbox(_) => "box",
        }
    }
}

/// `local_process`: a child in its own process group that speaks MCP on stdin and stdout.
#[derive(Clone, Debug, PartialEq)]
pub struct LocalProcess {
    pub command: String,
    pub args: Vec<String>,
    /// Added to our own environment.
    pub env: BTreeMap<String, Secret>,
    pub cwd: Option<PathBuf>,
}

/// `local_docker`: a container of an engine on this host.
#[derive(Clone, Debug, PartialEq)]
pub struct LocalDocker {
    pub image: String,
    /// Where it speaks MCP over HTTP.
    pub container_port: Option<u16>,
    /// Replaces the image's own.
    pub command: Option<Vec<String>>,
    pub template: Option<Template>,
    /// `template_commit_delay_s`: how long a template container runs before it is committed; `None` where
    /// nothing is said of it.
    pub commit_delay: Option<Duration>,
    pub options: ContainerOptions,
}

/// `remote_http_api`: a provisioning API that hands out instances.
#[derive(Clone, Debug, PartialEq)]
pub struct RemoteHttpApi {
    pub api: Arc<RemoteApi>,
    pub resource_type: String,
    /// `template_details` of the request for a session, for the API to understand.
    pub template_details: Option<Value>,
}

/// Where instances are asked for, and where they are given back.
#[derive(Clone, Debug, PartialEq)]
pub struct RemoteApi {
    /// Absolute, `http` or `https`; may hold a password.
    pub base_url: Secret,
    pub create_instance_endpoint: String,
    /// Holds [`RemoteApi::ID`].
    pub delete_instance_endpoint_template: String,
    /// Where tools are called, if not at the instance's own MCP endpoint; holds [`RemoteApi::ID`].
    pub call_tool_endpoint_template: Option<String>,
    pub auth: RemoteAuth,
    /// For one request, from its first byte to the last of its answer.
    pub timeout: Duration,
    /// For the name, the TCP connection and TLS together.
    pub connect_timeout: Duration,
    /// As [`HttpServer::ca_file`]; for the instances, too.
    pub ca_file: Option<PathBuf>,
    /// As [`HttpServer::trust_env`]; for the instances, too.
    pub trust_env: bool,
    /// The file that configures it: whoever has to delete its instances later finds the secrets there.
    pub configured_in: PathBuf,
}

impl RemoteApi {
    /// Stands for the API's own id of an instance in a template.
    pub const ID: &'static str = "{remote_instance_id}";

    /// How its requests are sent.
    pub fn server(&self) -> HttpServer {
        let headers = match &self.auth {
            RemoteAuth::None => vec![],
            RemoteAuth::Bearer(token) => {
                let value = Secret::new(format!("Bearer {}", token.expose()));
                vec![("Authorization".to_owned(), value)]
            }
            RemoteAuth::Header { name, value } => vec![(name.clone(), value.clone())],
        };
        HttpServer {
            headers,
            connect_timeout: self.connect_timeout,
            ca_file: self.ca_file.clone(),
            trust_env: self.trust_env,
            ..HttpServer::at(self.base_url.expose())
        }
    }

    /// Its URL without what is secret.
    pub fn shown_url(&self) -> String {
        let shown = HttpServer::at(self.base_url.expose()).shown_url();
        shown.trim_end_matches('/').to_owned()
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum RemoteAuth {
    None,
    Bearer(Secret),
    Header { name: String, value: Secret },
}

/// Limits of a whole run.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Instances starting at the same time.
    pub parallel_starts: usize,
    /// Largest MCP message accepted from a server, bytes.
    pub max_message: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            parallel_starts: 8,
            max_message: 256 << 20,
        }
    }
}
