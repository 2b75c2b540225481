//! The keys that lead to a Box runtime that somebody else runs.

use std::path::PathBuf;

use url::Url;

use crate::config::check::Shared;
use crate::config::cursor::{Cursor, Fields};
use crate::config::{files, schema};
use crate::model::{SandboxRuntime, SandboxTenant, Secret};

/// The tokens of runtimes are at least this long, or they do not start.
const SHORTEST_TOKEN: usize = 32;

/// The keys of a runtime, before they make sense as a whole.
#[derive(Clone, Default)]
pub struct Runtime {
    endpoint: Option<String>,
    token: Option<Secret>,
    instance: Option<String>,
    workspace: Option<String>,
    generation: Option<u64>,
    ca_file: Option<PathBuf>,
}

impl Runtime {
    pub fn read(&mut self, fields: &Fields, shared: &Shared) {
        let text = |key| fields.get(key).filter(|at| at.nonempty_text().is_some());
        if let Some(at) = text("endpoint") {
            self.endpoint = endpoint(&at);
        }
        if let Some(at) = fields.get("token") {
            self.token = token(&at, shared);
        }
        if let Some(at) = fields.get("ca_file") {
            self.ca_file = files::ca_file(&at, |path| shared.path(path));
        }
        if let Some(at) = text("instance") {
            self.instance = instance(&at);
        }
        if let Some(at) = text("workspace") {
            self.workspace = workspace(&at);
        }
        let generation = fields.get("generation");
        let generation = generation.and_then(|at| at.integer(schema::BOX_GENERATION));
        self.generation = generation.or(self.generation);
    }

    /// What the keys of this block do not say together.
    pub fn check(&self, block: &Fields) {
        let Runtime {
            endpoint,
            instance,
            workspace,
            ..
        } = self;
        if endpoint.is_none() {
            for key in ["token", "instance", "workspace", "generation", "ca_file"] {
                if let Some(at) = block.get(key) {
                    at.problem("needs endpoint");
                }
            }
            return;
        }
        let is_encrypted = endpoint.as_deref().is_some_and(|at| at.starts_with("wss:"));
        for (key, is_there, other) in [
            (
                "workspace",
                instance.is_some() || workspace.is_none(),
                "instance",
            ),
            (
                "instance",
                workspace.is_some() || instance.is_none(),
                "workspace",
            ),
            ("generation", instance.is_some(), "instance"),
            ("token", instance.is_some(), "instance"),
            ("ca_file", is_encrypted, "an endpoint with wss://"),
        ] {
            if let Some(at) = block.get(key).filter(|_| !is_there) {
                at.problem(format!("needs {other}"));
            }
        }
    }

    pub fn finish(self, shared: &Shared) -> Option<SandboxRuntime> {
        let generation = self.generation.unwrap_or(1);
        let who = self.instance.zip(self.workspace);
        let tenant = who.map(|(instance, workspace)| SandboxTenant {
            instance,
            workspace,
            generation,
        });
        self.endpoint.map(|endpoint| SandboxRuntime {
            endpoint,
            token: self.token,
            tenant,
            ca_file: self.ca_file,
            configured_in: shared.api_defaults.file.clone(),
        })
    }
}

fn endpoint(at: &Cursor) -> Option<String> {
    let url = Url::parse(at.nonempty_text()?).ok();
    let is_fit = |url: &Url| {
        let plain = url.query().is_none() && url.fragment().is_none();
        let nobody = url.username().is_empty() && url.password().is_none();
        matches!(url.scheme(), "ws" | "wss") && url.path() == "/" && plain && nobody
    };
    let Some(url) = url.filter(is_fit) else {
        at.problem("expected ws://host:port or wss://host:port, without a path");
        return None;
    };
    Some(url.as_str().trim_end_matches('/').to_owned())
}

fn token(at: &Cursor, shared: &Shared) -> Option<Secret> {
    let token = files::secret(at, |path| shared.path(path))?;
    let text = token.expose();
    if text.len() < SHORTEST_TOKEN || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        at.problem("must be of at least 32 visible ASCII characters without spaces");
        return None;
    }
    Some(token)
}

/// `[A-Za-z0-9][A-Za-z0-9._:-]{0,127}`
fn instance(at: &Cursor) -> Option<String> {
    let text = at.nonempty_text()?;
    let is_letter = |c: char| c.is_ascii_alphanumeric() || "._:-".contains(c);
    let begins = text.starts_with(|c: char| c.is_ascii_alphanumeric());
    if !begins || text.len() > 128 || !text.chars().all(is_letter) {
        at.problem("expected up to 128 letters, digits and `._:-`, the first a letter or digit");
        return None;
    }
    Some(text.to_owned())
}

/// It travels in a header.
fn workspace(at: &Cursor) -> Option<String> {
    let text = at.nonempty_text()?;
    if text.len() > 256 || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        at.problem("expected up to 256 visible ASCII characters without spaces");
        return None;
    }
    Some(text.to_owned())
}
