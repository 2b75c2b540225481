//! Who is there: the transport sessions of clients that say `initialize`, and the connections of those that do not.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper::StatusCode;
use parking_lot::Mutex;
use rand::Rng;
use serde_json::value::RawValue;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::refusal::Refusal;
use super::wire::{INVALID_REQUEST, NO_SESSION, TRANSPORT};

/// A client without a request or a stream for so long is not counted as being there.
const AROUND: Duration = Duration::from_secs(60);
/// Characters kept of the name that a client gives itself.
const MAX_NAME: usize = 64;

/// All clients.
#[derive(Default)]
pub(super) struct Clients {
    sessions: Mutex<HashMap<Box<str>, Arc<Client>>>,
    /// Connections that have made a request of the stateless revision.
    stateless: AtomicUsize,
    /// Somebody came or went.
    changed: Notify,
}

/// One transport session, as `initialize` begins it.
pub(super) struct Client {
    pub id: Box<str>,
    pub name: Arc<str>,
    /// The revision agreed on.
    pub protocol: &'static str,
    /// When it was last heard of.
    seen: Mutex<Instant>,
    streams: AtomicUsize,
    /// Requests being worked on, by id as sent.
    requests: Mutex<HashMap<Box<str>, CancellationToken>>,
    /// It was ended.
    pub ended: CancellationToken,
}

impl Clients {
    /// Begins a transport session, unless there are `most` and none of them can be forgotten.
    pub fn begin(
        &self,
        name: Arc<str>,
        protocol: &'static str,
        most: usize,
    ) -> Result<Arc<Client>, Refusal> {
        let id: Box<str> = format!("{:032x}", rand::rng().random::<u128>()).into();
        let client = Arc::new(Client {
            id: id.clone(),
            name,
            protocol,
            seen: Mutex::new(Instant::now()),
            streams: AtomicUsize::new(0),
            requests: Mutex::default(),
            ended: CancellationToken::new(),
        });
        let mut sessions = self.sessions.lock();
        if sessions.len() >= most && !forget_idlest(&mut sessions) {
            let text = format!("there are {most} clients already, which is the limit");
            return Err(Refusal::new(TRANSPORT, text).status(StatusCode::SERVICE_UNAVAILABLE));
        }
        sessions.insert(id, client.clone());
        drop(sessions);
        self.changed.notify_one();
        Ok(client)
    }

    pub fn get(&self, id: &str) -> Result<Arc<Client>, Refusal> {
        let client = self.sessions.lock().get(id).cloned();
        let client = client.ok_or_else(|| {
            let text =
                "there is no such session: it ended, or was idle for too long; initialize again";
            Refusal::new(NO_SESSION, text).status(StatusCode::NOT_FOUND)
        })?;
        client.touch();
        Ok(client)
    }

    /// Ends a transport session with all that it asked for.
    pub fn end(&self, id: &str) {
        if let Some(client) = self.sessions.lock().remove(id) {
            client.ended.cancel();
            self.changed.notify_one();
        }
    }

    /// Forgets those that have been silent for `limit`.
    pub fn sweep(&self, limit: Duration) {
        self.sessions.lock().retain(|_, client| {
            let stays = client.is_around(limit);
            if !stays {
                client.ended.cancel();
            }
            stays
        });
    }

    /// How many are there or were a moment ago.
    pub fn count(&self) -> usize {
        let sessions = self.sessions.lock();
        let around = sessions.values().filter(|client| client.is_around(AROUND));
        around.count() + self.stateless.load(Ordering::Relaxed)
    }

    /// Resolves when the count may have changed; for one waiter. Cancel-safe.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }
}

/// Makes room for a new client where somebody has left without a word.
fn forget_idlest(sessions: &mut HashMap<Box<str>, Arc<Client>>) -> bool {
    let gone = sessions.values().filter(|client| !client.is_around(AROUND));
    let idlest = gone.min_by_key(|client| *client.seen.lock());
    let Some(id) = idlest.map(|client| client.id.clone()) else {
        return false;
    };
    if let Some(client) = sessions.remove(&id) {
        client.ended.cancel();
    }
    true
}

impl Client {
    pub fn touch(&self) {
        *self.seen.lock() = Instant::now();
    }

    fn is_around(&self, limit: Duration) -> bool {
        self.streams.load(Ordering::Relaxed) > 0
            || !self.requests.lock().is_empty()
            || self.seen.lock().elapsed() < limit
    }

    /// Notes a request, so that it can be cancelled.
    pub fn request(self: &Arc<Self>, id: &RawValue) -> Result<Request, Refusal> {
        let mut requests = self.requests.lock();
        if requests.contains_key(id.get()) {
            let text = format!(
                "a request with the id {} is still being worked on",
                id.get()
            );
            return Err(Refusal::new(INVALID_REQUEST, text));
        }
        let cancelled = self.ended.child_token();
        requests.insert(id.get().into(), cancelled.clone());
        Ok(Request {
            client: self.clone(),
            id: id.get().into(),
            cancelled,
        })
    }

    /// The client does not need the answer any more.
    pub fn cancel(&self, id: &RawValue) {
        if let Some(request) = self.requests.lock().get(id.get()) {
            request.cancel();
        }
    }
}

/// A request that is being worked on.
pub(super) struct Request {
    client: Arc<Client>,
    id: Box<str>,
    pub cancelled: CancellationToken,
}

impl Drop for Request {
    fn drop(&mut self) {
        self.client.requests.lock().remove(&self.id);
        self.client.touch();
    }
}

/// An open stream from us to a client: the client is there.
pub(super) struct Stream {
    clients: Arc<Clients>,
    client: Arc<Client>,
}

impl Stream {
    pub fn open(clients: &Arc<Clients>, client: &Arc<Client>) -> Self {
        client.streams.fetch_add(1, Ordering::Relaxed);
        Self {
            clients: clients.clone(),
            client: client.clone(),
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.client.touch();
        self.client.streams.fetch_sub(1, Ordering::Relaxed);
        self.clients.changed.notify_one();
    }
}

/// A connection; counts as a client once it has made a request of the stateless revision.
pub(super) struct Connection {
    clients: Arc<Clients>,
    is_client: std::sync::atomic::AtomicBool,
}

impl Connection {
    pub fn new(clients: &Arc<Clients>) -> Self {
        Self {
            clients: clients.clone(),
            is_client: false.into(),
        }
    }

    pub fn is_stateless_client(&self) {
        if !self.is_client.swap(true, Ordering::Relaxed) {
            self.clients.stateless.fetch_add(1, Ordering::Relaxed);
            self.clients.changed.notify_one();
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if *self.is_client.get_mut() {
            self.clients.stateless.fetch_sub(1, Ordering::Relaxed);
            self.clients.changed.notify_one();
        }
    }
}

/// The name that a client gives itself, fit to be shown.
pub(super) fn shown_name(name: Option<&str>) -> Arc<str> {
    let name = name.unwrap_or_default();
    let shown: String = name
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(MAX_NAME)
        .collect();
    match shown.trim() {
        "" => "agent".into(),
        shown => shown.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn begin(clients: &Clients, most: usize) -> Result<Arc<Client>, Refusal> {
        clients.begin("x".into(), "2025-11-25", most)
    }

    fn id(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).expect("JSON")
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_client_is_forgotten_but_not_one_with_a_stream_or_a_request() {
        let clients = Arc::new(Clients::default());
        let [silent, listening, busy] = [(); 3].map(|()| begin(&clients, 9).expect("room"));
        let stream = Stream::open(&clients, &listening);
        let request = busy.request(&id("1")).expect("a new id");
        tokio::time::advance(2 * MINUTE).await;
        assert_eq!(clients.count(), 2);
        clients.sweep(10 * MINUTE);
        assert!(clients.get(&silent.id).is_ok(), "not yet");
        tokio::time::advance(11 * MINUTE).await;
        clients.sweep(10 * MINUTE);
        let refusal = clients.get(&silent.id).err().expect("forgotten");
        assert_eq!(refusal.status, StatusCode::NOT_FOUND);
        assert!(silent.ended.is_cancelled());
        drop((stream, request));
        clients.sweep(10 * MINUTE);
        for there in [busy, listening] {
            assert!(clients.get(&there.id).is_ok(), "it was there until now");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn at_the_limit_only_those_who_are_gone_make_room() {
        let clients = Clients::default();
        let first = begin(&clients, 2).expect("room");
        tokio::time::advance(Duration::from_secs(1)).await;
        begin(&clients, 2).expect("room");
        let refusal = begin(&clients, 2).err().expect("full");
        assert_eq!(refusal.status, StatusCode::SERVICE_UNAVAILABLE);
        tokio::time::advance(AROUND + AROUND).await;
        begin(&clients, 2).expect("the first made room");
        assert!(clients.get(&first.id).is_err());
    }

    #[tokio::test]
    async fn a_request_can_be_cancelled_until_it_ends() {
        let clients = Clients::default();
        let client = begin(&clients, 2).expect("room");
        let request = client.request(&id("\"a\"")).expect("a new id");
        assert!(client.request(&id("\"a\"")).is_err(), "the id is taken");
        client.cancel(&id("\"b\""));
        assert!(!request.cancelled.is_cancelled());
        client.cancel(&id("\"a\""));
        assert!(request.cancelled.is_cancelled());
        drop(request);
        let again = client.request(&id("\"a\"")).expect("free again");
        clients.end(&client.id);
        assert!(again.cancelled.is_cancelled());
    }

    #[test]
    fn a_connection_counts_once() {
        let clients = Arc::new(Clients::default());
        let connection = Connection::new(&clients);
        assert_eq!(clients.count(), 0);
        connection.is_stateless_client();
        connection.is_stateless_client();
        assert_eq!(clients.count(), 1);
        drop(connection);
        assert_eq!(clients.count(), 0);
    }

    #[test]
    fn names_are_short_and_harmless() {
        assert_eq!(&*shown_name(Some(" a\x1b[31m\n")), "a [31m");
        assert_eq!(&*shown_name(Some("")), "agent");
        assert_eq!(&*shown_name(None), "agent");
        assert_eq!(shown_name(Some(&"x".repeat(1_000))).len(), MAX_NAME);
    }
}
