//! `external`: an MCP server that somebody else runs. Nothing is started or ended: it is only spoken to.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use super::{Contact, Driver, Endpoint, Facts, HttpEndpoint, Order, Running, Task, Usage};
use crate::mcp::http::{Login, Logins, ready};
use crate::model::{Exit, Failure, HttpServer, InstanceId, Mode, RunId, Stage};

/// Instances that are remembered to have been in contact.
const REMEMBERED: usize = 1_024;
/// Of the time for a start, what waiting for a server to come back may take: the rest is for the handshake.
const WAITING: f64 = 0.8;

/// Makes contacts with servers that run already.
pub struct External {
    /// Instances that have been in contact, the latest last.
    known: Arc<Mutex<VecDeque<InstanceId>>>,
    /// Where users log in, if they do.
    logins: Option<Logins>,
}

impl External {
    pub fn new(logins: Option<Logins>) -> Self {
        Self {
            known: Arc::default(),
            logins,
        }
    }

    fn login(&self, server: &HttpServer) -> Option<Arc<Login>> {
        self.logins.as_ref()?.at(server)
    }
}

impl Driver for External {
    fn kind(&self) -> &'static str {
        "external"
    }

    fn check(&self) -> Task<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    /// Sees to the login that the server wants, once it has said so.
    fn prepare(&self, order: Order) -> Task<'_, ()> {
        Box::pin(async move {
            let Mode::External(server) = &order.backend.mode else {
                return Ok(());
            };
            match self.login(server) {
                Some(login) if login.is_wanted() => {
                    // A person takes minutes.
                    let given = Box::pin(login.give(&order.steps, &order.log));
                    order.step_aside(given).await
                }
                _ => Ok(()),
            }
        })
    }

    /// The first time a server must be there, so that a wrong URL is told at once. One that was there before is
    /// waited for: it may be starting again.
    fn start(&self, order: Order) -> Task<'_, Box<dyn Running>> {
        Box::pin(async move {
            let Mode::External(server) = &order.backend.mode else {
                let text = format!("{} is not external", order.backend.mode.name());
                return Err(Failure::other(Stage::Start, text));
            };
            let endpoint = HttpEndpoint {
                login: self.login(server),
                ..HttpEndpoint::from((**server).clone())
            };
            let was_there = self.known.lock().contains(&order.instance);
            if was_there {
                order.steps.tell(format!("wait for {}", server.place()));
                let wait = order.backend.start_timeout.mul_f64(WAITING);
                ready(&endpoint, Instant::now() + wait).await?;
            }
            let running: Box<dyn Running> = Box::new(InContact {
                contact: endpoint.contact.clone(),
                server: facts_of_server(&endpoint),
                endpoint: Some(endpoint),
                instance: order.instance,
                known: self.known.clone(),
            });
            Ok(running)
        })
    }

    fn reap(&self, _run: &RunId) -> Task<'_, usize> {
        Box::pin(async { Ok(0) })
    }
}

/// A server that we speak to.
struct InContact {
    endpoint: Option<HttpEndpoint>,
    contact: Contact,
    /// What does not change of the facts.
    server: Facts,
    instance: InstanceId,
    known: Arc<Mutex<VecDeque<InstanceId>>>,
}

impl Drop for InContact {
    fn drop(&mut self) {
        if !self.contact.has_begun() {
            return;
        }
        let mut known = self.known.lock();
        known.retain(|instance| *instance != self.instance);
        known.push_back(self.instance.clone());
        if known.len() > REMEMBERED {
            known.pop_front();
        }
    }
}

fn facts_of_server(endpoint: &HttpEndpoint) -> Facts {
    let server = &endpoint.server;
    let mut facts: Facts = vec![("url".into(), server.shown_url().into())];
    if !server.headers.is_empty() {
        let names: Vec<_> = server.headers.iter().map(|(name, _)| &**name).collect();
        facts.push(("headers".into(), names.join(" ").into()));
    }
    if let Some(file) = &server.ca_file {
        facts.push(("trusts".into(), file.display().to_string().into()));
    }
    facts
}

impl Running for InContact {
    fn endpoint(&mut self) -> Endpoint {
        Endpoint::Http(self.endpoint.take().expect("the endpoint is taken once"))
    }

    fn facts(&self) -> Facts {
        let mut facts = self.server.clone();
        facts.extend(self.contact.standing().facts());
        facts
    }

    fn changes(&self) -> Option<watch::Receiver<()>> {
        Some(self.contact.changes())
    }

    /// Its end cannot be seen from here, only that it does not answer.
    fn wait(&mut self) -> Task<'_, Exit> {
        Box::pin(std::future::pending())
    }

    fn usage(&mut self) -> Task<'_, Option<Usage>> {
        Box::pin(async { Ok(None) })
    }

    /// The client has said goodbye; the server goes on.
    fn stop(self: Box<Self>, _grace: std::time::Duration) -> Task<'static, ()> {
        Box::pin(async { Ok(()) })
    }
}
