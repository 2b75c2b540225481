//! What an API owes us the removal of.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::drivers::journal;
use crate::drivers::{Life, Trace};
use crate::model::{InstanceId, RemoteApi, RunId};

/// An instance to be deleted, or a request whose answer is not known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Debt {
    /// Of the request that made it.
    pub key: String,
    /// `None` where the request was not answered: what it made can be asked for by its key.
    pub id: Option<String>,
    pub api: Place,
    pub resource: String,
    pub session: String,
    /// Ours.
    pub instance: Option<String>,
    /// The API does not know its key: what it made, if anything, cannot be found out from here.
    #[serde(default)]
    pub is_lost: bool,
    /// The body of the request, as text.
    pub asked: String,
    /// RFC 3339.
    pub since: String,
}

/// Which API it is; its secrets are only in its configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Without what is secret.
    pub url: String,
    pub create: String,
    pub delete: String,
    /// The file to find the secrets in.
    pub configured_in: PathBuf,
}

impl Place {
    pub fn of(api: &RemoteApi) -> Self {
        Self {
            url: api.shown_url(),
            create: api.create_instance_endpoint.clone(),
            delete: api.delete_instance_endpoint_template.clone(),
            configured_in: api.configured_in.clone(),
        }
    }

    /// Whether `api` is it, wherever that was configured.
    pub fn is(&self, api: &RemoteApi) -> bool {
        let (url, create) = (api.shown_url(), &api.create_instance_endpoint);
        let delete = &api.delete_instance_endpoint_template;
        (&self.url, &self.create, &self.delete) == (&url, create, delete)
    }
}

impl Debt {
    /// By which it is told from others of its API.
    pub fn name(&self) -> &str {
        self.id.as_deref().unwrap_or(&self.key)
    }

    /// What the request has made.
    #[must_use]
    pub fn made(&self, id: &str) -> Self {
        Self {
            id: Some(id.to_owned()),
            ..self.clone()
        }
    }

    /// The request, once nobody can tell any more what it made.
    #[must_use]
    pub fn lost(&self) -> Self {
        Self {
            is_lost: true,
            ..self.clone()
        }
    }

    /// As [`Trace::kind`].
    pub fn kind(&self) -> &'static str {
        match self.id {
            Some(_) => "remote instance",
            None => "remote request",
        }
    }
}

impl journal::Debt for Debt {
    const KIND: &'static str = "remote";

    fn configured_in(&self) -> &Path {
        &self.api.configured_in
    }

    fn trace(&self, run: &RunId, life: Life) -> Trace {
        Trace {
            kind: self.kind(),
            id: self.name().to_owned(),
            what: format!("{} at {}", self.resource, self.api.url),
            run: Some(run.clone()),
            instance: self.instance.as_deref().map(InstanceId::new),
            life,
        }
    }
}
