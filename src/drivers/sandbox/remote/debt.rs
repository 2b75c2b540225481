//! A sandbox that a runtime keeps for us until it is deleted.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::place::Place;
use crate::drivers::journal::{self, Debt as _};
use crate::drivers::{Life, Trace};
use crate::model::{Cause, Failure, RunId, Stage};

/// What the journal of a run says of it; the token is only in its configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Debt {
    pub session: String,
    /// Of the runtime.
    endpoint: String,
    /// Instance, workspace and generation.
    tenant: Option<(String, String, u64)>,
    configured_in: PathBuf,
    since: String,
}

impl Debt {
    pub fn new(session: &str, place: &Place, configured_in: &Path) -> Self {
        Self {
            session: session.to_owned(),
            endpoint: place.endpoint().to_owned(),
            tenant: tenant(place),
            configured_in: configured_in.to_owned(),
            since: journal::since(),
        }
    }

    /// Whether it is there, whatever the token.
    pub fn is_at(&self, place: &Place) -> bool {
        self.endpoint == place.endpoint() && self.tenant == tenant(place)
    }

    /// Why nobody here can have it deleted.
    pub fn unknown(&self) -> Failure {
        let Self {
            session, endpoint, ..
        } = self;
        let text =
            format!("sandbox {session}: the Box runtime at {endpoint} is not configured here");
        let file = self.configured_in().display();
        Failure::other(Stage::Remove, text)
            .hint(format!("`envdeck gc` finds its credentials in {file}"))
    }

    /// Why it may still be there.
    pub fn unpaid(&self, failure: Failure) -> Failure {
        let text = format!("sandbox {}: {}", self.session, failure.cause);
        let failure = Failure {
            cause: Cause::Other(text),
            ..failure
        };
        failure.hint("`envdeck gc` and the next start try again")
    }
}

fn tenant(place: &Place) -> Option<(String, String, u64)> {
    let tenant = place.tenant.clone()?;
    Some((tenant.instance, tenant.workspace, tenant.generation))
}

impl journal::Debt for Debt {
    const KIND: &'static str = "box";

    fn configured_in(&self) -> &Path {
        &self.configured_in
    }

    fn trace(&self, run: &RunId, life: Life) -> Trace {
        Trace {
            kind: "sandbox",
            id: self.session.clone(),
            what: format!("at {}", self.endpoint),
            run: Some(run.clone()),
            instance: None,
            life,
        }
    }
}
