//! Names of the facts that tell how an instance is now, not what it is: the Health pane shows them, too.

/// What its world says of its state: `running`, `paused`, `exited with status 1`, …
pub const CONDITION: &str = "condition";
/// The verdict of a check that its world does by itself, and why if it is bad.
pub const HEALTHCHECK: &str = "healthcheck";
/// That processes in it were killed for want of memory.
pub const OUT_OF_MEMORY: &str = "out of memory";
/// That its world cannot be reached, and since when.
pub const ENGINE: &str = "engine";

/// Whether it tells of the present.
pub fn is_live(name: &str) -> bool {
    [CONDITION, HEALTHCHECK, OUT_OF_MEMORY, ENGINE].contains(&name)
}
