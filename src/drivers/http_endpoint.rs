//! An instance that speaks MCP over HTTP: where it is, and what is known of the contact with it.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::Facts;
use crate::mcp::http::Login;
use crate::model::{Cause, HttpServer};

/// Where an instance speaks MCP over HTTP.
#[derive(Clone, Debug)]
pub struct HttpEndpoint {
    pub server: HttpServer,
    /// Kept up to date by the client that connects to it.
    pub contact: Contact,
    /// The login that the server may want, where there is somebody to give one.
    pub login: Option<Arc<Login>>,
    /// What can be done if it refuses our credentials, where that is something else than to check `headers`.
    pub if_refused: Option<&'static str>,
}

impl From<HttpServer> for HttpEndpoint {
    fn from(server: HttpServer) -> Self {
        Self {
            server,
            contact: Contact::default(),
            login: None,
            if_refused: None,
        }
    }
}

/// How the contact with a server goes: written by the client, read by the driver. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Contact(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<Standing>,
    changed: watch::Sender<()>,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            changed: watch::Sender::new(()),
        }
    }
}

/// What is known of a contact.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// How it speaks: `streamable HTTP` or `HTTP+SSE`; empty before it has answered.
    pub transport: &'static str,
    /// Sessions that were begun again because the server had forgotten them.
    pub reconnects: u32,
    /// Exchanges that failed since the last one that did not.
    pub failures: u32,
    /// The kind of the last failure, and its words.
    pub last_error: Option<(&'static str, Arc<str>)>,
}

impl Standing {
    /// As facts of an instance, in the order they are shown.
    pub fn facts(&self) -> Facts {
        let mut facts = Facts::new();
        if !self.transport.is_empty() {
            facts.push(("speaks".into(), self.transport.into()));
        }
        facts.push(("reconnects".into(), self.reconnects.to_string().into()));
        let failures = self.failures.to_string();
        facts.push(("failures in a row".into(), failures.into()));
        if let Some((kind, words)) = &self.last_error {
            facts.push(("last error".into(), format!("{kind}: {words}").into()));
        }
        facts
    }
}

impl Contact {
    pub fn standing(&self) -> Standing {
        self.0.state.lock().clone()
    }

    /// Marked as changed when the standing has, and at first.
    pub fn changes(&self) -> watch::Receiver<()> {
        let mut changes = self.0.changed.subscribe();
        changes.mark_changed();
        changes
    }

    /// The server answered, as it should.
    pub fn answered(&self) {
        let had_failed = std::mem::take(&mut self.0.state.lock().failures) > 0;
        if had_failed {
            self.0.changed.send_replace(());
        }
    }

    pub fn failed(&self, cause: &Cause) {
        self.change(|state| {
            state.failures = state.failures.saturating_add(1);
            state.last_error = Some((cause.kind(), cause.to_string().into()));
        });
    }

    pub fn reconnected(&self) {
        self.change(|state| state.reconnects = state.reconnects.saturating_add(1));
    }

    /// The server has answered in a way that we know.
    pub fn speaks(&self, transport: &'static str) {
        if self.standing().transport != transport {
            self.change(|state| state.transport = transport);
        }
    }

    /// Whether it ever has.
    pub fn has_begun(&self) -> bool {
        !self.0.state.lock().transport.is_empty()
    }

    fn change(&self, how: impl FnOnce(&mut Standing)) {
        how(&mut self.0.state.lock());
        self.0.changed.send_replace(());
    }
}
