//! The engine: connected when first needed, asked with deadlines, found again after an outage.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bollard::errors::Error;
use bollard::{API_DEFAULT_VERSION, Docker};
use parking_lot::RwLock;
use tokio::time::timeout;

use super::address::{Address, NoAddress};
use super::hijack::{self, Stream};
use super::words::Trouble;

/// For requests that the engine answers from memory.
pub const QUICK: Duration = Duration::from_secs(10);
/// For requests that make the engine work: it serves dozens of them one after the other.
pub const USUAL: Duration = Duration::from_secs(60);

/// What bollard may wait for the head of an answer; all requests have tighter deadlines of their own, and those
/// that take as long as they take (a pull, a stream) begin to answer at once.
const HEAD: u64 = 600;

/// One engine. Cheap to clone; clones share the connection.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

struct Shared {
    /// Fixed, or looked up again with each connection.
    fixed: Option<Address>,
    connected: RwLock<Option<Connected>>,
}

#[derive(Clone)]
struct Connected {
    docker: Docker,
    address: Address,
    shown: Arc<str>,
}

impl Engine {
    /// The one that the environment names.
    pub fn of_user() -> Self {
        Self::new(None)
    }

    pub fn at(address: Address) -> Self {
        Self::new(Some(address))
    }

    fn new(fixed: Option<Address>) -> Self {
        let connected = RwLock::default();
        Self {
            shared: Arc::new(Shared { fixed, connected }),
        }
    }

    /// Asks for one answer; it must be complete `within` that time. `what` names the request in words such as
    /// `create the container`.
    pub async fn ask<T, F>(
        &self,
        what: &'static str,
        within: Duration,
        request: impl FnOnce(Docker) -> F,
    ) -> Result<T, Trouble>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let asked = async {
            let Connected { docker, shown, .. } = self.connected(what).await?;
            let answer = request(docker).await;
            answer.map_err(|error| self.note(Trouble::of(what, &shown, error)))
        };
        let silent = |_| self.note(Trouble::silent(what, within));
        timeout(within, asked).await.map_err(silent)?
    }

    /// For requests whose answers are streams: the caller sets deadlines, and words errors by
    /// [`Engine::trouble`].
    pub async fn docker(&self, what: &'static str) -> Result<Docker, Trouble> {
        let connected = timeout(QUICK, self.connected(what)).await;
        let silent = |_| self.note(Trouble::silent(what, QUICK));
        Ok(connected.map_err(silent)??.docker)
    }

    /// Posts a request whose connection becomes a raw stream; its beginning is awaited, not its end.
    pub async fn hijack(
        &self,
        what: &'static str,
        path: &str,
        body: &str,
    ) -> Result<Stream, Trouble> {
        let opened = async {
            let Connected { address, shown, .. } = self.connected(what).await?;
            let stream = hijack::open(&address, path, body).await;
            stream.map_err(|error| self.note(Trouble::of(what, &shown, error)))
        };
        let silent = |_| self.note(Trouble::silent(what, QUICK));
        timeout(QUICK, opened).await.map_err(silent)?
    }

    /// What an error of a stream means.
    pub fn trouble(&self, what: &'static str, error: Error) -> Trouble {
        self.note(Trouble::of(what, &self.address(), error))
    }

    /// Where it is, for people; where it was, if it cannot be found now.
    pub fn address(&self) -> Arc<str> {
        if let Some(connected) = &*self.shared.connected.read() {
            return connected.shown.clone();
        }
        match self.locate() {
            Ok(address) => address.to_string().into(),
            Err(_) => "an unknown address".into(),
        }
    }

    /// Whether nobody tells where it is, and there is none in the usual places.
    pub fn is_nowhere(&self) -> bool {
        self.shared.fixed.is_none() && Address::is_nowhere()
    }

    /// Whether files of this host can be mounted into its containers, as far as the address tells.
    pub fn is_local(&self) -> bool {
        match self.locate() {
            Ok(Address::Unix(_)) => true,
            Ok(Address::Tcp(host)) => {
                let host = host.rsplit_once(':').map_or(&*host, |(host, _)| host);
                host == "localhost" || host == "[::1]" || host.starts_with("127.")
            }
            Err(_) => false,
        }
    }

    /// Whether the engine speaks this version of its API, for example `(1, 44)`.
    pub async fn speaks(&self, version: (usize, usize)) -> Result<bool, Trouble> {
        let spoken = self.docker("tell its version").await?.client_version();
        Ok((spoken.major_version, spoken.minor_version) >= version)
    }

    fn locate(&self) -> Result<Address, NoAddress> {
        match &self.shared.fixed {
            Some(address) => Ok(address.clone()),
            None => Address::of_user(),
        }
    }

    async fn connected(&self, what: &'static str) -> Result<Connected, Trouble> {
        if let Some(connected) = &*self.shared.connected.read() {
            return Ok(connected.clone());
        }
        let address = self.locate().map_err(Trouble::no_address)?;
        let shown: Arc<str> = address.to_string().into();
        let wrong = |error| Trouble::of(what, &shown, error);
        let docker = client(&address).map_err(wrong)?;
        let docker = docker.negotiate_version().await.map_err(wrong)?;
        let connected = Connected {
            docker,
            address,
            shown,
        };
        // Several may have connected at once: the same in effect.
        *self.shared.connected.write() = Some(connected.clone());
        Ok(connected)
    }

    /// After an outage another engine may answer, by another version, at another address.
    fn note(&self, trouble: Trouble) -> Trouble {
        if trouble.is_outage() {
            *self.shared.connected.write() = None;
        }
        trouble
    }
}

/// Opens no connection yet: each request has its own.
fn client(address: &Address) -> Result<Docker, Error> {
    match address {
        Address::Unix(path) => {
            Docker::connect_with_unix(&path.to_string_lossy(), HEAD, API_DEFAULT_VERSION)
        }
        Address::Tcp(host) => Docker::connect_with_http(host, HEAD, API_DEFAULT_VERSION),
    }
}
