//! The task of a connection over HTTP: takes messages from the link and posts each; says goodbye at the end.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::answer::Stream;
use super::client::{Ask, Client};
use super::legacy::{self, Legacy};
use super::session::{Session, Sessions};
use super::{listen, post};
use crate::drivers::{Contact, HttpEndpoint};
use crate::mcp::link::{Frame, Kind, Link};
use crate::model::{Cause, Era, Failure};
use crate::stores::logs::Source;

const INITIALIZED: &str = "notifications/initialized";
/// For taking that.
const TAKEN: Duration = Duration::from_secs(10);
/// For telling the server that the session is over.
const GOODBYE: Duration = Duration::from_secs(2);

/// What all that goes on in a connection shares.
pub(super) struct Http {
    pub link: Arc<Link>,
    pub client: Client,
    pub contact: Contact,
    pub sessions: Sessions,
    pub legacy: Legacy,
}

impl Http {
    pub fn remark(&self, text: &str) {
        self.link.log.line(Source::Envdeck, text);
    }

    /// Counts a failure of the contact. What a server answers in its own protocol is none, nor what it refuses
    /// while it is asked what it knows.
    pub fn failed(&self, cause: &Cause) {
        if self.contact.has_begun() && !matches!(cause, Cause::Rpc { .. }) {
            self.contact.failed(cause);
        }
    }

    pub fn is_stateless(&self) -> bool {
        let revision = self.link.revision();
        revision.is_some_and(|revision| revision.era == Era::Stateless)
    }

    /// Whether the server may have sessions, a stream to listen to, and streams that can be taken up again.
    pub fn has_sessions(&self) -> bool {
        let revision = self.link.revision();
        revision.is_some_and(|revision| revision.era == Era::Sessions) && !self.legacy.is_on()
    }
}

/// A connection over HTTP.
pub(in crate::mcp) struct Transport {
    http: Arc<Http>,
    /// Of the old transport, to be read.
    streams: mpsc::Receiver<Stream>,
    over: bool,
}

impl Transport {
    pub fn new(link: Arc<Link>, endpoint: HttpEndpoint) -> Result<Self, Failure> {
        let HttpEndpoint {
            server,
            contact,
            login,
            ..
        } = endpoint;
        let (sender, streams) = mpsc::channel(1);
        let http = Http {
            client: Client::logged_in(&server, login)?,
            sessions: Sessions::new(link.clone()),
            legacy: Legacy::new(server.legacy_sse, sender),
            contact,
            link,
        };
        Ok(Self {
            http: Arc::new(http),
            streams,
            over: false,
        })
    }

    /// Until the link is closed.
    pub async fn run(mut self, mut queue: mpsc::Receiver<Frame>) {
        let stop = self.http.link.stop.clone();
        let mut tasks = JoinSet::new();
        let mut listens = false;
        loop {
            let frame = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(stream) = self.streams.recv() => {
                    tasks.spawn(legacy::read(self.http.clone(), stream));
                    continue;
                }
                Some(frame) = queue.recv() => frame,
                Some(_) = tasks.join_next() => continue,
            };
            if !matches!(frame.kind, Kind::Notification(INITIALIZED)) {
                tasks.spawn(post::send(self.http.clone(), frame));
                continue;
            }
            // Nothing else may be said before the server has taken this.
            let sent = post::tell(&self.http, INITIALIZED, frame.bytes);
            if timeout(TAKEN, sent).await.is_err() {
                self.http.remark("the server does not take our greeting");
            }
            if let Some(stray) = self.http.sessions.take_stray() {
                let http = self.http.clone();
                tasks.spawn(async move { end(&http, &stray).await });
            }
            if self.http.has_sessions() && !std::mem::replace(&mut listens, true) {
                tasks.spawn(listen::listen(self.http.clone()));
            }
        }
        tasks.shutdown().await;
        self.over = true;
        end(&self.http, &self.http.sessions.current()).await;
    }
}

impl Drop for Transport {
    /// A connection that is dropped instead of closed must not leave a session with the server.
    fn drop(&mut self) {
        if let (false, Ok(runtime)) = (self.over, Handle::try_current()) {
            let http = self.http.clone();
            runtime.spawn(async move { end(&http, &http.sessions.current()).await });
        }
    }
}

/// Tells the server that a session is over, if it is one.
async fn end(http: &Http, session: &Session) {
    if session.id.is_none() || http.is_stateless() {
        return;
    }
    let ask = Ask {
        method: Method::DELETE,
        url: &http.client.url,
        headers: http.sessions.headers(session),
        body: bytes::Bytes::new(),
    };
    // The server may refuse: it will forget the session by itself.
    let _ = timeout(GOODBYE, http.client.send(ask)).await;
}
