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
        .map(|backend| Ask {
            backend: backend.name.clone(),
            count: 1,
        })
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

/// The phase of the one instance of `backend`.
pub(super) fn phases(core: &Core, backend: &str) -> Vec<watch::Receiver<Phase>> {
    let instances = core.instances.read();
    let shared = instances
        .values()
        .filter(|post| is_shared(&post.session) && *post.backend == *backend);
    shared.map(|post| post.phase.clone()).collect()
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
