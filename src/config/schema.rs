//! The configuration file: which keys each level knows, and every default and range.

use std::ops::RangeInclusive;
use std::time::Duration;

pub(super) const ROOT: &[&str] = &[
    "backends",
    "global_remote_apis",
    "log_level",
    "global_docker_options",
    "global_remote_api_defaults",
    "limits",
    "gateway",
    "global_box_options",
];

/// Keys of a backend in any mode.
pub(super) const BACKEND: &[&str] = &[
    "backend_name_ref",
    "backend_type",
    "orchestration_mode",
    "instance_scoping",
    "mcp_transport",
    "startup_check_mcp_tool",
    "restart",
    "health",
    "start_timeout",
    "call_timeout",
    "call_max_timeout",
    "stop_grace",
];

/// `orchestration_mode`.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    strum::Display,
    strum::EnumString,
    strum::EnumIter,
    strum::VariantNames,
)]
#[strum(serialize_all = "snake_case")]
pub(super) enum ModeName {
    LocalProcess,
    LocalDocker,
    RemoteHttpApi,
    External,
    #[strum(serialize = "box")]
    Sandbox,
    Embedded,
}

impl ModeName {
    /// The keys that only this mode knows.
    pub fn keys(self) -> &'static [&'static str] {
        match self {
            ModeName::Embedded => &[],
            ModeName::LocalProcess => &["command", "args", "env", "cwd"],
            ModeName::LocalDocker => &[
                "docker_image",
                "container_port",
                "template_data_path_host",
                "container_template_data_path",
                "docker_run_args",
                "container_command",
                "container_volumes",
                "container_env",
                "template_mount",
                "resources",
                "hardening",
            ],
            ModeName::Sandbox => &["command", "args", "env", "box"],
            ModeName::RemoteHttpApi => &[
                "remote_api_config_ref",
                "remote_api_config_inline",
                "remote_resource_type_identifier",
            ],
            ModeName::External => &[
                "url",
                "headers",
                "connect_timeout",
                "ca_file",
                "trust_env",
                "legacy_sse",
                "oauth",
            ],
        }
    }

    /// What `backend_type` is where the file may leave it out.
    pub fn default_kind(self) -> Option<&'static str> {
        match self {
            ModeName::LocalProcess => Some("process"),
            ModeName::Sandbox => Some("box"),
            ModeName::Embedded => Some("demo"),
            ModeName::External => Some("external"),
            ModeName::LocalDocker | ModeName::RemoteHttpApi => None,
        }
    }
}

/// The inherited values of `backend_type`, for hints; any other identifier is as good.
pub(super) const KINDS: &[&str] = &[
    "filesystem",
    "duckdb",
    "memory",
    "everything",
    "fetch",
    "time",
];

pub(super) const OAUTH: &[&str] = &["client_id", "client_secret", "callback_port"];
pub(super) const STARTUP_CHECK: &[&str] = &["tool_name", "arguments"];
pub(super) const RESTART: &[&str] = &["policy", "attempts", "backoff", "ceiling", "stable"];
pub(super) const HEALTH: &[&str] = &["interval", "timeout", "failures"];
pub(super) const LIMITS: &[&str] = &["parallel_starts", "max_message"];
pub(super) const GATEWAY: &[&str] = &[
    "host",
    "port",
    "token",
    "insecure",
    "allowed_hosts",
    "allowed_origins",
    "template_roots",
    "session_idle_timeout",
    "client_idle_timeout",
    "read_timeout",
    "stream_after",
    "max_sessions",
    "max_instances",
    "max_calls",
    "max_clients",
    "max_connections",
    "max_body",
];
/// `box`, and as defaults for all of them `global_box_options`.
pub(super) const BOX: &[&str] = &[
    "image",
    "network",
    "host_path",
    "host_path_mode",
    "env",
    "startup_timeout_sec",
    "cpus",
    "memory_mb",
    "pids_limit",
    "read_only_rootfs",
    "sharing",
    "install_timeout",
    "allowed_mount_roots",
    "ignore",
    "max_size",
    "max_entries",
    "workspace_quota_mb",
    "endpoint",
    "token",
    "instance",
    "workspace",
    "generation",
    "ca_file",
];
/// The key of `global_box_options` that `box` has not.
pub(super) const BOX_ENABLED: &str = "enabled";
pub(super) const RESOURCES: &[&str] = &["cpus", "memory", "pids"];
pub(super) const HARDENING: &[&str] = &["no_new_privileges", "drop_capabilities", "init"];
pub(super) const API: &[&str] = &[
    "base_url",
    "create_instance_endpoint",
    "delete_instance_endpoint_template",
    "call_tool_endpoint_template",
    "auth_type",
    "auth_details",
    "timeout",
    "connect_timeout",
    "ca_file",
    "trust_env",
];
/// A secret that is in a file.
pub(super) const SECRET_FILE: &[&str] = &["file"];
pub(super) const API_DEFAULTS: &[&str] = &["timeout", "connect_timeout"];

/// `auth_type`, with the keys of `auth_details` that it needs.
#[derive(
    Clone, Copy, Default, PartialEq, Eq, strum::Display, strum::EnumString, strum::VariantNames,
)]
#[strum(serialize_all = "snake_case")]
pub(super) enum AuthType {
    #[default]
    None,
    BearerToken,
    CustomHeader,
}

/// Names that the contract's file gives to levels (Python's) and our own.
pub(super) const LOG_LEVELS: &[(&str, &str)] = &[
    ("debug", "debug"),
    ("info", "info"),
    ("warning", "warn"),
    ("error", "error"),
    ("critical", "error"),
    ("trace", "trace"),
    ("warn", "warn"),
    ("off", "off"),
];

pub(super) const LOG_LEVEL: &str = "info";
/// `startup_timeout_sec`, also where it is 0.
pub(super) const BOX_STARTUP: Duration = Duration::from_secs(120);
pub(super) const START_TIMEOUT: Duration = Duration::from_secs(60);
pub(super) const CALL_TIMEOUT: Duration = Duration::from_secs(60);
pub(super) const CALL_MAX_TIMEOUT: Duration = Duration::from_secs(30 * 60);
pub(super) const STOP_GRACE: Duration = Duration::from_secs(5);
pub(super) const API_TIMEOUT: Duration = Duration::from_secs(30);
pub(super) const API_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
pub(super) const CREATE_ENDPOINT: &str = "/instances";
pub(super) const DELETE_ENDPOINT: &str = "/instances/{remote_instance_id}";

/// A deadline; a week is longer than any, and far from where clocks overflow.
pub(super) const DEADLINE: RangeInclusive<Duration> = Duration::from_millis(1)..=LONGEST;
/// A pause, which may be none.
pub(super) const PAUSE: RangeInclusive<Duration> = Duration::ZERO..=LONGEST;
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);

/// Where the copy of a template is mounted.
pub(super) const TEMPLATE_MOUNT: &str = "/data";

pub(super) const BOX_CPUS: RangeInclusive<f64> = 0.01..=1_024.0;
/// Below this no interpreter starts.
pub(super) const BOX_MEMORY_MB: RangeInclusive<u64> = 32..=16 << 20;
/// Below this there is no room for the first process, one server and what stops it.
pub(super) const BOX_PIDS: RangeInclusive<u64> = 16..=4 << 20;
pub(super) const BOX_SIZE: RangeInclusive<u64> = 1 << 10..=1 << 40;
pub(super) const BOX_ENTRIES: RangeInclusive<u64> = 1..=10_000_000;
pub(super) const BOX_QUOTA_MB: RangeInclusive<u64> = 0..=16 << 20;
pub(super) const BOX_GENERATION: RangeInclusive<u64> = 1..=i64::MAX as u64;

pub(super) const PORTS: RangeInclusive<u64> = 1..=65_535;
pub(super) const RESTARTS: RangeInclusive<u64> = 1..=1_000;
pub(super) const PROBE_FAILURES: RangeInclusive<u64> = 0..=1_000;
pub(super) const PARALLEL_STARTS: RangeInclusive<u64> = 1..=1_024;
pub(super) const GATEWAY_COUNT: RangeInclusive<u64> = 1..=1_000_000;
pub(super) const MAX_BODY: RangeInclusive<u64> = 1 << 10..=4 << 30;
pub(super) const MAX_MESSAGE: RangeInclusive<u64> = 1 << 10..=16 << 30;
