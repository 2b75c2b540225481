//! `box`: MCP servers as managed processes in sandboxes, each of which may hold many of them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::{Cause, Failure, Secret, Stage};

/// One server, what its sandbox must be like, and how its files get there.
#[derive(Clone, Debug, PartialEq)]
pub struct Sandbox {
    pub command: String,
    pub args: Vec<String>,
    /// Of the server alone.
    pub env: BTreeMap<String, Secret>,
    /// `false`: it is configured, but no sandbox may be made; nothing ever runs on the host instead.
    pub enabled: bool,
    /// `None`: a container on the engine of this host.
    pub runtime: Option<SandboxRuntime>,
    pub sharing: Sharing,
    pub profile: SandboxProfile,
    pub staging: Staging,
    pub install: Install,
    /// How long the world that sandboxes live in may be out of reach at a start.
    pub startup_timeout: Duration,
}

/// Servers share a sandbox only where all of this is equal.
#[derive(Clone, Debug, PartialEq)]
pub struct SandboxProfile {
    pub image: String,
    pub network: SandboxNetwork,
    /// Processors.
    pub cpus: f64,
    /// MiB.
    pub memory_mb: u64,
    /// Processes and threads of all servers together.
    pub pids_limit: u64,
    pub read_only_rootfs: bool,
}

impl Default for SandboxProfile {
    /// As the runtime that this mode was modelled on, but for the memory: that of its later versions, which suits
    /// Node, too.
    fn default() -> Self {
        Self {
            image: "rockchin/langbot-sandbox:latest".to_owned(),
            network: SandboxNetwork::On,
            cpus: 1.0,
            memory_mb: 1_536,
            pids_limit: 128,
            read_only_rootfs: false,
        }
    }
}

/// `network`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SandboxNetwork {
    /// The engine's usual one.
    #[default]
    On,
    Off,
    /// `host`, or the name of a network of the engine.
    Named(String),
}

impl SandboxNetwork {
    /// As it is written in the configuration.
    pub fn name(&self) -> &str {
        match self {
            SandboxNetwork::On => "on",
            SandboxNetwork::Off => "off",
            SandboxNetwork::Named(name) => name,
        }
    }
}

/// Who may be in one sandbox.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    strum::Display,
    strum::EnumString,
    strum::VariantNames,
)]
#[strum(serialize_all = "snake_case")]
pub enum Sharing {
    /// Servers of one session.
    #[default]
    Session,
    /// Servers of all sessions that ask for this.
    Shared,
}

/// What a configuration says of the host's project directory. Servers have a copy in any case: a sandbox is shared, and
/// nothing in it reaches the host.
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
pub enum HostPathMode {
    #[default]
    Ro,
    /// Where it comes from it has no effect on projects that are copied, either. The log tells that it has none.
    Rw,
}

/// How the files of a project get into the sandbox.
#[derive(Clone, Debug, PartialEq)]
pub struct Staging {
    /// `None`: inferred from the command and its arguments.
    pub host_path: Option<PathBuf>,
    pub mode: HostPathMode,
    /// A project must be one of these directories, or below one.
    pub roots: Vec<PathBuf>,
    /// Names of files and directories that are left out, besides those that always are.
    pub ignore: Vec<String>,
    /// Bytes of all files together.
    pub max_size: u64,
    /// Files, directories and links together.
    pub max_entries: u64,
    /// MiB that one server may fill in the workspace; 0 is no limit.
    pub quota_mb: u64,
}

impl Default for Staging {
    fn default() -> Self {
        Self {
            host_path: None,
            mode: HostPathMode::Ro,
            roots: Vec::new(),
            ignore: Vec::new(),
            max_size: 512 << 20,
            max_entries: 50_000,
            quota_mb: 2_048,
        }
    }
}

/// How the dependencies of a project are installed.
#[derive(Clone, Debug, PartialEq)]
pub struct Install {
    /// Seen by the installation, not by the server: indexes, proxies, options of pip and npm.
    pub env: BTreeMap<String, Secret>,
    pub timeout: Duration,
}

impl Default for Install {
    fn default() -> Self {
        Self {
            env: BTreeMap::new(),
            timeout: Duration::from_secs(300),
        }
    }
}

/// A Box runtime that somebody else runs.
#[derive(Clone, Debug, PartialEq)]
pub struct SandboxRuntime {
    /// `ws://host:port` or `wss://…`, without a path.
    pub endpoint: String,
    /// Of its control connection; only runtimes since 0.5 know one.
    pub token: Option<Secret>,
    /// Who we are and whose servers these are; `None` for runtimes before 0.5, which know no tenants.
    pub tenant: Option<SandboxTenant>,
    /// PEM certificates to trust besides those of the system.
    pub ca_file: Option<PathBuf>,
    /// The file that configures it: whoever has to delete what is left there finds the token in it.
    pub configured_in: PathBuf,
}

/// What a runtime since 0.5 asks of each connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SandboxTenant {
    /// `X-LangBot-Instance-Id`
    pub instance: String,
    /// `X-LangBot-Workspace-Id`
    pub workspace: String,
    /// `X-LangBot-Placement-Generation`
    pub generation: u64,
}

/// What was being done for a sandboxed server: a stage by the name that operators of sandboxes know.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, strum::Display, strum::EnumString, strum::EnumIter,
)]
#[strum(serialize_all = "snake_case")]
pub enum SandboxPhase {
    /// Making the sandbox.
    SessionCreate,
    /// Putting the project into it.
    Staging,
    /// Installing what the project depends on.
    DepInstall,
    ProcessStart,
    /// Reaching the streams of a process that a runtime elsewhere has started.
    RelayConnect,
    McpInit,
    /// It was ready and died, or stopped answering.
    Runtime,
    ToolCall,
    /// What sandboxes are made of is away, or switched off.
    BoxUnavailable,
}

impl SandboxPhase {
    pub fn stage(self) -> Stage {
        match self {
            SandboxPhase::BoxUnavailable => Stage::Check,
            SandboxPhase::SessionCreate => Stage::Create,
            SandboxPhase::Staging | SandboxPhase::DepInstall => Stage::Prepare,
            SandboxPhase::ProcessStart => Stage::Start,
            SandboxPhase::RelayConnect => Stage::Connect,
            SandboxPhase::McpInit => Stage::Initialize,
            SandboxPhase::Runtime => Stage::Run,
            SandboxPhase::ToolCall => Stage::Call,
        }
    }

    /// The one that a stage is where nothing more is known; what happens to files and dependencies tells by itself.
    pub fn of(stage: Stage) -> Option<Self> {
        Some(match stage {
            Stage::Check => SandboxPhase::BoxUnavailable,
            Stage::Create => SandboxPhase::SessionCreate,
            Stage::Start => SandboxPhase::ProcessStart,
            Stage::Connect => SandboxPhase::RelayConnect,
            Stage::Initialize => SandboxPhase::McpInit,
            Stage::Run => SandboxPhase::Runtime,
            Stage::Call => SandboxPhase::ToolCall,
            Stage::Config | Stage::Prepare | Stage::Stop | Stage::Remove => return None,
        })
    }

    pub fn failed(self, cause: Cause) -> Failure {
        Failure::new(self.stage(), cause).at(self)
    }

    /// A failure that would be the same the next time: it is not tried again.
    pub fn refused(self, text: impl Into<String>) -> Failure {
        self.failed(Cause::Config(text.into()))
    }

    pub fn caused_by(
        self,
        context: impl Into<String>,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Failure {
        Failure::caused_by(self.stage(), context, source).at(self)
    }
}
