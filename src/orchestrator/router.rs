//! Commands in: each is handed to the task it concerns, or refused with the reason.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::core::{Asker, Core, new_session_id};
use super::errand::Errand;
use super::handle::{Envelope, Reply};
use super::lifecycle::Wish;
use super::mailbox::Mail;
use super::{session, shared};
use crate::model::{Command, Failure, InstanceId, Stage};

/// Takes commands until the orchestrator closes.
pub(super) async fn run(core: Arc<Core>, mut commands: mpsc::Receiver<Envelope>) {
    shared::provision(&core);
    let mut watched = None;
    loop {
        let envelope = tokio::select! {
            biased;
            () = core.tokens.closing.cancelled() => return,
            envelope = commands.recv() => envelope,
        };
        let Some(Envelope { command, reply }) = envelope else {
            return;
        };
        let asker = Asker::new(reply, core.reporter.clone());
        match command {
            Command::Watch(instance) => {
                watch(&core, &mut watched, instance);
                asker.answer(Ok(Reply::Accepted));
            }
            command => route(&core, command, asker),
        }
    }
}

fn route(core: &Arc<Core>, command: Command, asker: Asker) {
    let accepted = |()| Reply::Accepted;
    match command {
        Command::OpenSession { caller, asks } => {
            session::open(core, new_session_id(), caller, &asks, asker);
        }
        Command::CloseSession(id) => match shared::refuse_to_close(&id) {
            Ok(()) => session::close(core, &id, asker),
            Err(failure) => asker.answer(Err(failure)),
        },
        Command::Start(id) => wish(core, &id, Wish::Start, asker),
        Command::Stop(id) => wish(core, &id, Wish::Stop, asker),
        Command::Restart(id) => wish(core, &id, Wish::Restart, asker),
        Command::Remove(id) => match shared::refuse_to_remove(core, &id) {
            Ok(()) => wish(core, &id, Wish::Remove, asker),
            Err(failure) => asker.answer(Err(failure)),
        },
        Command::Call(call) => {
            let id = call.instance.clone();
            send(core, &id, Errand::Call(call), asker);
        }
        Command::ListTools(id) => send(core, &id, Errand::ListTools, asker),
        Command::OpenShell { instance, size } => {
            send(core, &instance, Errand::OpenShell(size), asker);
        }
        Command::Inspect(id) => send(core, &id, Errand::Inspect, asker),
        Command::Cancel(call) => asker.answer(core.calls.cancel(call).map(accepted)),
        Command::Extend(call, more) => asker.answer(core.calls.extend(call, more).map(accepted)),
        Command::Watch(_) => {}
    }
}

fn wish(core: &Core, id: &InstanceId, wish: Wish, asker: Asker) {
    deliver(core, id, asker, |asker| Mail::Wish(wish, asker));
}

fn send(core: &Core, id: &InstanceId, errand: Errand, asker: Asker) {
    deliver(core, id, asker, |asker| Mail::Errand(errand, asker));
}

fn deliver(core: &Core, id: &InstanceId, asker: Asker, mail: impl FnOnce(Asker) -> Mail) {
    let post = match core.post(id) {
        Ok(post) => post,
        Err(failure) => return asker.answer(Err(failure)),
    };
    let (mail, why) = match post.mail.try_send(mail(asker)) {
        Ok(()) => return,
        Err(TrySendError::Full(mail)) => (mail, "has too much to do, try again"),
        Err(TrySendError::Closed(mail)) => (mail, "was removed"),
    };
    let (Mail::Wish(_, asker) | Mail::Errand(_, asker)) = mail;
    asker.answer(Err(Failure::other(
        Stage::Run,
        format!("instance {} {why}", id.short()),
    )));
}

/// Only the two instances concerned are woken, however many there are.
fn watch(core: &Core, watched: &mut Option<InstanceId>, next: Option<InstanceId>) {
    let instances = core.instances.read();
    let tell = |id: &Option<InstanceId>, on: bool| {
        if let Some(post) = id.as_ref().and_then(|id| instances.get(id)) {
            post.watched.send_replace(on);
        }
    };
    if *watched != next {
        tell(watched, false);
        tell(&next, true);
        *watched = next;
    }
}
