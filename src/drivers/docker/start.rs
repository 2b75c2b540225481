//! One start: create, attach, start, wait for its port; whatever exists of it is removed if it fails or is given up.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::attach::{Attached, Pump};
use super::channel::Channel;
use super::command_line::command_line;
use super::container::{Container, Parts, short};
use super::create::{self, Creation, Extras, creation};
use super::engine::{Engine, QUICK, USUAL};
use super::labels;
use super::logs::{Logs, Output};
use super::remover::{Footprint, Remover};
use super::template::Applied;
use super::watch::{Watched, Watcher};
use super::words::Trouble;
use crate::drivers::{Contact, Facts, HttpEndpoint, Order, Running};
use crate::mcp::http::ready;
use crate::model::{Cause, Failure, HttpServer, LocalDocker, Stage, Transport, fact};

/// Of the time for a start, what waiting for its port may take: the rest is for the handshake.
const WAITING: f64 = 0.8;
/// For the last words of what failed to start.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Where servers speak MCP over HTTP.
const PATH: &str = "/mcp";
/// Nothing is sent to a container that could let us in.
const IF_REFUSED: &str =
    "containers are spoken to without credentials: have its server ask for none";

pub struct Start<'a> {
    pub engine: &'a Engine,
    pub remover: &'a Remover,
    pub watcher: Watcher,
    pub spec: &'a LocalDocker,
    pub order: &'a Order,
}

/// A container and what it was made of.
struct Created {
    footprint: Footprint,
    id: Arc<str>,
    extras: Extras,
}

impl Start<'_> {
    pub async fn run(self, template: Option<Applied>) -> Result<Container, Failure> {
        let steps = &self.order.steps;
        // An earlier start of the same instance may still be on its way out.
        self.remover.cleared(&self.order.instance).await;
        steps.tell("create container");
        let created = self.create(template).await;
        let created = created.map_err(|trouble| trouble.at(Stage::Create))?;
        steps.tell(format!("start container {}", short(&created.id)));
        match self.order.backend.transport {
            Transport::Stdio => self.start_attached(created).await,
            Transport::Http => self.start_listening(created).await,
        }
    }

    async fn create(&self, template: Option<Applied>) -> Result<Created, Trouble> {
        let applied = template.as_ref();
        let image = applied.and_then(Applied::image);
        let extras = Extras {
            name: name(self.order),
            labels: labels::of_instance(self.order),
            image: image.map(|image| image.reference().to_string()),
            mounts: applied.and_then(Applied::mount).into_iter().collect(),
        };
        let transport = self.order.backend.transport;
        let Creation { options, body } = creation(self.spec, transport, &extras);
        let engine = self.engine.clone();
        let asked = async move {
            let created = engine.ask("create the container", USUAL, |docker| async move {
                docker.create_container(Some(options), body).await
            });
            Ok(created.await?.id)
        };
        let footprint = Footprint::new(self.order.instance.clone(), self.remover.clone());
        let (footprint, id) = footprint.with(template).create(asked).await?;
        Ok(Created {
            footprint,
            id,
            extras,
        })
    }

    async fn start_attached(&self, created: Created) -> Result<Container, Failure> {
        let attached = Pump::start(self.engine, &created.id, &self.order.log).await;
        let Attached { pipes, pump } = attached.map_err(|trouble| trouble.at(Stage::Connect))?;
        let watched = self.start(&created.id).await?;
        Ok(self.running(created, watched, Channel::stdio(pipes, pump)))
    }

    async fn start_listening(&self, created: Created) -> Result<Container, Failure> {
        let deadline = Instant::now() + self.order.backend.start_timeout.mul_f64(WAITING);
        let watched = self.start(&created.id).await?;
        let output = Output {
            stdout: true,
            stderr: true,
            tty: false,
        };
        let log = self.order.log.clone();
        let logs = Logs::new(self.engine.clone(), &watched, output, log);
        let contact = Contact::default();
        let channel = Channel::http(contact.clone(), logs);
        let mut container = self.running(created, watched, channel);
        let opened = self.open(&mut container, contact, deadline).await;
        if opened.is_err() {
            let _ = timeout(LAST_WORDS, container.flush_log()).await;
        }
        opened.map(|()| container)
    }

    /// Watches from before the start, so that not even the shortest life is missed.
    async fn start(&self, id: &Arc<str>) -> Result<Watched, Failure> {
        let watched = self.watcher.watch(id, self.order.log.clone());
        let id = id.clone();
        let started = self
            .engine
            .ask("start the container", USUAL, |docker| async move {
                docker.start_container(&id, None).await
            });
        started.await.map_err(|trouble| trouble.at(Stage::Start))?;
        Ok(watched)
    }

    /// Waits until it answers at its port, or has ended.
    async fn open(
        &self,
        container: &mut Container,
        contact: Contact,
        deadline: Instant,
    ) -> Result<(), Failure> {
        let id = container.id.clone();
        let opened = async {
            let endpoint = HttpEndpoint {
                server: self.locate(&id).await?,
                contact,
                login: None,
                if_refused: Some(IF_REFUSED),
            };
            let place = endpoint.server.place();
            self.order.steps.tell(format!("wait for {place}"));
            ready(&endpoint, deadline).await.map(|()| endpoint)
        };
        let endpoint = tokio::select! {
            biased;
            exit = container.wait() => {
                return Err(exit.map_or_else(
                    |failure| failure,
                    |exit| Failure::new(Stage::Start, Cause::Exited(exit)),
                ));
            }
            endpoint = opened => endpoint?,
        };
        container.listens(endpoint);
        Ok(())
    }

    /// Where its published port is reached.
    async fn locate(&self, id: &str) -> Result<HttpServer, Failure> {
        if !self.engine.is_local() {
            let text = format!(
                "ports that the engine at {} publishes cannot be reached from here",
                self.engine.address()
            );
            return Err(Failure::other(Stage::Connect, text).hint("use `mcp_transport: stdio`"));
        }
        let found = self
            .engine
            .ask("look for the port", QUICK, |docker| async move {
                docker.inspect_container(id, None).await
            });
        let found = found.await.map_err(|trouble| trouble.at(Stage::Connect))?;
        let ports = found.network_settings.and_then(|network| network.ports);
        if let Some(address) = create::address(self.spec, &ports.unwrap_or_default()) {
            return Ok(HttpServer::at(format!("http://{address}{PATH}")));
        }
        if found.state.is_none_or(|state| state.running != Some(true)) {
            // Its end, which is seen elsewhere, says more.
            pending::<()>().await;
        }
        let port = self.spec.container_port.unwrap_or_default();
        let text = format!("the engine has published no port of 127.0.0.1 for {port}/tcp");
        Err(Failure::other(Stage::Connect, text)
            .hint("over HTTP a container needs a network of its own, or the host's"))
    }

    fn running(&self, created: Created, watched: Watched, channel: Channel) -> Container {
        let Created {
            footprint,
            id,
            extras,
        } = created;
        let facts = self.facts(&id, &extras);
        Container::from(Parts {
            engine: self.engine.clone(),
            id,
            facts,
            channel,
            watched,
            secrets: self.spec.options.secrets(),
            log: self.order.log.clone(),
            footprint,
        })
    }

    /// What does not change of it.
    fn facts(&self, id: &str, extras: &Extras) -> Facts {
        let command = command_line(self.spec, self.order.backend.transport, extras);
        let mut facts: Facts = vec![
            ("command".into(), command.into()),
            (fact::CONTAINER.into(), short(id).into()),
            (fact::NAME.into(), extras.name.as_str().into()),
            ("image".into(), self.spec.image.as_str().into()),
        ];
        if let Some(image) = &extras.image {
            facts.push((fact::COMMITTED_IMAGE.into(), image.as_str().into()));
        }
        if let Some(template) = &self.spec.template {
            let text = format!("{} at {}", template.source.display(), template.target);
            facts.push(("template".into(), text.into()));
        }
        facts
    }
}

/// `envdeck-filesystem-1a2b3c4d`: names of containers are letters, digits and `_.-`.
fn name(order: &Order) -> String {
    let is_letter = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    let letter = |c: char| if is_letter(c) { c } else { '-' };
    let backend: String = order.backend.name.chars().map(letter).collect();
    format!("envdeck-{backend}-{}", order.instance)
}
