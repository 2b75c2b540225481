//! The task of a connection over HTTP: takes messages from the link and posts each; says goodbye at the end.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::client::{Ask, Client};
use super::session::Sessions;
use super::{listen, post};
use crate::drivers::{Contact, HttpEndpoint};
use crate::mcp::link::{Frame, Kind, Link};
use crate::model::{Era, Failure};
use crate::stores::logs::Source;

/// Nothing else may be said before the server has taken this; but not for ever.
const INITIALIZED: Duration = Duration::from_secs(10);
/// For telling the server that the session is over.
const GOODBYE: Duration = Duration::from_secs(2);

/// What all that goes on in a connection shares.
pub(super) struct Http {
    pub link: Arc<Link>,
    pub client: Client,
    pub contact: Contact,
    pub sessions: Sessions,
}

impl Http {
    pub fn remark(&self, text: &str) {
        self.link.log.line(Source::Envdeck, text);
    }

    pub fn is_stateless(&self) -> bool {
        let revision = self.link.revision();
        revision.is_some_and(|revision| revision.era == Era::Stateless)
    }

    /// Whether the server has sessions, streams to listen to, and streams that can be taken up again.
    pub fn has_sessions(&self) -> bool {
        let revision = self.link.revision();
        revision.is_some_and(|revision| revision.era == Era::Sessions)
    }
}

/// A connection over HTTP.
pub(in crate::mcp) struct Transport {
    http: Arc<Http>,
    over: bool,
}

impl Transport {
    pub fn new(link: Arc<Link>, endpoint: HttpEndpoint) -> Result<Self, Failure> {
        let HttpEndpoint { server, contact } = endpoint;
        let http = Http {
            client: Client::new(&server)?,
            sessions: Sessions::new(link.clone(), contact.clone()),
            contact,
            link,
        };
        Ok(Self {
            http: Arc::new(http),
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
                Some(frame) = queue.recv() => frame,
                Some(_) = tasks.join_next() => continue,
            };
            match frame.kind {
                Kind::Notification("notifications/initialized") => {
                    let sent = post::tell(&self.http, "notifications/initialized", frame.bytes);
                    if timeout(INITIALIZED, sent).await.is_err() {
                        self.http
                            .remark("the server does not take notifications/initialized");
                    }
                    if self.http.has_sessions() && !std::mem::replace(&mut listens, true) {
                        tasks.spawn(listen::listen(self.http.clone()));
                    }
                }
                _ => drop(tasks.spawn(post::send(self.http.clone(), frame))),
            }
        }
        tasks.shutdown().await;
        self.over = true;
        let _ = timeout(GOODBYE, end_session(&self.http)).await;
    }
}

impl Drop for Transport {
    /// A connection that is dropped instead of closed must not leave a session with the server.
    fn drop(&mut self) {
        if let (false, Ok(runtime)) = (self.over, Handle::try_current()) {
            let http = self.http.clone();
            runtime.spawn(async move { timeout(GOODBYE, end_session(&http)).await });
        }
    }
}

async fn end_session(http: &Http) {
    let session = http.sessions.current();
    if session.id.is_none() {
        return;
    }
    let ask = Ask {
        method: Method::DELETE,
        url: &http.client.url,
        headers: http.sessions.headers(&session),
        body: bytes::Bytes::new(),
    };
    // The server may refuse: it will forget the session by itself.
    let _ = http.client.send(ask).await;
}
