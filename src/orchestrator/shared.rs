//! Backends of scope `shared_global`: one instance each, for everybody, made at start-up and ended with the
//! orchestrator. They live in a session of their own that nobody can close.

use std::sync::Arc;

use tokio::sync::watch;

use super::core::{Asker, Core};
use super::session;
use crate::model::{
    Ask, Caller, Failure, InstanceId, Phase, SHARED_SESSION, Scope, SessionId, Stage,
};

/// Provisions them, once; does nothing where none is configured.
pub(super) fn provision(core: &Arc<Core>) {
    let shared = core
        .config
        .backends
        .iter()
        .filter(|backend| backend.scope == Scope::SharedGlobal);
    let asks: Vec<_> = shared
        .map(|backend| Ask::new(backend.name.clone(), 1))
        .collect();
    if !asks.is_empty() {
        let asker = Asker::new(None, core.reporter.clone());
        session::open(
            core,
            SessionId::new(SHARED_SESSION),
            Caller::Orchestrator,
            &asks,
            asker,
        );
    }
}

pub(super) fn is_shared(session: &SessionId) -> bool {
    session.as_str() == SHARED_SESSION
}

/// The one instance of `backend`, and its phase. Waits for it where everything is only just starting.
pub(super) async fn instances(
    core: &Core,
    backend: &str,
) -> Vec<(InstanceId, watch::Receiver<Phase>)> {
    let find = || {
        let instances = core.instances.read();
        let shared = instances
            .iter()
            .find(|(_, post)| is_shared(&post.session) && *post.backend == *backend);
        shared.map(|(id, post)| (id.clone(), post.phase.clone()))
    };
    let mut population = core.population.subscribe();
    loop {
        if let Some(found) = find() {
            return vec![found];
        }
        let is_to_come = core.sessions.lock().keys().any(is_shared);
        if !is_to_come || population.changed().await.is_err() {
            return vec![];
        }
    }
}

pub(super) fn refuse_to_close(session: &SessionId) -> Result<(), Failure> {
    if is_shared(session) {
        return Err(
            Failure::other(Stage::Stop, "the shared instances belong to every session")
                .hint("stop or restart a single one instead"),
        );
    }
    Ok(())
}

pub(super) fn refuse_to_remove(core: &Core, instance: &InstanceId) -> Result<(), Failure> {
    if core
        .instances
        .read()
        .get(instance)
        .is_some_and(|post| is_shared(&post.session))
    {
        return Err(
            Failure::other(Stage::Remove, "a shared instance belongs to every session")
                .hint("stop or restart it instead"),
        );
    }
    Ok(())
}
