//! An instance that speaks MCP over HTTP: where it is, and what is known of the contact with it.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::model::{Cause, HttpServer};

/// Where an instance speaks MCP over HTTP.
#[derive(Clone, Debug)]
pub struct HttpEndpoint {
    pub server: HttpServer,
    /// Kept up to date by the client that connects to it.
    pub contact: Contact,
}

impl From<HttpServer> for HttpEndpoint {
    fn from(server: HttpServer) -> Self {
        Self {
            server,
            contact: Contact::default(),
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
    /// Between the last request and the head of its answer.
    pub latency: Option<Duration>,
}

impl Contact {
    pub fn standing(&self) -> Standing {
        self.0.state.lock().clone()
    }

    /// Marked as changed when the standing has; latency alone is no change.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.0.changed.subscribe()
    }

    /// The server answered, as it should.
    pub fn answered(&self, latency: Duration) {
        let mut state = self.0.state.lock();
        state.latency = Some(latency);
        let had_failed = std::mem::take(&mut state.failures) > 0;
        drop(state);
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

    pub fn speaks(&self, transport: &'static str) {
        self.change(|state| state.transport = transport);
    }

    fn change(&self, how: impl FnOnce(&mut Standing)) {
        how(&mut self.0.state.lock());
        self.0.changed.send_replace(());
    }
}
