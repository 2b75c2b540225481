//! What runs make outside of their own process, and whether they still live.

use crate::model::{InstanceId, RunId};

/// A process, a container, an image, … that some run made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// `process`, `container`, `image`, `network`, …
    pub kind: &'static str,
    /// By which the system or the engine knows it.
    pub id: String,
    /// A command or an image; foreign text.
    pub what: String,
    pub run: Option<RunId>,
    /// `None` for what belongs to a whole run.
    pub instance: Option<InstanceId>,
    /// Of the run that made it.
    pub life: Life,
}

/// Whether somebody is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    Lives,
    Dead,
    /// It ran on another machine or in another container: nobody here can tell.
    Unknown,
}
