//! A ready instance: calls, probes and samples, until it dies or is asked to go.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::timeout;

use super::flight::Landed;
use super::handle::Reply;
use super::health::{Health, Pulse};
use super::instance::Instance;
use super::lifecycle::Input;
use super::mailbox::Letter;
use super::news::Digest;
use super::start::{EXIT_WAIT, exited};
use crate::drivers::{Facts, Running};
use crate::mcp::ToolClient;
use crate::model::{Cause, Exit, Failure, Happening, Probe, Sample, Stage, ToolSpec};
use crate::stores::logs::Source;

/// After its end, an instance's last answers may still be in the pipe.
const LAST_WORDS: Duration = Duration::from_millis(250);
/// A measurement that takes longer is skipped.
const USAGE_WAIT: Duration = Duration::from_secs(1);

enum Turn {
    Exited(Result<Exit, Failure>),
    Closed(Failure),
    Letter(Letter),
    Landed(Landed),
    Pulse(Pulse),
    News(Digest),
    Changed,
}

impl Instance {
    /// Serves until it dies or is asked to go.
    pub(super) async fn serve(&mut self) -> Input {
        let (Some(client), Some(mut running)) = (self.client.clone(), self.running.take()) else {
            unreachable!("only a start that brought both makes an instance ready")
        };
        let mut changes = running.changes();
        self.flight.reset();
        let mut health = Health::new(self.seat.backend.health.clone(), self.watched.clone());
        let death = loop {
            let turn = tokio::select! {
                exit = running.wait() => Turn::Exited(exit),
                why = client.closed() => Turn::Closed(why),
                letter = self.mailbox.next(self.life) => Turn::Letter(letter),
                landed = self.flight.landed() => Turn::Landed(landed),
                pulse = health.next(&client) => Turn::Pulse(pulse),
                digest = self.news.next() => Turn::News(digest),
                () = next(&mut changes) => Turn::Changed,
            };
            match turn {
                Turn::Exited(exit) => {
                    self.last_words(&client).await;
                    break exited(Stage::Run, exit);
                }
                Turn::Closed(why) => break explained(running.as_mut(), why).await,
                Turn::Letter(Letter::Wish(wish)) => {
                    self.running = Some(running);
                    return Input::Asked(wish);
                }
                Turn::Letter(Letter::Errand(errand, asker)) => {
                    self.run_errand(errand, asker, &client, running.as_ref());
                }
                Turn::Landed(landed) => self.take_landed(&client, landed).await,
                Turn::Pulse(Pulse::SampleDue) => self.sample(running.as_mut()).await,
                Turn::Pulse(Pulse::Probed(probe)) => {
                    let is_excused = running.excuse().is_some();
                    if let Some(death) = self.take_probe(&mut health, probe, is_excused).await {
                        break death;
                    }
                }
                Turn::News(digest) => self.take_news(&client, &digest).await,
                Turn::Changed => self.describe(running.facts()).await,
            }
        };
        self.running = Some(running);
        self.die(death).await
    }

    async fn die(&mut self, failure: Failure) -> Input {
        let ready_for = self
            .ready_since
            .map(|since| since.elapsed())
            .unwrap_or_default();
        let unanswered = self.flight.end(failure.clone()).await;
        let has_ended = matches!(failure.cause, Cause::Exited(_));
        self.mourn(failure, unanswered).await;
        if !has_ended {
            self.bury().await;
        }
        Input::Died { ready_for }
    }

    /// Lets the connection deliver what was written before the end.
    async fn last_words(&mut self, client: &ToolClient) {
        if self.flight.is_busy() {
            // A grandchild may hold the pipe open: the wait is short, and its end says nothing.
            let _ = timeout(LAST_WORDS, client.closed()).await;
        }
    }

    async fn take_landed(&mut self, client: &ToolClient, landed: Landed) {
        let Landed::Tools(tools, asker) = landed else {
            return;
        };
        if asker.is_none() {
            self.flight.relisted(client, self.seat.backend.call_timeout);
        }
        let answer = match tools {
            Ok(tools) => {
                self.report_tools(tools.clone()).await;
                Ok(Reply::Listed(tools))
            }
            Err(failure) => {
                self.seat
                    .log
                    .line(Source::Envdeck, &format!("list tools: {failure}"));
                Err(failure)
            }
        };
        if let Some(asker) = asker {
            asker.answer(answer);
        }
    }

    async fn report_tools(&mut self, tools: Arc<[Arc<ToolSpec>]>) {
        self.seat
            .report(Happening::ToolsListed {
                instance: self.seat.id.clone(),
                tools,
            })
            .await;
    }

    pub(super) async fn describe(&mut self, facts: Facts) {
        self.facts = facts.into();
        self.seat
            .report(Happening::Described {
                instance: self.seat.id.clone(),
                facts: self.facts.clone(),
            })
            .await;
    }

    async fn take_news(&mut self, client: &ToolClient, digest: &Digest) {
        self.seat.report_noise(digest.noise).await;
        if digest.tools_changed {
            self.flight.relist(client, self.seat.backend.call_timeout);
        }
    }

    async fn sample(&mut self, running: &mut dyn Running) {
        let Ok(Ok(Some(usage))) = timeout(USAGE_WAIT, running.usage()).await else {
            return;
        };
        self.flight.remember_memory(usage.memory);
        let sample = Sample {
            at: Timestamp::now(),
            cpu: usage.cpu,
            memory: usage.memory,
            memory_limit: usage.memory_limit,
            processes: usage.processes,
            network: usage.network,
            disk: usage.disk,
        };
        self.seat
            .report(Happening::Sampled {
                instance: self.seat.id.clone(),
                sample,
            })
            .await;
    }

    /// Returns why it counts as dead, if it now does.
    async fn take_probe(
        &mut self,
        health: &mut Health,
        probe: Probe,
        is_excused: bool,
    ) -> Option<Failure> {
        let dead = health.judge(&probe, is_excused || self.flight.is_busy());
        let failures = self.seat.backend.health.failures;
        let death = probe.result.as_ref().err().filter(|_| dead).map(|last| {
            let hint = format!("{failures} pings in a row were not answered");
            Failure::clone(last).hint(hint)
        });
        self.seat
            .report(Happening::Probed {
                instance: self.seat.id.clone(),
                probe,
            })
            .await;
        death
    }
}

/// Resolves with the next change, if there can be any.
async fn next(changes: &mut Option<watch::Receiver<()>>) {
    let has_come = match changes {
        Some(changes) => changes.changed().await.is_ok(),
        None => false,
    };
    if !has_come {
        std::future::pending::<()>().await;
    }
}

/// A connection that closes usually means that the process ended; its exit says more.
async fn explained(running: &mut dyn Running, why: Failure) -> Failure {
    match timeout(EXIT_WAIT, running.wait()).await {
        Ok(exit) => exited(Stage::Run, exit),
        Err(_) => Failure {
            stage: Stage::Run,
            hint: running.excuse().map(Into::into).or(why.hint),
            ..why
        },
    }
}
