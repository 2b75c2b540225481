//! One instance, one task: it owns what runs and the connection to it, and lives the life of `lifecycle`.

use std::ops::ControlFlow;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::core::{Core, InstancePost, Seat};
use super::deadline::timestamp;
use super::death::labelled;
use super::flight::Flight;
use super::lifecycle::{Again, Input, Life, Step, Wish};
use super::mailbox::{self, Mailbox};
use super::news::News;
use super::start::bring_up;
use super::stop::take_down;
use super::words;
use crate::backoff;
use crate::drivers::{Driver, HeldSlot, Running};
use crate::mcp::ToolClient;
use crate::model::{
    Backend, BackendInfo, Failure, Happening, InstanceId, Level, Mode, Notice, Phase,
    RestartPolicy, SessionId, Stage,
};
use crate::stores::logs::Source;

/// For the removal of what an instance that is gone had in its world; it goes on afterwards.
const RELEASE: Duration = Duration::from_secs(20);

/// A new instance as its session sees it.
pub(super) struct Spawned {
    pub id: InstanceId,
    pub phase: watch::Receiver<Phase>,
    /// Resolves when nothing of it is left, or with why something may be.
    pub task: JoinHandle<Option<Failure>>,
}

pub(super) struct Instance {
    pub(super) seat: Arc<Seat>,
    pub(super) mailbox: Mailbox,
    pub(super) life: Life,
    phase: watch::Sender<Phase>,
    pub(super) watched: watch::Receiver<bool>,
    slot: Option<HeldSlot>,
    pub(super) running: Option<Box<dyn Running>>,
    pub(super) client: Option<ToolClient>,
    pub(super) news: News,
    pub(super) flight: Flight,
    pub(super) ready_since: Option<Instant>,
    pub(super) restarts: u32,
    retry_at: Instant,
    /// What is known of what runs or ran.
    pub(super) facts: Arc<[(Arc<str>, Arc<str>)]>,
    /// Why it is where it is, for those whose calls are refused.
    pub(super) failure: Option<Failure>,
    /// What of it could not be taken down.
    pub(super) left_behind: Option<Failure>,
}

/// Adds an instance of `backend` to a session and starts its task; cancelling `leave` ends it.
pub(super) async fn spawn(
    core: &Arc<Core>,
    session: &SessionId,
    leave: &CancellationToken,
    backend: Arc<Backend>,
    info: Arc<BackendInfo>,
) -> Spawned {
    let id = core.new_instance_id();
    let (sender, mail) = mpsc::channel(mailbox::CAPACITY);
    let (phase, phase_reader) = watch::channel(Phase::Pending);
    let (watched, watched_reader) = watch::channel(false);
    let post = InstancePost {
        session: session.clone(),
        backend: backend.name.clone(),
        mail: sender,
        phase: phase_reader.clone(),
        watched: Arc::new(watched),
    };
    core.instances.write().insert(id.clone(), post);
    core.population.send_modify(|count| *count += 1);
    let added = Happening::InstanceAdded {
        session: session.clone(),
        instance: id.clone(),
        backend: info.clone(),
    };
    core.reporter.report(added).await;
    let log = core.logs.writer(&id);
    let seat = Seat {
        core: core.clone(),
        id,
        session: session.clone(),
        backend,
        info,
        log,
    };
    let instance = Instance {
        seat: Arc::new(seat),
        mailbox: Mailbox {
            mail,
            leave: leave.clone(),
        },
        life: Life::new(),
        phase,
        watched: watched_reader,
        slot: None,
        running: None,
        client: None,
        news: News::new(),
        flight: Flight::new(),
        ready_since: None,
        restarts: 0,
        retry_at: Instant::now(),
        facts: Arc::default(),
        failure: None,
        left_behind: None,
    };
    Spawned {
        id: instance.seat.id.clone(),
        phase: phase_reader,
        task: core.tasks.spawn(instance.run()),
    }
}

impl Instance {
    async fn run(mut self) -> Option<Failure> {
        let core = self.seat.core.clone();
        let abandon = core.tokens.abandon.clone();
        tokio::select! {
            biased;
            // Dropping what runs kills it.
            () = abandon.cancelled() => {}
            () = self.live() => {}
        }
        core.instances.write().remove(&self.seat.id);
        self.mailbox.close(&self.seat.label());
        let left_behind = self.left_behind.take();
        let (driver, id) = (
            core.drivers.driver(&self.seat.backend.mode),
            self.seat.id.clone(),
        );
        drop(self);
        let left_behind = left_behind.or(release(driver, &id, &abandon).await);
        core.population.send_modify(|count| *count -= 1);
        left_behind
    }

    async fn live(&mut self) {
        loop {
            let act = AssertUnwindSafe(self.act()).catch_unwind().await;
            let input = match act {
                Ok(input) => input,
                Err(panic) => self.bury_panic(&words::panic_text(panic.as_ref())).await,
            };
            if self.advance(input).await.is_break() {
                return;
            }
        }
    }

    /// Does what belongs to the phase until something changes it.
    async fn act(&mut self) -> Input {
        match self.life.phase {
            Phase::Pending => self.queue().await,
            Phase::Starting => self.start().await,
            Phase::Ready => self.serve().await,
            Phase::Waiting => {
                // The end of what ran was shown at once: engines may take seconds to remove the rest.
                self.bury().await;
                self.wait_for_retry().await
            }
            Phase::Stopping => self.stop().await,
            Phase::Stopped | Phase::Failed => {
                self.bury().await;
                Input::Asked(self.refuse_calls().await)
            }
        }
    }

    async fn advance(&mut self, input: Input) -> ControlFlow<()> {
        let policy = self.seat.backend.restart.clone();
        let (life, steps) = self.life.next(input, &policy);
        let before = std::mem::replace(&mut self.life, life).phase;
        if life.phase != before {
            self.restarts += u32::from(life.phase == Phase::Pending);
            let (instance, phase) = (self.seat.id.clone(), life.phase);
            self.seat
                .report(Happening::PhaseChanged { instance, phase })
                .await;
            self.phase.send_replace(life.phase);
        }
        for step in steps {
            match step {
                Step::Retry { attempt, of } => self.plan_retry(attempt, of, &policy).await,
                Step::GiveUp { after } => self.give_up(after),
                Step::Forget => {
                    self.forget().await;
                    return ControlFlow::Break(());
                }
                // The mailbox answers those.
                Step::Refuse(_) => {}
            }
        }
        ControlFlow::Continue(())
    }

    async fn plan_retry(&mut self, attempt: u32, of: u32, policy: &RestartPolicy) {
        let RestartPolicy::OnFailure {
            backoff, ceiling, ..
        } = *policy
        else {
            return;
        };
        let pause = backoff::pause(attempt, backoff, ceiling, &mut rand::rng());
        self.retry_at = Instant::now() + pause;
        let text = match attempt {
            0 => format!("tried again in {}", words::duration(pause)),
            _ => format!("restart {attempt} of {of} in {}", words::duration(pause)),
        };
        self.seat.log.line(Source::Envdeck, &text);
        let (instance, at) = (self.seat.id.clone(), timestamp(self.retry_at));
        self.seat
            .report(Happening::RetryAt {
                instance,
                attempt,
                of,
                at,
            })
            .await;
    }

    fn give_up(&self, after: u32) {
        let text = format!("{} gave up after {after} restarts", self.seat.label());
        self.seat.log.line(Source::Envdeck, &text);
        self.seat
            .core
            .reporter
            .notice(Notice::new(Level::Error, text).about(&self.seat.id));
    }

    async fn forget(&mut self) {
        self.seat
            .report(Happening::InstanceRemoved {
                instance: self.seat.id.clone(),
            })
            .await;
        self.seat.core.logs.forget(&self.seat.id);
    }

    async fn queue(&mut self) -> Input {
        let starts = self.seat.core.starts.clone();
        let Some(slot) = HeldSlot::free(&starts) else {
            self.seat.step("queued", None).await;
            let (life, why) = (self.life, not_ready(&self.seat, Phase::Pending, None));
            return tokio::select! {
                biased;
                wish = self.mailbox.wish(life, || why.clone()) => Input::Asked(wish),
                Some(slot) = HeldSlot::wait(&starts) => {
                    self.slot = Some(slot);
                    Input::Slot
                }
            };
        };
        self.slot = Some(slot);
        Input::Slot
    }

    async fn start(&mut self) -> Input {
        let slot = self.slot.take();
        let began = Instant::now();
        self.failure = None;
        // What of its last life is left, its driver sees to.
        self.left_behind = None;
        self.ready_since = None;
        self.news = News::new();
        let why = not_ready(&self.seat, Phase::Starting, None);
        let life = self.life;
        let Self {
            seat,
            mailbox,
            running,
            news,
            ..
        } = self;
        let brought = {
            let slot = slot.as_ref().map(HeldSlot::slot).unwrap_or_default();
            let mut up = pin!(bring_up(seat, &slot, running, news.listener()));
            loop {
                tokio::select! {
                    biased;
                    wish = mailbox.wish(life, || why.clone()) => break Brought::Asked(wish),
                    result = &mut up => break result.map_or_else(Brought::Failed, Brought::Up),
                    digest = news.next() => seat.report_noise(digest.noise).await,
                }
            }
        };
        // The next one may start while this one, if it failed, is still cleaned up.
        drop(slot);
        self.seat.report_noise(self.news.take().noise).await;
        self.learn_facts();
        match brought {
            Brought::Up(client) => {
                self.client = Some(client);
                self.ready_since = Some(Instant::now());
                let text = format!("ready after {}", words::duration(began.elapsed()));
                self.seat.log.line(Source::Envdeck, &text);
                Input::Started
            }
            Brought::Failed(failure) => {
                let again = again(&self.seat.backend.mode, &failure);
                self.mourn(failure, vec![]).await;
                self.bury().await;
                Input::StartFailed { again }
            }
            Brought::Asked(wish) => Input::Asked(wish),
        }
    }

    async fn wait_for_retry(&mut self) -> Input {
        let why = not_ready(&self.seat, Phase::Waiting, self.failure.as_ref());
        tokio::select! {
            biased;
            wish = self.mailbox.wish(self.life, || why.clone()) => Input::Asked(wish),
            () = sleep_until(self.retry_at) => Input::RetryDue,
        }
    }

    async fn refuse_calls(&mut self) -> Wish {
        let why = not_ready(&self.seat, self.life.phase, self.failure.as_ref());
        self.mailbox.wish(self.life, || why.clone()).await
    }

    /// Takes it down on request; what is wished meanwhile changes what becomes of it.
    async fn stop(&mut self) -> Input {
        self.failure = None;
        self.flight
            .end(Failure::other(Stage::Stop, "the instance was stopped"))
            .await;
        let why = not_ready(&self.seat, Phase::Stopping, None);
        let policy = self.seat.backend.restart.clone();
        let mut down = pin!(take_down(
            self.seat.clone(),
            self.client.take(),
            self.running.take()
        ));
        let result = loop {
            tokio::select! {
                biased;
                result = &mut down => break result,
                wish = self.mailbox.wish(self.life, || why.clone()) => {
                    self.life = self.life.next(Input::Asked(wish), &policy).0;
                }
            }
        };
        match result {
            Ok(()) => {
                self.seat.log.line(Source::Envdeck, "stopped");
                Input::Down
            }
            Err(failure) => {
                self.left_behind = Some(labelled(&self.seat, &failure));
                self.record_death(failure, vec![]).await;
                Input::StillUp
            }
        }
    }
}

/// How a start ended.
enum Brought {
    Up(ToolClient),
    Failed(Failure),
    Asked(Wish),
}

/// What was kept for another start goes; returns what of it may be left. Nobody waits who has no time.
async fn release(
    driver: Arc<dyn Driver>,
    id: &InstanceId,
    abandon: &CancellationToken,
) -> Option<Failure> {
    let released = driver.release(id);
    tokio::select! {
        biased;
        () = abandon.cancelled() => None,
        released = timeout(RELEASE, released) => released.ok()?.err(),
    }
}

/// Whether a start of this mode that failed so is tried again.
fn again(mode: &Mode, failure: &Failure) -> Again {
    if !mode.repeats_starts() {
        Again::IfAutomatic
    } else if failure.is_lasting() {
        Again::No
    } else if failure.stage == Stage::Check {
        Again::ForFree
    } else {
        Again::Yes
    }
}

/// Why an instance in this phase takes no calls.
fn not_ready(seat: &Seat, phase: Phase, failure: Option<&Failure>) -> Failure {
    let label = seat.label();
    let text = match (phase, failure) {
        (Phase::Failed, Some(failure)) => format!("instance {label} is failed: {failure}"),
        (Phase::Waiting, Some(failure)) => {
            format!("instance {label} died and waits for its restart: {failure}")
        }
        _ => format!("instance {label} is {phase}"),
    };
    let hint = match phase {
        Phase::Failed | Phase::Stopped => "start it again first",
        Phase::Stopping => "it takes no more calls",
        _ => "wait until it is ready",
    };
    Failure::other(Stage::Call, text).hint(hint)
}
