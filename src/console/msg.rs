//! The one input type of the console.

use std::sync::Arc;

use crossterm::event::{KeyEvent, MouseEvent};

use super::theme::Theme;
use crate::model::{Fleet, InstanceId, Notice};

/// Everything that can happen to the console.
#[derive(Debug)]
pub enum Msg {
    Key(KeyEvent),
    Mouse(MouseEvent),
    Paste(String),
    Resize(u16, u16),
    /// A newer picture of everything.
    Fleet(Arc<Fleet>),
    Notice(Notice),
    /// Notices that came faster than we read them.
    NoticesSkipped(u64),
    /// A watched log grew, or a result became readable.
    Data,
    /// Time passed, and something on screen shows time.
    Tick,
    /// An effect is done.
    Done(Done),
}

/// What the world told of an instance: JSON text, if anything, or why it did not.
#[derive(Clone, Debug)]
pub struct Inspected {
    pub instance: InstanceId,
    pub told: Result<Option<String>, String>,
}

/// What came of an effect.
#[derive(Debug)]
pub enum Done {
    /// The orchestrator's queue was full: the command was not taken.
    Busy,
    Copied {
        what: String,
    },
    /// The text as the editor left it, or why there is none.
    Edited(Result<String, String>),
    Theme(Result<Arc<Theme>, String>),
    Inspected(Inspected),
    /// Back from a shell: how it ended.
    Visited(Result<String, String>),
    /// Back from suspension.
    Resumed,
    Failed(String),
}
