//! What `update` asks for: intents of panes, which the model turns into changes of its own or into
//! effects, which the loop runs. Both are plain data.

use std::sync::Arc;
use std::time::Duration;

use super::modals::Modal;
use super::panes::PaneKind;
use crate::model::{CallId, Command, InstanceId, Notice, SessionId};

/// Work outside the model, run by the loop.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    Send(Command),
    /// Put `text` on the clipboard of the terminal (OSC 52); `what` is told to the user.
    Copy {
        text: String,
        what: String,
    },
    /// Open `$VISUAL`/`$EDITOR` on this text; the answer is [`super::msg::Done::Edited`].
    Edit {
        text: String,
        suffix: &'static str,
    },
    /// Open a shell inside this instance and give it the terminal; `name` is told to the user.
    OpenShell {
        instance: InstanceId,
        name: String,
    },
    /// Ask the world of this instance for all it knows; the answer is [`super::msg::Done::Inspected`].
    Inspect(InstanceId),
    /// This instance's log is on screen.
    WatchLog(Option<InstanceId>),
    CaptureMouse(bool),
    /// Stop the program until `SIGCONT`.
    Suspend,
    /// Repaint every cell.
    Repaint,
    /// Load this theme; the answer is [`super::msg::Done::Theme`].
    LoadTheme(String),
    Quit,
}

/// What a pane or modal wants.
pub enum Intent {
    Run(Effect),
    SelectSession(Option<SessionId>),
    SelectInstance(InstanceId),
    /// A tool of the selected instance.
    SelectTool(Arc<str>),
    /// Show this call in Result instead of the newest one.
    ShowCall(CallId),
    /// Put these arguments of this tool into the call form.
    EditCall {
        instance: InstanceId,
        tool: Arc<str>,
        arguments: Arc<str>,
    },
    Focus(PaneKind),
    /// Focus it only if it is not on screen anyway.
    Reveal(PaneKind),
    Open(Box<dyn Modal>),
    /// Close the modal that has the focus.
    CloseModal,
    /// As if the user had pressed the key for it.
    Do(super::action::Action),
    Tell(Notice),
}

impl Intent {
    pub fn send(command: Command) -> Self {
        Intent::Run(Effect::Send(command))
    }

    pub fn copy(text: impl Into<String>, what: impl Into<String>) -> Self {
        Intent::Run(Effect::Copy {
            text: text.into(),
            what: what.into(),
        })
    }
}

/// How long after the first Ctrl-C a second one quits.
pub const QUIT_WINDOW: Duration = Duration::from_secs(2);
