//! The control connection of a runtime: one socket at a time, opened again whenever it is lost.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use rand::Rng;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::link::Link;
use super::place::Place;
use super::socket::{self, Socket};
use super::trouble::Trouble;
use crate::model::Cause;

/// Between two attempts: doubles from the first to the last.
const PAUSES: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(15)];
/// The same where somebody waits for it.
const LEAST_PAUSE: Duration = Duration::from_millis(100);
/// For the first question on a socket; the runtime asks its engine, for up to 5 s.
const HELLO: Duration = Duration::from_secs(15);

/// How a runtime speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display)]
pub enum Dialect {
    /// Before 0.5: anybody may do anything; a relay carries whole lines, and ends at one over 64 KiB.
    #[strum(to_string = "0.4 (no tenants, whole lines)")]
    Lines,
    /// Since 0.5: everybody says who they are; a relay carries chunks of whatever came.
    #[strum(to_string = "0.5 or later (tenants, chunks)")]
    Chunks,
}

impl Dialect {
    /// A larger message makes the runtime close the socket.
    pub fn largest_message(self) -> usize {
        match self {
            Dialect::Lines => 4 << 20,
            Dialect::Chunks => 16 << 20,
        }
    }
}

/// A control connection. Cheap to clone; the last clone closes it.
#[derive(Clone)]
pub struct Connection(Arc<Shared>);

struct Shared {
    place: Place,
    standing: watch::Receiver<Standing>,
    knock: Arc<Notify>,
    _open: DropGuard,
}

/// A connection that others keep open.
pub struct Weak(std::sync::Weak<Shared>);

impl Weak {
    pub fn upgrade(&self) -> Option<Connection> {
        self.0.upgrade().map(Connection)
    }
}

/// How it is with the connection.
#[derive(Clone)]
pub enum Standing {
    Opening,
    Open(Arc<Link>, Dialect),
    /// Until the next attempt.
    Away(Cause),
}

/// Keeps the connection.
struct Keeper {
    place: Place,
    standing: watch::Sender<Standing>,
    /// Somebody would rather not wait for the end of a pause.
    knock: Arc<Notify>,
    closing: CancellationToken,
    ids: Arc<AtomicU64>,
}

impl Connection {
    /// Begins to open it.
    pub fn new(place: Place) -> Self {
        let (sender, standing) = watch::channel(Standing::Opening);
        let knock = Arc::<Notify>::default();
        let closing = CancellationToken::new();
        let keeper = Keeper {
            place: place.clone(),
            standing: sender,
            knock: knock.clone(),
            closing: closing.clone(),
            ids: Arc::new(AtomicU64::new(1)),
        };
        tokio::spawn(keeper.run());
        Self(Arc::new(Shared {
            place,
            standing,
            knock,
            _open: closing.drop_guard(),
        }))
    }

    /// The same for as long as somebody else keeps it open.
    pub fn downgrade(&self) -> Weak {
        Weak(Arc::downgrade(&self.0))
    }

    pub fn place(&self) -> &Place {
        &self.0.place
    }

    /// Changes as the connection comes and goes.
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.0.standing.clone()
    }

    /// Waits until it is open: through one attempt at least, and while what keeps it closed may pass until
    /// `deadline`.
    pub async fn ready(&self, deadline: Instant) -> Result<Dialect, Trouble> {
        let mut standing = self.0.standing.clone();
        if matches!(*standing.borrow(), Standing::Away(_)) {
            self.0.knock.notify_one();
            let _ = standing.wait_for(Standing::is_settling).await;
        }
        let mut opened = self.open().await;
        loop {
            let trouble = match opened {
                Ok((_, dialect)) => return Ok(dialect),
                Err(trouble) if !trouble.is_outage() => return Err(trouble),
                Err(trouble) => trouble,
            };
            let next = async {
                let _ = standing.wait_for(Standing::is_settling).await;
                self.open().await
            };
            opened = timeout_at(deadline, next).await.map_err(|_| trouble)?;
        }
    }

    /// Its socket; waits for an attempt that is being made, but not for the next one.
    async fn open(&self) -> Result<(Arc<Link>, Dialect), Trouble> {
        let mut standing = self.0.standing.clone();
        let settled = standing.wait_for(|now| !matches!(now, Standing::Opening));
        match settled.await.map(|now| now.clone()) {
            Ok(Standing::Open(link, dialect)) => Ok((link, dialect)),
            Ok(Standing::Away(cause)) => Err(Trouble::Away(cause)),
            Ok(Standing::Opening) | Err(_) => Err(Trouble::Away(Cause::Closed)),
        }
    }

    /// How the runtime speaks, if that is known.
    pub async fn dialect(&self) -> Result<Dialect, Trouble> {
        Ok(self.open().await?.1)
    }

    /// Has an action done. Without a connection it fails at once, with the reason; one that is lost meanwhile
    /// fails it, too, and the action may have been done.
    pub async fn call<T: DeserializeOwned>(
        &self,
        action: &'static str,
        data: &impl Serialize,
        limit: Duration,
    ) -> Result<T, Trouble> {
        let (link, _) = self.open().await?;
        let answer = link.ask(action, data, limit).await?;
        serde_json::from_str(answer.get()).map_err(|error| {
            Trouble::Protocol(format!(
                "{action} was answered with something else: {error}"
            ))
        })
    }
}

impl Standing {
    /// Whether it is more than known to be away.
    fn is_settling(&self) -> bool {
        !matches!(self, Standing::Away(_))
    }
}

impl Keeper {
    async fn run(self) {
        let [first, longest] = PAUSES;
        let mut pause = first;
        loop {
            let began = Instant::now();
            let cause = tokio::select! {
                () = self.closing.cancelled() => return,
                cause = self.attempt() => cause,
            };
            tracing::debug!("{}: {cause}", self.place.name());
            self.standing.send_replace(Standing::Away(cause.clone()));
            if began.elapsed() > longest {
                // It was open for a while.
                pause = first;
            }
            let jitter = rand::rng().random_range(0.5..1.0);
            tokio::select! {
                () = self.closing.cancelled() => return,
                () = sleep(pause.mul_f64(jitter)) => {}
                () = self.knocked() => {}
            }
            pause = (pause * 2).min(longest);
            self.standing.send_replace(Standing::Opening);
        }
    }

    /// Opens a socket and keeps it to its end; returns why it ended, or why there was none.
    async fn attempt(&self) -> Cause {
        let socket = match self.socket().await {
            Ok(socket) => socket,
            Err(cause) => return cause,
        };
        let (link, wire) = Link::new(self.place.clone(), socket, self.ids.clone());
        let mut run = pin!(wire.run(self.closing.cancelled()));
        let dialect = tokio::select! {
            cause = &mut run => return cause,
            dialect = self.recognize(&link) => dialect,
        };
        match dialect {
            Ok(dialect) => {
                link.speaks(dialect);
                self.standing.send_replace(Standing::Open(link, dialect));
                run.await
            }
            Err(cause) => cause,
        }
    }

    async fn socket(&self) -> Result<Socket, Cause> {
        let headers = self.place.control_headers().map_err(Cause::Config)?;
        socket::open(&self.place, &self.place.control(), headers).await
    }

    /// Which dialect it is, by what it tells of itself; and whether it is what was configured.
    async fn recognize(&self, link: &Link) -> Result<Dialect, Cause> {
        let answer = link.ask("box_status", &json!({}), HELLO).await;
        let place = self.place.name();
        let status: Value = match answer {
            Ok(answer) => serde_json::from_str(answer.get()).unwrap_or_default(),
            Err(Trouble::Away(cause) | Trouble::Lost(cause, _)) => return Err(cause),
            Err(Trouble::Late { what, after }) => {
                let what = what.into();
                return Err(Cause::Deadline { what, after });
            }
            Err(trouble) => {
                let text = format!("{place} refuses us: {trouble}");
                return Err(Cause::Config(text));
            }
        };
        let is_new = status.get("limits").is_some();
        let is_tenant = self.place.tenant.is_some();
        match (is_new, is_tenant) {
            (true, true) => Ok(Dialect::Chunks),
            (false, false) if self.place.token.is_none() => Ok(Dialect::Lines),
            (false, _) => Err(Cause::Config(format!(
                "the Box runtime at {place} is older than 0.5: it knows no control token, instance, workspace and \
                 generation, so anybody who reaches it may do anything; leave these keys out if that is meant"
            ))),
            (true, false) => Err(Cause::Config(format!(
                "the Box runtime at {place} is of 0.5 or later: it wants an instance and a workspace"
            ))),
        }
    }

    /// Somebody would rather try again now.
    async fn knocked(&self) {
        sleep(LEAST_PAUSE).await;
        self.knock.notified().await;
    }
}
