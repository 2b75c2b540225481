//! One session, one task: provisions what was asked for all at once, and takes all of it down again.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::core::{Asker, Core, SessionPost};
use super::handle::Reply;
use super::instance::{self, Spawned};
use super::lease::{Lease, Visit};
use super::order::{Order, orders};
use super::{shared, words};
use crate::model::{
    Ask, Caller, Failure, Happening, InstanceId, Level, Notice, Phase, Scope, SessionId, Stage,
};

pub(super) enum SessionMail {
    Close(Asker),
}

/// So many requests to close one session may wait for its end.
const CLOSERS: usize = 64;

/// Registers a session and provisions it in the background; the answer comes when all of it has settled.
pub(super) fn open(core: &Arc<Core>, id: SessionId, caller: Caller, asks: &[Ask], asker: Asker) {
    let is_agents = matches!(caller, Caller::Agent(_));
    let orders = orders(core, asks)
        .and_then(|orders| refuse_to_open(core, is_agents, &orders).map(|()| orders));
    let orders = match orders {
        Ok(orders) => orders,
        Err(failure) => return asker.answer(Err(failure)),
    };
    let lease = Lease::new(is_agents);
    let (mail, mailbox) = mpsc::channel(CLOSERS);
    let task = SessionTask {
        core: core.clone(),
        id: id.clone(),
        leave: CancellationToken::new(),
        lease: lease.clone(),
        mailbox,
        instances: vec![],
        closers: vec![],
    };
    // Held until the post is there, so that a session that ends at once finds it and takes it away.
    let mut sessions = core.sessions.lock();
    debug_assert!(!sessions.contains_key(&id), "ids are random");
    let task = core.tasks.spawn(task.run(caller, orders, asker));
    sessions.insert(id, SessionPost { mail, task, lease });
}

/// Asks a session to close.
pub(super) fn close(core: &Core, id: &SessionId, asker: Asker) {
    let mail = core.sessions.lock().get(id).map(|post| post.mail.clone());
    let Some(mail) = mail else {
        return asker.answer(Err(gone(id)));
    };
    if let Err(refused) = mail.try_send(SessionMail::Close(asker)) {
        let SessionMail::Close(asker) = refused.into_inner();
        asker.answer(Err(gone(id)));
    }
}

/// Counts a call that is made on behalf of a session, unless `most` of them run already.
pub(super) fn begin_call(
    core: &Core,
    id: &SessionId,
    most: Option<usize>,
) -> Result<Visit, Failure> {
    let lease = core.sessions.lock().get(id).map(|post| post.lease.clone());
    let lease = lease.ok_or_else(|| gone(id))?;
    lease.begin(most).ok_or_else(|| {
        let most = most.unwrap_or_default();
        let text = format!("the session has {most} calls in flight, which is the limit");
        Failure::other(Stage::Call, text).hint("wait for one of them, or raise gateway.max_calls")
    })
}

/// Somebody needs it.
pub(super) fn touch(core: &Core, id: &SessionId) {
    if let Some(post) = core.sessions.lock().get(id) {
        post.lease.touch();
    }
}

fn gone(id: &SessionId) -> Failure {
    Failure::other(Stage::Run, format!("there is no session {}", id.short()))
}

/// Agents may open so many sessions, and empty ones, too: what they asked for may have been refused one by one.
fn refuse_to_open(core: &Core, is_agents: bool, orders: &[Order]) -> Result<(), Failure> {
    if !is_agents && orders.is_empty() {
        let text = "a session needs at least one backend";
        return Err(Failure::other(Stage::Config, text));
    }
    let most = core.config.gateway.max_sessions;
    let open = || {
        let sessions = core.sessions.lock();
        sessions
            .values()
            .filter(|post| post.lease.is_agents)
            .count()
    };
    if is_agents && open() >= most {
        let text = format!("there are {most} sessions already, which is the limit");
        return Err(
            Failure::other(Stage::Config, text).hint("clean one up, or raise gateway.max_sessions")
        );
    }
    Ok(())
}

struct SessionTask {
    core: Arc<Core>,
    id: SessionId,
    /// Ends its instances.
    leave: CancellationToken,
    lease: Arc<Lease>,
    mailbox: mpsc::Receiver<SessionMail>,
    instances: Vec<Spawned>,
    closers: Vec<Asker>,
}

impl SessionTask {
    /// Returns what could not be taken down.
    async fn run(mut self, caller: Caller, orders: Vec<Order>, mut asker: Asker) -> Vec<Failure> {
        let reporter = self.core.reporter.clone();
        reporter
            .report(Happening::SessionOpened {
                session: self.id.clone(),
                caller,
            })
            .await;
        let provisioned = self.provision(&orders).await;
        let phases: Vec<_> = provisioned.iter().flatten().map(phase_of).collect();
        let closed_early = tokio::select! {
            biased;
            () = self.asked_to_close() => true,
            // Nobody learns its id any more.
            () = asker.abandoned() => true,
            () = settled(phases.clone()) => false,
        };
        if closed_early {
            let text = "the session was closed while it was starting";
            asker.answer(Err(Failure::other(Stage::Start, text)));
        } else {
            self.announce(&phases);
            reporter.flush().await;
            self.lease.touch();
            let ids = |group: &Vec<Member>| group.iter().map(|(id, _)| id.clone()).collect();
            let ids = provisioned.iter().map(ids).collect();
            let client = asker.client.take();
            if asker.tell(Ok(Reply::Opened(self.id.clone(), ids))) {
                self.until_its_end(client).await;
            }
        }
        self.close().await
    }

    /// Starts the session's own instances, and returns all that it is to use, shared ones included, by order.
    async fn provision(&mut self, orders: &[Order]) -> Vec<Vec<Member>> {
        let mut all = vec![];
        let founding_shared = shared::is_shared(&self.id);
        for order in orders {
            if order.backend.scope == Scope::SharedGlobal && !founding_shared {
                all.push(shared::instances(&self.core, &order.backend.name).await);
                continue;
            }
            let mut own = vec![];
            for _ in 0..order.count {
                let spawned = instance::spawn(
                    &self.core,
                    &self.id,
                    &self.leave,
                    order.backend.clone(),
                    order.info.clone(),
                )
                .await;
                own.push((spawned.id.clone(), spawned.phase.clone()));
                self.instances.push(spawned);
            }
            all.push(own);
        }
        all
    }

    fn announce(&self, phases: &[watch::Receiver<Phase>]) {
        let ready = phases
            .iter()
            .filter(|phase| *phase.borrow() == Phase::Ready)
            .count();
        let (level, id) = (
            if ready == phases.len() {
                Level::Info
            } else {
                Level::Warn
            },
            self.id.short(),
        );
        let text = format!(
            "session {id}: {ready} of {} instances are ready",
            phases.len()
        );
        self.core.reporter.notice(Notice::new(level, text));
    }

    /// Resolves when somebody closes the session or everything ends. Cancel-safe.
    async fn asked_to_close(&mut self) {
        tokio::select! {
            () = self.core.tokens.closing.cancelled() => {}
            mail = self.mailbox.recv() => {
                if let Some(SessionMail::Close(asker)) = mail {
                    self.closers.push(asker);
                }
            }
        }
    }

    /// Resolves when it is to close, also because nobody has needed it for too long.
    async fn until_its_end(&mut self, client: Option<CancellationToken>) {
        let gateway = &self.core.config.gateway;
        let of_agents = |limit: &Duration| self.lease.is_agents.then_some(*limit);
        let idle = gateway.session_idle_timeout.as_ref().and_then(of_agents);
        let abandoned = of_agents(&gateway.client_idle_timeout);
        let lease = self.lease.clone();
        let is_abandoned = async {
            if let Some(client) = client {
                client.cancelled().await;
            }
            lease.expired(abandoned).await;
        };
        let (why, limit) = tokio::select! {
            biased;
            () = self.asked_to_close() => return,
            () = lease.expired(idle) => ("no call", idle),
            () = is_abandoned => ("its client is gone, and no call", abandoned),
        };
        let (id, limit) = (self.id.short(), words::duration(limit.unwrap_or_default()));
        let text = format!("session {id} is closed: {why} for {limit}");
        self.core.reporter.notice(Notice::new(Level::Warn, text));
    }

    async fn close(mut self) -> Vec<Failure> {
        let reporter = &self.core.reporter;
        reporter
            .report(Happening::SessionClosing {
                session: self.id.clone(),
            })
            .await;
        self.leave.cancel();
        let ends = join_all(self.instances.drain(..).map(|spawned| spawned.task)).await;
        // A task that panicked outside its own guard has dropped, and so killed, what it had.
        let failures: Vec<_> = ends
            .into_iter()
            .filter_map(|end| end.ok().flatten())
            .collect();
        self.core.sessions.lock().remove(&self.id);
        reporter
            .report(Happening::SessionClosed {
                session: self.id.clone(),
            })
            .await;
        reporter.flush().await;
        self.mailbox.close();
        while let Ok(SessionMail::Close(asker)) = self.mailbox.try_recv() {
            self.closers.push(asker);
        }
        for asker in self.closers {
            asker.answer(Ok(Reply::Closed(failures.clone())));
        }
        failures
    }
}

/// An instance that a session uses.
type Member = (InstanceId, watch::Receiver<Phase>);

fn phase_of((_, phase): &Member) -> watch::Receiver<Phase> {
    phase.clone()
}

/// Resolves when none of them is on its way any more.
async fn settled(phases: Vec<watch::Receiver<Phase>>) {
    for mut phase in phases {
        let on_its_way =
            |phase: &Phase| matches!(phase, Phase::Pending | Phase::Starting | Phase::Stopping);
        // An instance that was removed meanwhile has settled, too.
        let _ = phase.wait_for(|phase| !on_its_way(phase)).await;
    }
}
