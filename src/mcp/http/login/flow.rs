//! One login from the server's wish to the keys, and their renewal.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use reqwest::header::HeaderValue;
use rmcp::transport::auth::{AuthorizationMetadataSource, AuthorizationRequest, OAuthClientConfig};
use rmcp::transport::{AuthError, AuthorizationManager, AuthorizationSession};
use tokio::time::{Instant, timeout};

use super::callback::Callback;
use super::wire::Wire;
use super::{Browser, Login, Wanted};
use crate::drivers::Steps;
use crate::mcp::hints::failure;
use crate::mcp::wire;
use crate::model::{Cause, Failure, Stage};
use crate::stores::logs::{LogWriter, Source};

/// For the user to log in.
const PATIENCE: Duration = Duration::from_secs(300);
/// For finding out where.
const DISCOVERY: Duration = Duration::from_secs(60);
/// Before a key that could not be renewed is tried again.
const LULL: Duration = Duration::from_secs(10);
/// Characters of what others say in our sentences.
const EXCERPT: usize = 300;

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
        let callback = Callback::listen(self.server.oauth.callback_port).await;
        let callback = callback.map_err(|error| {
            Failure::caused_by(Stage::Connect, "waiting for the browser", error)
        })?;
        let mut scopes = manager.select_initial_scopes(&[]).await;
        if challenge.is_some_and(|challenge| self.rights(challenge).is_some()) {
            // What was granted before is still needed.
            let granted = self.keys.scopes();
            scopes.retain(|scope| !granted.contains(scope));
            scopes.splice(..0, granted);
        }
        let client = self.client(&mut manager, &callback.url, &scopes).await?;
        let mut request = AuthorizationRequest::new(&callback.url)
            .with_initial_scope_selection()
            .with_scopes(scopes)
            .with_preregistered_client(client.client_id);
        if let Some(secret) = client.client_secret {
            request = request.with_client_secret(secret);
        }
        let session = AuthorizationSession::new(manager, request).await;
        let session = session.map_err(|(_, error)| words(&error))?;
        Ok((session, callback))
    }

    /// As whom we log in: who we are configured to be, or whom the authorization server now registers.
    async fn client(
        &self,
        manager: &mut AuthorizationManager,
        callback: &str,
        scopes: &[String],
    ) -> Result<OAuthClientConfig, Failure> {
        if let Some(client) = self.configured_client(callback) {
            return Ok(client);
        }
        let scopes: Vec<_> = scopes.iter().map(String::as_str).collect();
        let registered = manager.register_client("envdeck", callback, &scopes).await;
        let client = registered.map_err(|error| {
            words(&error)
                .hint("register envdeck there by hand, and configure `oauth` with the client_id")
        })?;
        self.keys.set_client_secret(client.client_secret.clone());
        Ok(client)
    }

    fn configured_client(&self, callback: &str) -> Option<OAuthClientConfig> {
        let oauth = &self.server.oauth;
        let client = OAuthClientConfig::new(oauth.id.clone()?, callback);
        Some(match &oauth.secret {
            Some(secret) => client.with_client_secret(secret.expose()),
            None => client,
        })
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
        let is_hopeless =
            |(key, at): &(HeaderValue, Instant)| key == refused && at.elapsed() < LULL;
        // Somebody else has done it, here or in another run.
        self.keys.read()?;
        if let Some(key) = self.key().filter(other) {
            return Some(key);
        }
        // Whoever waited shares what came of it.
        if self.hopeless.lock().as_ref().is_some_and(is_hopeless) {
            return None;
        }
        let renewal = timeout(DISCOVERY, self.renew()).await;
        let renewal = renewal.unwrap_or_else(|_| Err(late("renewing the login", DISCOVERY)));
        if let Err(error) = renewal {
            tracing::info!("the login at {} cannot be renewed: {error}", self.url);
        }
        let renewed = self.key().filter(other);
        if renewed.is_none() {
            *self.hopeless.lock() = Some((refused.clone(), Instant::now()));
        }
        renewed
    }

    async fn renew(&self) -> Result<(), Failure> {
        let mut kept = self.manager.write().await;
        if kept.is_none() {
            let mut manager = self.new_manager().await?;
            let is_known = manager.initialize_from_store().await;
            if is_known.map_err(|error| words(&error))? {
                self.take_secret(&mut manager)?;
                *kept = Some(manager);
            }
        }
        let Some(manager) = &*kept else {
            return Err(failed("there is nothing to renew it with"));
        };
        let renewed = manager.refresh_token().await;
        renewed.map(drop).map_err(|error| words(&error))
    }

    /// What the store knows of our client is its id alone.
    fn take_secret(&self, manager: &mut AuthorizationManager) -> Result<(), Failure> {
        let credentials = self.keys.read();
        let id = credentials.map(|kept| kept.client_id).unwrap_or_default();
        let registered = || {
            let secret = self.keys.client_secret()?;
            Some(OAuthClientConfig::new(id, self.url.as_str()).with_client_secret(secret))
        };
        let client = self.configured_client(self.url.as_str());
        let Some(client) = client.or_else(registered) else {
            return Ok(());
        };
        let configured = manager.configure_client(client);
        configured.map_err(|error| words(&error))
    }

    /// Sees to a login with more rights in the midst of a call; goes on if that ends before the user is done.
    pub(in crate::mcp::http) async fn step_up(
        self: &Arc<Self>,
        log: &LogWriter,
    ) -> Result<(), Cause> {
        let (login, log) = (self.clone(), log.clone());
        let given = tokio::spawn(async move {
            let given = login.give(&Steps::new().0, &log).await;
            // For all else what was granted before is enough.
            *login.wanted.lock() = None;
            given
        });
        let given = given
            .await
            .unwrap_or_else(|error| Err(failed(error.to_string())));
        given.map_err(|failure| failure.cause)
    }
}

/// A sentence of rmcp and what is behind it; it may quote a whole page.
fn words(error: &AuthError) -> Failure {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    failed(format!(
        "the login failed: {}",
        wire::excerpt(&text, EXCERPT)
    ))
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
