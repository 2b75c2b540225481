//! The end of an instance that nobody asked for: its evidence, and the removal of what is left.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::timeout;

use super::core::Seat;
use super::instance::Instance;
use super::lifecycle::Input;
use super::stop::{clear_away, take_down};
use crate::model::{Call, Cause, DeathCard, Failure, Happening, Level, Notice, Phase, Stage};
use crate::stores::logs::Source;

/// Output lines kept with a failure.
const OUTPUT_LINES: usize = 20;
/// How long the last words of an instance may take to come.
const EVIDENCE_WAIT: Duration = Duration::from_secs(1);

impl Instance {
    /// Shows why it ended, and all that was known of it then.
    pub(super) async fn mourn(&mut self, failure: Failure, in_flight: Vec<Arc<Call>>) {
        self.gather_evidence().await;
        self.record_death(failure, in_flight).await;
        self.left_behind = None;
    }

    /// Takes away what is left of it.
    pub(super) async fn bury(&mut self) {
        let (seat, client, running) = (self.seat.clone(), self.client.take(), self.running.take());
        let gone = match self.life.phase {
            Phase::Waiting | Phase::Failed => clear_away(seat, client, running).await,
            _ => take_down(seat, client, running).await,
        };
        if let Err(failure) = gone {
            let failure = labelled(&self.seat, &failure);
            let notice = Notice::new(Level::Error, failure.to_string()).about(&self.seat.id);
            self.seat.core.reporter.notice(notice);
            self.left_behind = Some(failure);
        }
    }

    /// The latest of its log and of its facts, while there is somebody to ask.
    async fn gather_evidence(&mut self) {
        let Some(mut running) = self.running.take() else {
            return;
        };
        // What cannot be had soon is no evidence.
        let _ = timeout(EVIDENCE_WAIT, running.flush_log()).await;
        let facts = running.facts();
        self.running = Some(running);
        if facts[..] != self.facts[..] {
            self.describe(facts).await;
        }
    }

    /// A panic of ours ends this instance, and only this one.
    pub(super) async fn bury_panic(&mut self, said: &str) -> Input {
        tracing::error!(instance = %self.seat.id, "panic: {said}");
        let stage = match self.life.phase {
            Phase::Starting => Stage::Start,
            Phase::Stopping => Stage::Stop,
            _ => Stage::Run,
        };
        let failure = Failure::new(stage, Cause::Panic(said.to_owned()));
        let unanswered = self.flight.end(failure.clone()).await;
        if self.life.phase == Phase::Starting {
            self.learn_facts();
        }
        self.record_death(failure, unanswered).await;
        // Not stopped politely: what panicked once may do so again, and dropping it kills it.
        self.client = None;
        self.running = None;
        Input::Panicked
    }

    pub(super) async fn record_death(&mut self, failure: Failure, in_flight: Vec<Arc<Call>>) {
        let evidence = self.seat.log.last_output(OUTPUT_LINES);
        let failure = self.seat.backend.mode.named(failure.output(evidence));
        self.seat.log.line(Source::Envdeck, &failure.to_string());
        let card = DeathCard {
            at: Timestamp::now(),
            failure: failure.clone(),
            uptime: self.ready_since.take().map(|since| since.elapsed()),
            restarts: self.restarts,
            facts: self.facts.clone(),
            in_flight,
            last_good: self.flight.last_good(),
            memory: self.flight.memory(),
        };
        self.failure = Some(failure);
        self.seat
            .report(Happening::Died {
                instance: self.seat.id.clone(),
                card: Arc::new(card),
            })
            .await;
    }

    /// What ran, or, where nothing did, what was to run.
    pub(super) fn learn_facts(&mut self) {
        self.facts = match &self.running {
            Some(running) => running.facts().into(),
            None => Arc::new([("runs".into(), self.seat.info.summary.clone())]),
        };
    }
}

/// A failure that still says whose it is when it is read away from its instance.
pub(super) fn labelled(seat: &Seat, failure: &Failure) -> Failure {
    let text = format!("{}: {}", seat.label(), failure.cause);
    Failure {
        cause: Cause::Other(text),
        ..failure.clone()
    }
}
