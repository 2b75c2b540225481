//! Names of facts that somebody looks for: those that tell how an instance is now, not what it is, which the Health
//! pane shows, too, and those that clients of the gateway are told.

/// What its world says of its state: `running`, `paused`, `exited with status 1`, …
pub const STATUS: &str = "status";
/// The [`STATUS`] that is as it should be.
pub const RUNNING: &str = "running";
/// The [`STATUS`] of what does nothing until it is resumed.
pub const PAUSED: &str = "paused";
/// The verdict of a check that its world does by itself, and why if it is bad.
pub const HEALTH: &str = "health";
/// What [`HEALTH`] begins with when it is bad.
pub const UNHEALTHY: &str = "unhealthy";
/// That processes in it were killed for want of memory.
pub const OUT_OF_MEMORY: &str = "oom";
/// That its world cannot be reached, and since when.
pub const ENGINE: &str = "engine";

/// The sandbox that it shares with others, by a name short enough for a column.
pub const SANDBOX: &str = "sandbox";
/// How that sandbox is, with all that is in it.
pub const SANDBOX_HEALTH: &str = "shared";
/// What it has filled of its own place there.
pub const WORKSPACE: &str = "files";

/// The id that the engine gave a container.
pub const CONTAINER: &str = "container";
/// Its name.
pub const NAME: &str = "name";
/// The port of this host where a container or a process speaks MCP over HTTP.
pub const PORT: &str = "port";
/// The whole URL where it does, fit for a client on this host.
pub const ENDPOINT: &str = "endpoint";
/// The image that was made of a template.
pub const COMMITTED_IMAGE: &str = "committed image";
/// What a remote API calls it.
pub const REMOTE_ID: &str = "remote id";

/// Whether it tells of something that is not as it should be.
pub fn is_alarming(name: &str, text: &str) -> bool {
    match name {
        STATUS => text != RUNNING,
        HEALTH => text.starts_with(UNHEALTHY),
        OUT_OF_MEMORY | ENGINE => true,
        _ => false,
    }
}
