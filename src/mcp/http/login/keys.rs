//! What a server handed out at a login: in a file that only its owner can read, one for each server.

use std::fmt::Write;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

use parking_lot::Mutex;
use reqwest::Url;
use rmcp::transport::AuthError;
use rmcp::transport::auth::{CredentialRefreshGuard, CredentialStore, StoredCredentials};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::paths::{private_append, private_directory};

/// The keys of one server. Cheap to clone.
#[derive(Clone)]
pub(super) struct Keys(Arc<Place>);

struct Place {
    server: String,
    file: PathBuf,
    /// As it was read or written last: other runs may have renewed it since.
    kept: Mutex<Kept>,
}

/// As it is in the file.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Kept {
    server: String,
    credentials: Option<StoredCredentials>,
    /// Of the client that we were registered as, if it got one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    client_secret: Option<String>,
    /// The one for requests, taken out of the credentials.
    #[serde(skip)]
    token: Option<String>,
}

type Work<'a, T> = Pin<Box<dyn Future<Output = Result<T, AuthError>> + Send + 'a>>;

impl Keys {
    /// Those of the server at `url`, whose `name` tells it from others.
    pub fn of(directory: &Path, url: &Url, name: &str) -> Self {
        let mut digest = String::new();
        for byte in &Sha256::digest(name.as_bytes())[..8] {
            // Writing to a string does not fail.
            let _ = write!(digest, "{byte:02x}");
        }
        let host = url
            .host_str()
            .unwrap_or_default()
            .replace([':', '[', ']'], "_");
        let place = Place {
            server: url.to_string(),
            file: directory.join(format!("{host}-{digest}.json")),
            kept: Mutex::default(),
        };
        let keys = Self(Arc::new(place));
        keys.read();
        keys
    }

    /// The one for requests, if there is one.
    pub fn token(&self) -> Option<String> {
        self.0.kept.lock().token.clone()
    }

    /// What was granted at the last login.
    pub fn scopes(&self) -> Vec<String> {
        let kept = self.0.kept.lock();
        let credentials = kept.credentials.as_ref();
        credentials.map_or(vec![], |kept| kept.granted_scopes.clone())
    }

    pub fn client_secret(&self) -> Option<String> {
        self.0.kept.lock().client_secret.clone()
    }

    /// Goes into the file with what is handed out to that client.
    pub fn set_client_secret(&self, secret: Option<String>) {
        self.0.kept.lock().client_secret = secret;
    }

    /// Reads what is in the file now.
    pub fn read(&self) -> Option<StoredCredentials> {
        let kept = fs::read(&self.0.file).ok();
        let kept: Option<Kept> = kept.and_then(|text| serde_json::from_slice(&text).ok());
        let kept = kept.filter(|kept| kept.server == self.0.server);
        let mut kept = kept.unwrap_or_default();
        kept.token = token(kept.credentials.as_ref());
        *self.0.kept.lock() = kept.clone();
        kept.credentials
    }

    fn write(&self, credentials: StoredCredentials) -> io::Result<()> {
        let kept = Kept {
            server: self.0.server.clone(),
            token: token(Some(&credentials)),
            credentials: Some(credentials),
            client_secret: self.client_secret(),
        };
        let directory = self.0.file.parent().unwrap_or(Path::new("."));
        private_directory(directory)?;
        // Only its owner can read a temporary file, either.
        let new = tempfile::NamedTempFile::new_in(directory)?;
        serde_json::to_writer(&new, &kept)?;
        new.persist(&self.0.file)?;
        *self.0.kept.lock() = kept;
        Ok(())
    }

    fn remove(&self) -> io::Result<()> {
        *self.0.kept.lock() = Kept::default();
        match fs::remove_file(&self.0.file) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Keeps other runs from renewing at the same time: many servers take a renewal key only once.
    fn lock(&self) -> io::Result<File> {
        let path = self.0.file.with_extension("lock");
        if let Some(directory) = path.parent() {
            private_directory(directory)?;
        }
        let lock = private_append(&path)?;
        lock.lock()?;
        Ok(lock)
    }
}

fn token(credentials: Option<&StoredCredentials>) -> Option<String> {
    let response = credentials?.token_response.as_ref()?;
    let response = serde_json::to_value(response).ok()?;
    response["access_token"].as_str().map(str::to_owned)
}

#[allow(clippy::needless_pass_by_value)] // as `map_err` wants it
fn failed(error: io::Error) -> AuthError {
    AuthError::CredentialStoreError(error.to_string())
}

// As the trait's macro writes it.
impl CredentialStore for Keys {
    fn load<'a, 'b>(&'a self) -> Work<'b, Option<StoredCredentials>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async { Ok(self.read()) })
    }

    fn save<'a, 'b>(&'a self, credentials: StoredCredentials) -> Work<'b, ()>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async { self.write(credentials).map_err(failed) })
    }

    fn clear<'a, 'b>(&'a self) -> Work<'b, ()>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async { self.remove().map_err(failed) })
    }

    fn acquire_refresh_guard<'a, 'b>(&'a self) -> Work<'b, Option<CredentialRefreshGuard>>
    where
        'a: 'b,
        Self: 'b,
    {
        let keys = self.clone();
        Box::pin(async move {
            // Another run may be waiting for an answer.
            let locked = tokio::task::spawn_blocking(move || keys.lock()).await;
            let locked = locked.unwrap_or_else(|error| Err(io::Error::other(error)));
            Ok(Some(CredentialRefreshGuard::new(locked.map_err(failed)?)))
        })
    }
}
