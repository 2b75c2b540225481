//! One login from the server's wish to the keys, and their renewal.

use std::time::Duration;

use reqwest::Url;
use reqwest::header::HeaderValue;
use rmcp::transport::auth::{AuthorizationMetadataSource, AuthorizationRequest};
use rmcp::transport::{AuthError, AuthorizationManager, AuthorizationSession};
use tokio::time::timeout;

use super::callback::Callback;
use super::wire::Wire;
use super::{Browser, Login, Wanted};
use crate::drivers::Steps;
use crate::mcp::hints::failure;
use crate::model::{Cause, Failure, Stage};
use crate::stores::logs::{LogWriter, Source};

/// For the user to log in.
const PATIENCE: Duration = Duration::from_secs(300);
/// For finding out where.
const DISCOVERY: Duration = Duration::from_secs(60);

impl Login {
    /// Sees to a login if the server wants one; `steps` and `log` tell the user where.
    ///
    /// # Errors
    /// There is no way to log in, nobody to do it, or it failed.
    pub async fn give(&self, steps: &Steps, log: &LogWriter) -> Result<(), Failure> {
        if !self.is_wanted() {
            return Ok(());
        }
        steps.tell("wait for a login");
        let _one_at_a_time = self.flow.lock().await;
        // Another instance may have done it meanwhile.
        let Some(wanted) = self.wanted.lock().clone() else {
            return Ok(());
        };
        self.keys.read();
        if self
            .token()
            .is_some_and(|token| Some(token) != wanted.refused)
        {
            // Or the user has, in another run.
            *self.wanted.lock() = None;
            return Ok(());
        }
        let begun = timeout(DISCOVERY, self.begin(&wanted)).await;
        let begun = begun.unwrap_or_else(|_| Err(late("finding out where to log in", DISCOVERY)));
        let (session, callback) = begun?;
        let state = state(&session.auth_url)?;
        let what = if self.browser.open(&session.auth_url) {
            "log in with the browser that was opened"
        } else {
            "log in with a browser on this machine"
        };
        steps.tell(format!("{what}: {}", session.auth_url));
        log.line(Source::Envdeck, &format!("{what}: {}", session.auth_url));
        let back = timeout(PATIENCE, callback.wait(&state)).await;
        let back = back.map_err(|_| late("the login", PATIENCE))?;
        let back = back.map_err(|error| {
            Failure::caused_by(Stage::Connect, "waiting for the browser", error)
        })?;
        steps.tell("finish the login");
        if let Some(refusal) = refusal(&back) {
            return Err(failed(format!("the login was refused: {refusal}")));
        }
        let keys = session.handle_callback_url(back.as_str()).await;
        keys.map_err(|error| words(&error))?;
        *self.manager.write().await = Some(session.auth_manager);
        *self.wanted.lock() = None;
        log.line(Source::Envdeck, "logged in");
        Ok(())
    }

    /// Finds out where to log in, and as whom.
    async fn begin(&self, wanted: &Wanted) -> Result<(AuthorizationSession, Callback), Failure> {
        let mut manager = self.new_manager().await?;
        let challenge = wanted.challenge.as_deref();
        let found = manager.resolve_metadata_from_challenge(challenge).await;
        let found = found.map_err(|error| words(&error))?;
        if found.source == AuthorizationMetadataSource::LegacyEndpointFallback {
            // Nothing but a guess: the server wants credentials that we cannot get.
            *self.wanted.lock() = None;
            return Err(failure(Stage::Connect, wanted.cause.clone()));
        }
        if self.browser == Browser::Nobody {
            let text = format!("{} asks for a login in a browser", self.server.place());
            let hint = format!(
                "run `envdeck tools --url {}` in a terminal once, or set `headers`",
                self.server.shown_url()
            );
            return Err(failed(text).hint(hint));
        }
        manager.set_metadata(found.metadata);
        let callback = Callback::listen().await.map_err(|error| {
            Failure::caused_by(Stage::Connect, "waiting for the browser", error)
        })?;
        let request = AuthorizationRequest::new(&callback.url)
            .with_client_name("envdeck")
            .with_initial_scope_selection();
        let session = AuthorizationSession::new(manager, request).await;
        let session = session.map_err(|(_, error)| words(&error))?;
        Ok((session, callback))
    }

    async fn new_manager(&self) -> Result<AuthorizationManager, Failure> {
        let wire = std::sync::Arc::new(Wire::new(&self.server)?);
        let url = self.url.as_str();
        let manager = AuthorizationManager::new_with_oauth_http_client(url, wire).await;
        let mut manager = manager.map_err(|error| words(&error))?;
        manager.set_credential_store(self.keys.clone());
        Ok(manager)
    }

    /// Another key than the one that the server refused, if there is one or one can be had without the user.
    pub(in crate::mcp::http) async fn renewed(&self, refused: &HeaderValue) -> Option<HeaderValue> {
        let _one_at_a_time = self.flow.lock().await;
        let other = |key: &HeaderValue| key != refused;
        // Somebody else has done it, here or in another run.
        self.keys.read()?;
        if let Some(key) = self.key().filter(other) {
            return Some(key);
        }
        let renewal = timeout(DISCOVERY, self.renew()).await;
        match renewal {
            Ok(Ok(())) => self.key().filter(other),
            Ok(Err(error)) => {
                tracing::info!("the login at {} cannot be renewed: {error}", self.url);
                None
            }
            Err(_) => None,
        }
    }

    async fn renew(&self) -> Result<(), Failure> {
        let mut kept = self.manager.write().await;
        if kept.is_none() {
            let mut manager = self.new_manager().await?;
            let is_known = manager.initialize_from_store().await;
            if is_known.map_err(|error| words(&error))? {
                *kept = Some(manager);
            }
        }
        let Some(manager) = &*kept else {
            return Err(failed("there is nothing to renew it with"));
        };
        let renewed = manager.refresh_token().await;
        renewed.map(drop).map_err(|error| words(&error))
    }
}

/// What we said to the authorization server, and it will say to us.
fn state(url: &str) -> Result<String, Failure> {
    let url = Url::parse(url).ok();
    let state = url.and_then(|url| {
        let mut pairs = url.query_pairs();
        pairs.find_map(|(name, value)| (name == "state").then(|| value.into_owned()))
    });
    state.ok_or_else(|| failed("the address of the login has no state"))
}

/// Why the authorization server said no (RFC 6749, section 4.1.2.1).
fn refusal(back: &Url) -> Option<String> {
    let said = |wanted: &str| {
        let mut pairs = back.query_pairs();
        pairs.find_map(|(name, value)| (name == wanted).then(|| value.into_owned()))
    };
    let error = said("error")?;
    Some(match said("error_description") {
        Some(more) => format!("{error} ({more})"),
        None => error,
    })
}

fn late(what: &'static str, after: Duration) -> Failure {
    let cause = Cause::Deadline {
        what: what.into(),
        after,
    };
    Failure::new(Stage::Connect, cause)
}

fn failed(text: impl Into<String>) -> Failure {
    Failure::new(Stage::Connect, Cause::Login(text.into()))
}

fn words(error: &AuthError) -> Failure {
    failed(format!("the login failed: {error}"))
}
