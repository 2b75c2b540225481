//! One session, one task: provisions what was asked for all at once, and takes all of it down again.

use std::sync::Arc;

use futures::future::join_all;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::core::{Asker, Core, SessionPost};
use super::handle::Reply;
use super::instance::{self, Spawned};
use super::shared;
use crate::model::{
    Ask, Backend, BackendInfo, Caller, Failure, Happening, Level, Notice, Phase, Scope, SessionId,
    Stage,
};
use crate::nearest::nearest;

pub(super) enum SessionMail {
    Close(Asker),
}

/// So many requests to close one session may wait for its end.
const CLOSERS: usize = 64;

/// A configured backend and how many instances of it.
type Order = (Arc<Backend>, Arc<BackendInfo>, usize);

/// Registers a session and provisions it in the background; the answer comes when all of it has settled.
pub(super) fn open(core: &Arc<Core>, id: SessionId, caller: Caller, asks: &[Ask], asker: Asker) {
    let orders = match asks
        .iter()
        .map(|ask| order(core, ask))
        .collect::<Result<Vec<_>, _>>()
    {
        Ok(orders) if orders.is_empty() => {
            return asker.answer(Err(Failure::other(
                Stage::Config,
                "a session needs at least one backend",
            )));
        }
        Ok(orders) => orders,
        Err(failure) => return asker.answer(Err(failure)),
    };
    let (mail, mailbox) = mpsc::channel(CLOSERS);
    let task = SessionTask {
        core: core.clone(),
        id: id.clone(),
        leave: CancellationToken::new(),
        mailbox,
        instances: vec![],
        closers: vec![],
    };
    // Held until the post is there, so that a session that ends at once finds it and takes it away.
    let mut sessions = core.sessions.lock();
    let task = core.tasks.spawn(task.run(caller, orders, asker));
    sessions.insert(id, SessionPost { mail, task });
}

/// Asks a session to close.
pub(super) fn close(core: &Core, id: &SessionId, asker: Asker) {
    let mail = core.sessions.lock().get(id).map(|post| post.mail.clone());
    let gone = || Failure::other(Stage::Run, format!("there is no session {}", id.short()));
    let Some(mail) = mail else {
        return asker.answer(Err(gone()));
    };
    if let Err(refused) = mail.try_send(SessionMail::Close(asker)) {
        let SessionMail::Close(asker) = refused.into_inner();
        asker.answer(Err(gone()));
    }
}

fn order(core: &Core, ask: &Ask) -> Result<Order, Failure> {
    let known = core
        .config
        .backends
        .iter()
        .zip(&*core.backends)
        .find(|(backend, _)| backend.name == ask.backend);
    let Some((backend, info)) = known else {
        let failure = Failure::other(
            Stage::Config,
            format!("there is no backend `{}`", ask.backend),
        );
        let names = core.config.backends.iter().map(|backend| &*backend.name);
        return Err(match nearest(&ask.backend, names) {
            Some(near) => failure.hint(format!("did you mean `{near}`?")),
            None => failure,
        });
    };
    if ask.count == 0 {
        let text = format!(
            "0 instances of `{}` make no sense: ask for at least 1",
            ask.backend
        );
        return Err(Failure::other(Stage::Config, text));
    }
    Ok((backend.clone(), info.clone(), ask.count))
}

struct SessionTask {
    core: Arc<Core>,
    id: SessionId,
    /// Ends its instances.
    leave: CancellationToken,
    mailbox: mpsc::Receiver<SessionMail>,
    instances: Vec<Spawned>,
    closers: Vec<Asker>,
}

impl SessionTask {
    /// Returns what could not be taken down.
    async fn run(mut self, caller: Caller, orders: Vec<Order>, asker: Asker) -> Vec<Failure> {
        let reporter = self.core.reporter.clone();
        reporter
            .report(Happening::SessionOpened {
                session: self.id.clone(),
                caller,
            })
            .await;
        let phases = self.provision(&orders).await;
        let closed_early = tokio::select! {
            biased;
            () = self.asked_to_close() => true,
            () = settled(phases.clone()) => false,
        };
        if closed_early {
            let text = "the session was closed while it was starting";
            asker.answer(Err(Failure::other(Stage::Start, text)));
        } else {
            self.announce(&phases);
            reporter.flush().await;
            asker.answer(Ok(Reply::Opened(self.id.clone())));
            self.asked_to_close().await;
        }
        self.close().await
    }

    /// Starts the session's own instances, and returns the phases of all that it is to use, shared ones included.
    async fn provision(&mut self, orders: &[Order]) -> Vec<watch::Receiver<Phase>> {
        let mut phases = vec![];
        let founding_shared = shared::is_shared(&self.id);
        for (backend, info, count) in orders {
            if backend.scope == Scope::SharedGlobal && !founding_shared {
                phases.extend(shared::phases(&self.core, &backend.name));
                continue;
            }
            for _ in 0..*count {
                let spawned = instance::spawn(
                    &self.core,
                    &self.id,
                    &self.leave,
                    backend.clone(),
                    info.clone(),
                )
                .await;
                phases.push(spawned.phase.clone());
                self.instances.push(spawned);
            }
        }
        phases
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

/// Resolves when none of them is on its way any more.
async fn settled(phases: Vec<watch::Receiver<Phase>>) {
    for mut phase in phases {
        let on_its_way =
            |phase: &Phase| matches!(phase, Phase::Pending | Phase::Starting | Phase::Stopping);
        // An instance that was removed meanwhile has settled, too.
        let _ = phase.wait_for(|phase| !on_its_way(phase)).await;
    }
}
