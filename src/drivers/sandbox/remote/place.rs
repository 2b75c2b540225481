//! Where a runtime is, who we are there, and what its URLs and ids are made of.

use std::path::PathBuf;

use sha2::{Digest, Sha256};
use tokio_tungstenite::tungstenite::http::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

use crate::model::{SandboxRuntime, SandboxTenant, Secret, place};

const INSTANCE: HeaderName = HeaderName::from_static("x-langbot-instance-id");
const TOKEN: HeaderName = HeaderName::from_static("x-langbot-box-control-token");
const WORKSPACE: HeaderName = HeaderName::from_static("x-langbot-workspace-id");
const GENERATION: HeaderName = HeaderName::from_static("x-langbot-placement-generation");

/// Where a runtime is, and who we are there.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    url: Url,
    pub token: Option<Secret>,
    /// `None` for runtimes before 0.5, which know no tenants.
    pub tenant: Option<SandboxTenant>,
    /// PEM certificates to trust besides those of the system.
    pub ca_file: Option<PathBuf>,
}

impl Place {
    /// A runtime at `ws://host:port` or `wss://host:port`, maybe below a path, without a token and a tenant.
    ///
    /// # Errors
    /// What is wrong with the URL, in words that do not repeat it.
    pub fn at(endpoint: &str) -> Result<Self, String> {
        let mut url = Url::parse(endpoint)
            .map_err(|error| format!("expected a URL such as ws://host:5410 ({error})"))?;
        if !matches!(url.scheme(), "ws" | "wss") {
            return Err("expected a URL that begins with ws:// or wss://".to_owned());
        }
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
            return Err("expected a URL without a user and a query".to_owned());
        }
        url.set_fragment(None);
        // Some write the whole URL of the control connection.
        let base = url.path().trim_end_matches('/').trim_end_matches("/rpc/ws");
        let base = base.to_owned();
        url.set_path(&base);
        Ok(Self {
            url,
            token: None,
            tenant: None,
            ca_file: None,
        })
    }

    /// The runtime that a configuration names.
    ///
    /// # Errors
    /// As [`Place::at`].
    pub fn of(runtime: &SandboxRuntime) -> Result<Self, String> {
        Ok(Self {
            token: runtime.token.clone(),
            tenant: runtime.tenant.clone(),
            ca_file: runtime.ca_file.clone(),
            ..Self::at(&runtime.endpoint)?
        })
    }

    /// Its URL, which holds no secret.
    pub fn endpoint(&self) -> &str {
        self.url.as_str()
    }

    /// `host:port`, for our sentences.
    pub fn name(&self) -> String {
        place(&self.url)
    }

    /// Of the control connection.
    pub(super) fn control(&self) -> Url {
        self.below(&["rpc", "ws"])
    }

    /// Of the relay of a process; ids may hold anything.
    pub fn relay(&self, session: &str, process: &str) -> Url {
        let session = self.physical(session);
        self.below(&["v1", "sessions", &session, "managed-process", process, "ws"])
    }

    fn below(&self, path: &[&str]) -> Url {
        let mut url = self.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }

    /// What a control connection says of us.
    ///
    /// # Errors
    /// What cannot be said in a header, by its name.
    pub(super) fn control_headers(&self) -> Result<HeaderMap, String> {
        let mut headers = HeaderMap::new();
        if let Some(tenant) = &self.tenant {
            headers.insert(INSTANCE, value("instance", &tenant.instance)?);
        }
        if let Some(token) = &self.token {
            let mut token = value("token", token.expose())?;
            token.set_sensitive(true);
            headers.insert(TOKEN, token);
        }
        Ok(headers)
    }

    /// What a relay says of us.
    ///
    /// # Errors
    /// What cannot be said in a header, by its name.
    pub fn relay_headers(&self) -> Result<HeaderMap, String> {
        let mut headers = self.control_headers()?;
        if let Some(tenant) = &self.tenant {
            headers.insert(WORKSPACE, value("workspace", &tenant.workspace)?);
            headers.insert(GENERATION, tenant.generation.into());
        }
        Ok(headers)
    }

    /// What a runtime calls a session: since 0.5 the ids of all tenants are in one space.
    pub fn physical(&self, session: &str) -> String {
        match &self.tenant {
            Some(tenant) => prefix(tenant) + session,
            None => session.to_owned(),
        }
    }

    /// `text` of a runtime without what only it calls our sessions.
    pub(super) fn logical(&self, text: &str) -> String {
        match &self.tenant {
            Some(tenant) => text.replace(&prefix(tenant), ""),
            None => text.to_owned(),
        }
    }
}

/// What the ids of a tenant's sessions begin with.
fn prefix(tenant: &SandboxTenant) -> String {
    let mut digest = Sha256::new();
    digest.update(&tenant.instance);
    digest.update([0]);
    digest.update(&tenant.workspace);
    let digest = format!("{:x}", digest.finalize());
    format!("ws-{}-g{}-", &digest[..24], tenant.generation)
}

fn value(name: &str, text: &str) -> Result<HeaderValue, String> {
    HeaderValue::from_str(text).map_err(|_| {
        format!("{name} cannot be sent: it must not hold line breaks or other control characters")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(place: Place) -> Place {
        Place {
            tenant: Some(SandboxTenant {
                instance: "inst-0001".to_owned(),
                workspace: "workspace-0001".to_owned(),
                generation: 1,
            }),
            ..place
        }
    }

    #[test]
    fn urls_are_below_the_endpoint_and_ids_are_encoded() {
        for endpoint in [
            "ws://box:5410",
            "ws://box:5410/",
            "ws://box:5410/rpc/ws",
            "ws://box:5410/rpc/ws/",
        ] {
            let place = Place::at(endpoint).expect(endpoint);
            assert_eq!(place.control().as_str(), "ws://box:5410/rpc/ws");
            assert_eq!(place.name(), "box:5410");
        }
        let place = Place::at("wss://example/langbot/box").expect("a URL");
        assert_eq!(
            place.relay("s", "a/b c?#%").as_str(),
            "wss://example/langbot/box/v1/sessions/s/managed-process/a%2Fb%20c%3F%23%25/ws"
        );
    }

    #[test]
    fn a_tenants_session_is_known_by_the_recorded_physical_id() {
        let place = tenant(Place::at("ws://127.0.0.1:5418").expect("a URL"));
        let id = "ws-d7955a4ea6b44dbeb5bb1263-g1-mcp-shared";
        assert_eq!(place.physical("mcp-shared"), id);
        assert_eq!(
            place.logical(&format!("session {id} not found")),
            "session mcp-shared not found"
        );
    }

    #[test]
    fn what_is_no_endpoint_is_refused_without_repeating_it() {
        for bad in [
            "box:5410",
            "http://box",
            "ws://me:secret@box",
            "ws://box?token=secret",
            "",
        ] {
            let problem = Place::at(bad).expect_err(bad);
            assert!(problem.starts_with("expected a URL"), "{problem}");
            assert!(!problem.contains("secret"), "{problem}");
        }
    }

    #[test]
    fn what_cannot_be_a_header_is_told_by_its_name() {
        let mut place = tenant(Place::at("ws://box").expect("a URL"));
        place.token = Some(Secret::new("two\nlines"));
        let problem = place.control_headers().expect_err("a line break");
        assert!(problem.starts_with("token cannot be sent"), "{problem}");
    }
}
