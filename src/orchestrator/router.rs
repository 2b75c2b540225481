//! Commands in: each is handed to the task it concerns, or refused with the reason.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::core::{Asker, Core, InstancePost, new_session_id};
use super::errand::Errand;
use super::handle::{Envelope, Reply};
use super::lifecycle::Wish;
use super::mailbox::Mail;
use super::{session, shared};
use crate::model::{
    Caller, Command, Failure, Happening, InstanceId, Phase, SessionId, Stage, ToolCall,
};

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
        let Some(Envelope {
            command,
            reply,
            session,
            client,
            progress,
        }) = envelope
        else {
            return;
        };
        let mut asker = Asker::new(reply, core.reporter.clone());
        asker.progress = progress;
        asker.client = client;
        match command {
            Command::Watch(instance) => {
                watch(&core, &mut watched, instance);
                asker.answer(Ok(Reply::Accepted));
            }
            Command::ShowGateway(gateway) => {
                let changed = Happening::GatewayChanged { gateway };
                core.reporter.report(changed).await;
                asker.answer(Ok(Reply::Accepted));
            }
            Command::Call(wanted) => call(&core, wanted, session, asker),
            Command::OpenSession { caller, asks } => {
                let id = session.unwrap_or_else(new_session_id);
                session::open(&core, id, caller, &asks, asker);
            }
            Command::ListTools(id) => list_tools(&core, &id, session, asker),
            command => route(&core, command, asker),
        }
    }
}

fn route(core: &Arc<Core>, command: Command, asker: Asker) {
    let accepted = |()| Reply::Accepted;
    match command {
        Command::CloseSession(id) => match shared::refuse_to_close(&id) {
            Ok(()) => session::close(core, &id, asker),
            Err(failure) => asker.answer(Err(failure)),
        },
        Command::Start(id) => wish(core, &id, Wish::Start, asker),
        Command::Stop(id) => wish(core, &id, Wish::Stop, asker),
        Command::RetryFailed(id) => asker.answer(retry_failed(core, &id).map(accepted)),
        Command::Restart(id) => wish(core, &id, Wish::Restart, asker),
        Command::Remove(id) => match shared::refuse_to_remove(core, &id) {
            Ok(()) => wish(core, &id, Wish::Remove, asker),
            Err(failure) => asker.answer(Err(failure)),
        },
        Command::OpenShell { instance, size } => {
            send(core, &instance, Errand::OpenShell(size), asker);
        }
        Command::Pause(id) => send(core, &id, Errand::SetPaused(true), asker),
        Command::Resume(id) => send(core, &id, Errand::SetPaused(false), asker),
        Command::Inspect(id) => send(core, &id, Errand::Inspect, asker),
        Command::Cancel(call) => asker.answer(core.calls.cancel(call).map(accepted)),
        Command::Extend(call, more) => asker.answer(core.calls.extend(call, more).map(accepted)),
        Command::Call(_)
        | Command::ListTools(_)
        | Command::OpenSession { .. }
        | Command::Watch(_)
        | Command::ShowGateway(_) => {}
    }
}

/// Counts a call for the session on whose behalf it is made, and hands it to its instance.
fn call(core: &Core, wanted: ToolCall, session: Option<SessionId>, mut asker: Asker) {
    let session = match (session, core.post(&wanted.instance)) {
        (Some(session), Ok(_)) => session,
        (None, Ok(post)) => post.session,
        (_, Err(failure)) => return asker.answer(Err(failure)),
    };
    let is_limited = matches!(wanted.caller, Caller::Agent(_));
    let most = is_limited.then_some(core.config.gateway.max_calls);
    match session::begin_call(core, &session, most) {
        Ok(visit) => asker.visit = Some((session, visit)),
        Err(failure) => return asker.answer(Err(failure)),
    }
    let id = wanted.instance.clone();
    send(core, &id, Errand::Call(wanted), asker);
}

/// Whoever looks at the tools is about to use them.
fn list_tools(core: &Core, id: &InstanceId, session: Option<SessionId>, asker: Asker) {
    let session = session.or_else(|| Some(core.post(id).ok()?.session));
    if let Some(session) = session {
        session::touch(core, &session);
    }
    send(core, id, Errand::ListTools, asker);
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

/// What comes of each shows in the fleet; one that has no room for the wish is told of.
fn retry_failed(core: &Core, session: &SessionId) -> Result<(), Failure> {
    let is_failed =
        |post: &InstancePost| post.session == *session && *post.phase.borrow() == Phase::Failed;
    let posts = core.instances.read();
    let failed: Vec<_> = posts.iter().filter(|(_, post)| is_failed(post)).collect();
    if failed.is_empty() {
        let text = format!("nothing has failed in session {}", session.short());
        return Err(Failure::other(Stage::Start, text));
    }
    let failed: Vec<_> = failed.into_iter().map(|(id, _)| id.clone()).collect();
    drop(posts);
    for id in failed {
        wish(
            core,
            &id,
            Wish::Start,
            Asker::new(None, core.reporter.clone()),
        );
    }
    Ok(())
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
