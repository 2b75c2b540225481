//! Names of the facts that tell how an instance is, not what it is: the Health pane shows them, too.

/// What its world says of its state: `running`, `paused`, `exited with status 1`, …
pub const STATUS: &str = "status";
/// The [`STATUS`] that is as it should be.
pub const RUNNING: &str = "running";
/// The verdict of a check that its world does by itself, and why if it is bad.
pub const HEALTH: &str = "health";
/// What [`HEALTH`] begins with when it is bad.
pub const UNHEALTHY: &str = "unhealthy";
/// That processes in it were killed for want of memory.
pub const OUT_OF_MEMORY: &str = "oom";
/// That its world cannot be reached, and since when.
pub const ENGINE: &str = "engine";

/// Whether it tells of something that is not as it should be.
pub fn is_alarming(name: &str, text: &str) -> bool {
    match name {
        STATUS => text != RUNNING,
        HEALTH => text.starts_with(UNHEALTHY),
        OUT_OF_MEMORY | ENGINE => true,
        _ => false,
    }
}
