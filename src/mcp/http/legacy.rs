//! The transport of 2024-11-05 (HTTP+SSE), for servers that have no other: one stream brings all that the
//! server says, and names the address that messages are posted to.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use reqwest::Url;
use reqwest::header::HeaderMap;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::answer::{self, Stream};
use super::events::Cursor;
use super::post::{self, Trouble};
use super::transport::Http;
use super::{body, session};
use crate::mcp::link::Sent;
use crate::model::{Cause, Reach};

/// For the address, which is the first thing on the stream.
const ADDRESS: Duration = Duration::from_secs(5);
/// Before the stream is opened again; a request that comes meanwhile does not wait for it.
const PAUSE: Duration = Duration::from_millis(500);

/// How things stand with the old transport.
pub(super) struct Legacy {
    allowed: bool,
    state: Mutex<State>,
    /// To the task of the connection, which has them read.
    streams: mpsc::Sender<Stream>,
}

#[derive(Default)]
enum State {
    /// The server speaks the newer transport, or has not spoken.
    #[default]
    Off,
    Open(Url),
    /// The stream has ended.
    Lost,
}

impl Legacy {
    pub fn new(allowed: bool, streams: mpsc::Sender<Stream>) -> Self {
        Self {
            allowed,
            state: Mutex::default(),
            streams,
        }
    }

    pub fn is_on(&self) -> bool {
        !matches!(*self.state.lock(), State::Off)
    }

    /// Where messages go; `None` where they go is the URL itself.
    pub fn target(&self, server: &str) -> Option<Result<Url, Cause>> {
        match &*self.state.lock() {
            State::Off => None,
            State::Open(url) => Some(Ok(url.clone())),
            State::Lost => Some(Err(lost(server, "the stream ended"))),
        }
    }

    /// Whether a server that refuses the first message like this may be one of the old kind: "400, 404 or 405",
    /// unless the refusal shows that it knows a newer one.
    pub fn may_be(&self, status: u16, refusal: &Cause) -> bool {
        let is_modern = matches!(
            refusal,
            Cause::Rpc {
                code: -32022..=-32020 | -32601,
                ..
            }
        );
        self.allowed && !is_modern && matches!(status, 400 | 404 | 405)
    }
}

fn lost(server: &str, detail: &str) -> Cause {
    Cause::Unreachable {
        server: server.to_owned(),
        reach: Reach::Lost,
        detail: detail.to_owned(),
    }
}

/// Opens the stream and learns where messages go.
pub(super) async fn open(http: &Http) -> Result<(), Cause> {
    let opened = timeout(ADDRESS, async {
        let answer = answer::open(http, &Cursor::default()).await?;
        let mut stream = answer::events(http, answer, Cursor::default());
        while let Some(event) = stream.next().await? {
            if *event.kind == *"endpoint" {
                let address = String::from_utf8_lossy(&event.data).into_owned();
                return Ok((stream, http.client.join(address.trim())?));
            }
        }
        Err(lost(&http.client.server, "the stream ended"))
    });
    let (stream, url) = opened.await.unwrap_or_else(|_| {
        Err(Cause::Deadline {
            what: "the stream's first event".into(),
            after: ADDRESS,
        })
    })?;
    *http.legacy.state.lock() = State::Open(url);
    http.contact.speaks("HTTP+SSE");
    // Full only if the stream before was not even begun to be read.
    http.legacy
        .streams
        .send(stream)
        .await
        .map_err(|_| Cause::Closed)
}

/// Posts a request; its answer comes on the stream.
pub(super) async fn attempt(http: &Http, sent: &Sent, bytes: &Bytes) -> Result<(), Trouble> {
    if let Some(Err(cause)) = http.legacy.target(&http.client.server) {
        // Nothing was sent.
        return Err(Trouble::Expired(cause));
    }
    let session = http.sessions.current();
    let answer = post::post(http, &session, HeaderMap::new(), bytes.clone()).await?;
    if !answer.status().is_success() {
        let refusal = body::refusal(&http.client, answer).await;
        return Err(refusal.rpc.unwrap_or(refusal.cause).into());
    }
    http.contact.answered();
    if sent.method == "initialize" {
        http.sessions.begin(&HeaderMap::new());
    }
    Ok(())
}

/// Hears the stream to its end, then opens another one. Where that fails the connection is over.
pub(super) async fn read(http: Arc<Http>, mut stream: Stream) {
    let ended = loop {
        match stream.next().await {
            Ok(Some(event)) if *event.kind == *"message" => {
                answer::hear(&http, event.data, None).await;
            }
            Ok(Some(_)) => {}
            Ok(None) => break lost(&http.client.server, "the stream ended"),
            Err(cause) => break cause,
        }
    };
    *http.legacy.state.lock() = State::Lost;
    http.failed(&ended);
    http.link.fail_waiting(&ended);
    http.remark(&format!("opening the stream again: {ended}"));
    // A server that ends each stream at once is not to be asked without end.
    sleep(PAUSE).await;
    let session = http.sessions.current();
    if session::renew(&http, &session).await.is_err() {
        http.link.close(ended);
    }
}
