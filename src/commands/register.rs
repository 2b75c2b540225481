//! What a run tells of itself in its directory, so that `envdeck ps` can show it, dead or alive.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::config::{Config, Origin};
use crate::model::{Fleet, Instance, Session};
use crate::runs::{About, InstanceNote, SessionNote, write_about};

/// Between two notes: most changes of a fleet change nothing that is noted.
const PACE: Duration = Duration::from_millis(250);

/// What the configuration came from, in a few words.
pub fn origin(config: &Config) -> String {
    match &config.origin {
        Origin::File(path) => path.display().to_string(),
        Origin::AdHoc => config
            .backends
            .first()
            .map(|backend| backend.name.to_string())
            .unwrap_or_default(),
        Origin::Demo => "demo".to_owned(),
    }
}

/// What is known of a run before anything runs.
pub fn about(front_end: &str, config: &Config) -> About {
    About {
        pid: std::process::id(),
        front_end: front_end.to_owned(),
        started: Timestamp::now().to_string(),
        origin: origin(config),
        listens: None,
        sessions: vec![],
    }
}

/// Writes it down with what runs, whenever that changes, for as long as the fleet does.
pub async fn keep(path: PathBuf, mut about: About, mut fleet: watch::Receiver<Arc<Fleet>>) {
    let mut written = None;
    loop {
        let fleet_now = fleet.borrow_and_update().clone();
        about.sessions = notes(&fleet_now);
        about.listens = fleet_now.gateway.map(|gateway| gateway.address.to_string());
        if written.as_ref() != Some(&about) {
            let (path, note) = (path.clone(), about.clone());
            let result = tokio::task::spawn_blocking(move || write_about(&path, &note)).await;
            if let Ok(Err(error)) = result {
                tracing::warn!(%error, "other envdecks are not told what runs here");
            }
            written = Some(about.clone());
        }
        sleep(PACE).await;
        if fleet.changed().await.is_err() {
            return;
        }
    }
}

fn notes(fleet: &Fleet) -> Vec<SessionNote> {
    let note = |session: &Arc<Session>| SessionNote {
        session: session.id.to_string(),
        caller: session.caller.to_string(),
        opened: session.opened.to_string(),
        instances: session.instances.values().map(instance).collect(),
    };
    fleet.sessions_by_age().into_iter().map(note).collect()
}

fn instance(instance: &Arc<Instance>) -> InstanceNote {
    InstanceNote {
        instance: instance.id.to_string(),
        backend: instance.backend.name.to_string(),
        mode: instance.backend.mode.to_owned(),
        phase: instance.phase.to_string(),
        since: instance.since.to_string(),
    }
}
