//! An instance of an API, as the orchestrator holds it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::call::Calls;
use super::client::failure;
use super::owned::Owned;
use crate::drivers::{Contact, Endpoint, Facts, HttpEndpoint, Running, Task, Usage};
use crate::model::{Exit, Failure, Stage, fact};
use crate::stores::logs::{LogWriter, Source};

/// For an API to delete an instance, beyond the grace; less than the orchestrator waits.
const MARGIN: Duration = Duration::from_secs(8);

/// An instance that is there.
pub(super) struct Remote {
    owned: Owned,
    endpoint: Option<Endpoint>,
    contact: Contact,
    log: LogWriter,
    /// What does not change of the facts.
    known: Facts,
}

impl Remote {
    pub fn new(owned: Owned, http: HttpEndpoint, log: LogWriter) -> Result<Self, Failure> {
        let contact = http.contact.clone();
        let mut known: Facts = vec![
            (fact::REMOTE_ID.into(), owned.id().into()),
            (fact::ENDPOINT.into(), http.server.shown_url().into()),
            ("api".into(), owned.api.config.shown_url().into()),
            ("resource".into(), owned.debt.resource.as_str().into()),
        ];
        let template = owned.api.config.call_tool_endpoint_template.as_deref();
        let calls = match template {
            Some(template) => {
                let url = owned.api.endpoint(template, Some(owned.id()));
                let url = url.map_err(|cause| failure(Stage::Create, cause))?;
                known.push(("calls go to".into(), template.into()));
                Some(Calls {
                    api: owned.api.clone(),
                    url,
                    contact: contact.clone(),
                })
            }
            None => None,
        };
        for (name, value) in &owned.details {
            known.push((name.as_str().into(), value.as_str().into()));
        }
        let endpoint = match calls {
            Some(calls) => Endpoint::Proxied {
                http,
                calls: Arc::new(calls),
            },
            None => Endpoint::Http(http),
        };
        Ok(Self {
            owned,
            endpoint: Some(endpoint),
            contact,
            log,
            known,
        })
    }
}

impl Running for Remote {
    fn endpoint(&mut self) -> Endpoint {
        self.endpoint.take().expect("the endpoint is taken once")
    }

    fn facts(&self) -> Facts {
        let mut facts = self.known.clone();
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

    fn stop(self: Box<Self>, grace: Duration) -> Task<'static, ()> {
        let Self { owned, log, .. } = *self;
        Box::pin(async move {
            let tell = |text: &str| log.line(Source::Envdeck, &format!("delete {text}"));
            owned.delete(Instant::now() + grace + MARGIN, &tell).await
        })
    }
}
