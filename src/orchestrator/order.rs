//! What a session asks for, looked up in the configuration.

use std::path::Path;
use std::sync::Arc;

use super::core::Core;
use crate::model::{Ask, Backend, BackendInfo, Failure, Mode, Stage};
use crate::nearest::nearest;

/// A configured backend and how many instances of it.
pub(super) struct Order {
    pub backend: Arc<Backend>,
    pub info: Arc<BackendInfo>,
    pub count: usize,
}

/// The orders for `asks`, one each, or why one of them makes no sense.
pub(super) fn orders(core: &Core, asks: &[Ask]) -> Result<Vec<Order>, Failure> {
    asks.iter().map(|ask| order(core, ask)).collect()
}

fn order(core: &Core, ask: &Ask) -> Result<Order, Failure> {
    let known = core
        .config
        .backends
        .iter()
        .zip(&*core.backends)
        .find(|(backend, _)| backend.name == ask.backend);
    let Some((backend, info)) = known else {
        return Err(unknown(core, &ask.backend));
    };
    if ask.count == 0 {
        let text = format!(
            "0 instances of `{}` make no sense: ask for at least 1",
            ask.backend
        );
        return Err(Failure::other(Stage::Config, text));
    }
    let backend = match (&ask.template, &ask.details) {
        (None, None) => backend.clone(),
        (Some(template), _) => Arc::new(seeded(backend, template)?),
        (None, Some(details)) => Arc::new(detailed(backend, details)?),
    };
    Ok(Order {
        backend,
        info: info.clone(),
        count: ask.count,
    })
}

fn unknown(core: &Core, backend: &str) -> Failure {
    let failure = Failure::other(Stage::Config, format!("there is no backend `{backend}`"));
    let names = core.config.backends.iter().map(|backend| &*backend.name);
    match nearest(backend, names) {
        Some(near) => failure.hint(format!("did you mean `{near}`?")),
        None => failure,
    }
}

/// The backend with other data to begin with.
fn seeded(backend: &Backend, template: &Path) -> Result<Backend, Failure> {
    let mut backend = backend.clone();
    let configured = match &mut backend.mode {
        Mode::LocalDocker(docker) => docker.template.as_mut(),
        Mode::Embedded
        | Mode::LocalProcess(_)
        | Mode::RemoteHttpApi(_)
        | Mode::External(_)
        | Mode::Sandbox(_) => None,
    };
    let Some(configured) = configured else {
        let text = format!("`{}` has no template that could be replaced", backend.name);
        return Err(Failure::other(Stage::Config, text)
            .hint("set template_data_path_host in its configuration"));
    };
    template.clone_into(&mut configured.source);
    Ok(backend)
}

/// The backend with details for its API.
fn detailed(backend: &Backend, details: &str) -> Result<Backend, Failure> {
    let mut backend = backend.clone();
    let Mode::RemoteHttpApi(remote) = &mut backend.mode else {
        let text = format!("`{}` has no API that takes details", backend.name);
        return Err(Failure::other(Stage::Config, text));
    };
    let details = serde_json::from_str(details);
    remote.template_details =
        Some(details.map_err(|error| {
            Failure::other(Stage::Config, format!("`template_details`: {error}"))
        })?);
    Ok(backend)
}
