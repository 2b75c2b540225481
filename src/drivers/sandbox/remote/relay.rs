//! The stdin and stdout of a process, over web sockets that may come and go while it lives.
//!
//! A relay tells nothing when it ends: whatever happened, its socket is closed with 1000 and no word. So the runtime
//! is asked what became of the process, and if it runs, the next socket goes on where the last one ended. What the
//! process wrote meanwhile comes first then, so that old answers can come late; they meet nobody, because ids are
//! never used again, and those who waited for them have been told ([`Interruption`]).

use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, DuplexStream, duplex};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{Bytes as Payload, Message};
use tokio_util::io::StreamReader;
use tokio_util::task::AbortOnDropHandle;

use super::actions::{Process, ProcessStatus};
use super::connection::{Connection, Dialect};
use super::fence::{self, Fence};
use super::framing::{Framing, Piece};
use super::link::closed;
use super::outgoing::{Messages, Outgoing};
use super::reattach::Reattach;
use super::socket::{self, Socket, lost};
use super::trouble::Trouble;
use crate::drivers::Interruption;
use crate::model::{Cause, Reach};
use crate::stores::logs::{LogWriter, Source};

/// What may wait in a pipe until the other side reads it, bytes and chunks.
const PIPE: usize = 64 << 10;
const CHUNKS: usize = 16;
/// Between two pings; runtimes of 0.4 send none.
const PING: Duration = Duration::from_secs(20);
/// Nothing at all for so long, not even the answer to a ping, is worth a question.
const SILENCE: Duration = Duration::from_secs(50);

/// A runtime knows that a process has ended before it knows how.
const STATUS: Duration = Duration::from_secs(2);
const SOON: Duration = Duration::from_millis(20);
/// For what a process still says when its input has ended.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// For the last frame of a socket that we close.
const GOODBYE: Duration = Duration::from_secs(1);

/// Which process, of which runtime.
#[derive(Clone)]
pub struct Target {
    pub connection: Connection,
    pub session: String,
    pub process: String,
}

/// A process that is attached, for as long as this is not dropped.
pub struct Relay {
    /// What it writes to stdout. Reading may fail with an [`Interruption`] and go on.
    pub read: Box<dyn AsyncRead + Send + Unpin>,
    /// Its stdin: one message a line. Its end is the end of the process's.
    pub write: DuplexStream,
    pub state: watch::Receiver<State>,
    pub task: AbortOnDropHandle<()>,
}

/// How it is with a relay.
#[derive(Clone, Debug)]
pub enum State {
    Attached,
    /// The process cannot be heard now, and why.
    Torn(Cause),
    Ended(End),
}

/// What became of a process.
#[derive(Clone, Debug)]
pub enum End {
    Exited(Process),
    /// The runtime knows it no more: it was stopped, or its session ended, or its end is long ago.
    Gone(String),
    /// It was given up.
    Lost(Trouble),
}

/// Why a process cannot be attached.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NotAttached {
    #[error("the process has ended")]
    Ended(Process),
    #[error("another client is attached to the process, and a runtime serves one at a time")]
    Held,
    #[error(transparent)]
    Trouble(#[from] Trouble),
}

impl Target {
    /// What the runtime knows of it.
    pub(super) async fn look(&self) -> Result<Process, Trouble> {
        let deadline = Instant::now() + STATUS;
        loop {
            let process = self
                .connection
                .process(&self.session, &self.process)
                .await?;
            let is_vague = process.status == ProcessStatus::Exited && process.exit_code.is_none();
            if !is_vague || Instant::now() > deadline {
                return Ok(process);
            }
            sleep(SOON).await;
        }
    }

    /// The runtime ends it, more or less, and knows it no more.
    pub(super) async fn forget(&self) -> Result<(), Trouble> {
        let Self {
            connection,
            session,
            process,
        } = self;
        match connection.stop_process(session, process).await {
            Err(trouble) if !trouble.is_not_found() => Err(trouble),
            _ => Ok(()),
        }
    }

    /// Attaches, if nobody else is: a runtime would let a second one wait without a word. The log gets our remarks.
    pub async fn attach(self, log: Option<LogWriter>) -> Result<Relay, NotAttached> {
        let dialect = self.connection.dialect().await?;
        let process = self.look().await?;
        if process.status == ProcessStatus::Exited {
            return Err(NotAttached::Ended(process));
        }
        if process.attached {
            return Err(NotAttached::Held);
        }
        let socket = match self.open().await {
            Ok(socket) => socket,
            // It may have ended between the two.
            Err(cause) => match self.look().await? {
                ended if ended.status == ProcessStatus::Exited => {
                    return Err(NotAttached::Ended(ended));
                }
                _ => return Err(Trouble::Away(cause).into()),
            },
        };
        Ok(Pump::start(self, dialect, Remarks(log), socket))
    }

    pub(super) async fn open(&self) -> Result<Socket, Cause> {
        let place = self.connection.place();
        let url = place.relay(&self.session, &self.process);
        let mut headers = place.relay_headers().map_err(Cause::Config)?;
        let protocol = HeaderValue::from_static("mcp");
        headers.insert("sec-websocket-protocol", protocol);
        socket::open(place, &url, headers).await
    }
}

/// Where what happens to a relay is told, if anywhere.
struct Remarks(Option<LogWriter>);

impl Remarks {
    fn line(&self, text: &str) {
        if let Some(log) = &self.0 {
            log.line(Source::Envdeck, text);
        }
    }
}

/// Moves what a process says and hears.
struct Pump {
    target: Target,
    dialect: Dialect,
    framing: Framing,
    messages: Messages<DuplexStream>,
    heard: mpsc::Sender<io::Result<Bytes>>,
    log: Remarks,
    state: watch::Sender<State>,
    /// The highest id of a request that was sent, and of one that was told to be lost.
    sent: u64,
    told: u64,
    /// Asked of the process before anything else, on a relay that may begin with the rest of a line.
    fence: Option<Fence>,
}

/// Why a socket does not carry any more.
enum Stop {
    /// Nobody writes to the process any more.
    InputEnded,
    /// Nobody reads what it says any more.
    Unheard,
    /// The runtime closed it, in good order.
    Closed(Cause),
    Broken(Cause),
}

impl Pump {
    fn start(target: Target, dialect: Dialect, log: Remarks, socket: Socket) -> Relay {
        let (write, input) = duplex(PIPE);
        let (heard, mut chunks) = mpsc::channel(CHUNKS);
        let (state, states) = watch::channel(State::Attached);
        let pump = Self {
            target,
            dialect,
            framing: Framing::new(dialect),
            messages: Messages::new(input),
            heard,
            log,
            state,
            sent: 0,
            told: 0,
            fence: None,
        };
        let stream = futures::stream::poll_fn(move |cx| chunks.poll_recv(cx));
        Relay {
            read: Box::new(StreamReader::new(stream)),
            write,
            state: states,
            task: AbortOnDropHandle::new(tokio::spawn(pump.run(socket))),
        }
    }

    async fn run(mut self, mut socket: Socket) {
        let end = loop {
            let stop = self.carry(socket).await;
            let (cause, in_order) = match stop {
                Stop::InputEnded => break End::Gone("its input was closed".to_owned()),
                Stop::Unheard => break End::Gone("nobody listens to it any more".to_owned()),
                Stop::Closed(cause) => (cause, true),
                Stop::Broken(cause) => (cause, false),
            };
            if let Some(end) = self.framing.cut() {
                self.deliver(Ok(end)).await;
            }
            match self.again(cause, in_order).await {
                Ok(next) => socket = next,
                Err(end) => break end,
            }
        };
        self.state.send_replace(State::Ended(end));
    }

    /// Until the socket ends, or whoever is on our side.
    async fn carry(&mut self, socket: Socket) -> Stop {
        let (mut sink, stream) = socket.split();
        let is_stuck = AtomicBool::new(false);
        let limit = self.dialect.largest_message();
        let mut ears = Ears {
            target: &self.target,
            framing: &mut self.framing,
            heard: &self.heard,
            log: &self.log,
            fence: self.fence.as_ref(),
            is_stuck: &is_stuck,
        };
        let mut mouth = Mouth {
            target: &self.target,
            messages: &mut self.messages,
            heard: &self.heard,
            log: &self.log,
            sent: &mut self.sent,
            fence: self.fence.as_ref(),
            is_stuck: &is_stuck,
            limit,
        };
        let mut hear = pin!(ears.hear(stream));
        let stop = tokio::select! {
            stop = &mut hear => stop,
            stop = mouth.speak(&mut sink) => stop,
        };
        if matches!(stop, Stop::InputEnded) {
            let close = close_input(&self.target, &self.log);
            let _ = tokio::join!(close, timeout(LAST_WORDS, hear));
        }
        if matches!(stop, Stop::InputEnded | Stop::Unheard) {
            let _ = timeout(GOODBYE, sink.close()).await;
        }
        stop
    }

    /// The next socket, if the process still runs.
    async fn again(&mut self, cause: Cause, in_order: bool) -> Result<Socket, End> {
        // Nothing else makes a runtime of 0.4 close it while the process runs.
        let is_overlong = in_order && self.dialect == Dialect::Lines;
        let cause = if is_overlong { overlong() } else { cause };
        self.fence = Fence::after(self.fence.take(), is_overlong && self.sent > 0)?;
        let may_have_ended = in_order && self.fence.as_ref().is_none_or(Fence::is_first);
        let mut reattach =
            Reattach::new(self.target.clone(), self.dialect, in_order, may_have_ended);
        loop {
            let step = reattach.step().await;
            // Whoever waits is told as soon as it is known that the process has not simply ended.
            if !matches!(step, Err(Some(_))) {
                self.tell_of_loss(&cause).await;
            }
            match step {
                Ok(socket) => {
                    self.state.send_replace(State::Attached);
                    self.remark("attached again");
                    return Ok(socket);
                }
                Err(Some(end)) => return Err(end),
                Err(None) => {
                    self.state.send_replace(State::Torn(cause.clone()));
                    reattach.pause().await;
                }
            }
            if self.heard.is_closed() {
                return Err(End::Gone("nobody listens to it any more".to_owned()));
            }
        }
    }

    async fn tell_of_loss(&mut self, cause: &Cause) {
        if matches!(*self.state.borrow(), State::Attached) {
            self.remark(&format!("the relay was lost: {cause}"));
        }
        if self.sent > self.told {
            self.told = self.sent;
            let (sent, cause) = (self.sent, cause.clone());
            self.deliver(Err(Interruption { sent, cause }.into())).await;
        }
    }

    /// Said once of all the relays that one line costs.
    fn remark(&self, text: &str) {
        if self.fence.as_ref().is_none_or(Fence::is_first) {
            self.log.line(text);
        }
    }

    async fn deliver(&self, what: io::Result<Bytes>) {
        // Nobody listening shows elsewhere.
        let _ = self.heard.send(what).await;
    }
}

fn overlong() -> Cause {
    let text = "a line of over 64 KiB, which a Box runtime of 0.4 cannot relay";
    Cause::Protocol(text.to_owned())
}

/// The end of our input is the end of the process's, which a runtime can only bring about by forgetting it.
async fn close_input(target: &Target, log: &Remarks) {
    if let Err(trouble) = target.forget().await {
        log.line(&format!("its input could not be closed: {trouble}"));
    }
}

/// From the runtime to us.
struct Ears<'a> {
    target: &'a Target,
    framing: &'a mut Framing,
    heard: &'a mpsc::Sender<io::Result<Bytes>>,
    log: &'a Remarks,
    fence: Option<&'a Fence>,
    is_stuck: &'a AtomicBool,
}

impl Ears<'_> {
    async fn hear(&mut self, mut stream: SplitStream<Socket>) -> Stop {
        let place = self.target.connection.place();
        loop {
            let message = match timeout(SILENCE, stream.next()).await {
                Ok(Some(Ok(message))) => message,
                Ok(Some(Err(error))) => return Stop::Broken(lost(place, &error)),
                Ok(None) => return Stop::Broken(closed(place, None)),
                Err(_) if self.is_alive().await => continue,
                Err(_) => {
                    return Stop::Broken(Cause::Unreachable {
                        server: place.name(),
                        reach: Reach::Lost,
                        detail: format!("not a word for {SILENCE:?}"),
                    });
                }
            };
            match message {
                Message::Text(text) => {
                    if fence::passes(&text, self.fence) {
                        continue;
                    }
                    let Piece { bytes, spoiled } = self.framing.take(text);
                    if spoiled > 0 {
                        self.log.line(SPOILED);
                    }
                    if self.heard.send(Ok(bytes)).await.is_err() {
                        return Stop::Unheard;
                    }
                }
                Message::Close(frame) => {
                    let frame =
                        frame.map(|frame| (u16::from(frame.code), frame.reason.to_string()));
                    let in_order = matches!(frame, Some((1000, _)));
                    let cause = closed(place, frame);
                    return if in_order {
                        Stop::Closed(cause)
                    } else {
                        Stop::Broken(cause)
                    };
                }
                _ => {}
            }
        }
    }

    /// A process that does not read holds up the runtime's side of the relay, with the answers to our pings.
    async fn is_alive(&self) -> bool {
        let is_held = |process: Process| process.attached;
        self.is_stuck.load(Ordering::Relaxed) || self.target.look().await.is_ok_and(is_held)
    }
}

/// What is said of a message with broken characters: what they were is lost for good.
const SPOILED: &str = "the runtime's relay has broken characters of a message: it decodes each of its chunks by \
     itself, so that a character on the border of two becomes U+FFFD";

/// From us to the runtime.
struct Mouth<'a> {
    target: &'a Target,
    messages: &'a mut Messages<DuplexStream>,
    heard: &'a mpsc::Sender<io::Result<Bytes>>,
    log: &'a Remarks,
    sent: &'a mut u64,
    fence: Option<&'a Fence>,
    is_stuck: &'a AtomicBool,
    limit: usize,
}

impl Mouth<'_> {
    async fn speak(&mut self, sink: &mut SplitSink<Socket, Message>) -> Stop {
        let mut pings = interval(PING);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        pings.tick().await;
        if let Some(fence) = self.fence {
            if let Some(stop) = self.send(sink, Message::text(fence.question())).await {
                return stop;
            }
            fence.passed().await;
        }
        loop {
            let message = tokio::select! {
                message = self.messages.next() => match message {
                    Ok(Some(message)) => message,
                    Ok(None) | Err(_) => return Stop::InputEnded,
                },
                _ = pings.tick() => {
                    if let Some(stop) = self.send(sink, Message::Ping(Payload::new())).await {
                        return stop;
                    }
                    continue;
                }
            };
            if message.text.len() > self.limit {
                self.refuse(&message).await;
                continue;
            }
            if let Some(id) = message.request {
                // Before it is sent: whatever happens meanwhile, it may have arrived.
                *self.sent = (*self.sent).max(id);
            }
            if let Some(stop) = self.send(sink, Message::text(message.text)).await {
                return stop;
            }
        }
    }

    async fn send(&self, sink: &mut SplitSink<Socket, Message>, message: Message) -> Option<Stop> {
        self.is_stuck.store(true, Ordering::Relaxed);
        let sent = sink.send(message).await;
        self.is_stuck.store(false, Ordering::Relaxed);
        let place = self.target.connection.place();
        sent.err().map(|error| Stop::Broken(lost(place, &error)))
    }

    /// A runtime would close the relay on hearing it.
    async fn refuse(&self, message: &Outgoing) {
        let (size, limit) = (message.text.len(), self.limit);
        let why = format!("a message of {size} bytes: the Box runtime takes at most {limit}");
        self.log.line(&why);
        if let Some(refusal) = message.refusal(&why) {
            let _ = self.heard.send(Ok(format!("{refusal}\n").into())).await;
        }
    }
}

impl State {
    /// Why the process cannot be heard now.
    pub fn excuse(&self) -> Option<&'static str> {
        matches!(self, State::Torn(_)).then_some("the Box runtime is out of reach, or its relay")
    }
}
