//! What only a ready instance can do: calls, listings, a shell inside, a look at what runs.

use super::core::Asker;
use super::handle::Reply;
use super::instance::Instance;
use crate::drivers::Running;
use crate::mcp::ToolClient;
use crate::model::{ToolCall, WindowSize};
use crate::stores::logs::Source;

pub(super) enum Errand {
    Call(ToolCall),
    ListTools,
    OpenShell(WindowSize),
    Inspect,
    SetPaused(bool),
}

impl Instance {
    /// Sets out and does not wait; the asker hears of the end.
    pub(super) fn run_errand(
        &mut self,
        errand: Errand,
        asker: Asker,
        client: &ToolClient,
        running: &dyn Running,
    ) {
        let flight = &mut self.flight;
        match errand {
            Errand::Call(call) => flight.launch(&self.seat, client, call, asker),
            Errand::ListTools => {
                let timeout = self.seat.backend.call_timeout;
                flight.list_tools(client, timeout, Some(asker));
            }
            Errand::OpenShell(size) => {
                self.seat.log.line(Source::Envdeck, "opens a shell");
                flight.ask("open a shell", running.shell(size), Reply::Shell, asker);
            }
            Errand::Inspect => {
                flight.ask("inspect", running.inspect(), Reply::Inspected, asker);
            }
            Errand::SetPaused(paused) => {
                let what = if paused { "pause" } else { "resume" };
                self.seat.log.line(Source::Envdeck, &format!("{what}s"));
                let done = running.set_paused(paused);
                flight.ask(what, done, |()| Reply::Accepted, asker);
            }
        }
    }
}
