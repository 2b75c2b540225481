//! Moves what a process says and hears, from socket to socket.

use std::io;
use std::pin::pin;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use tokio::io::{DuplexStream, duplex};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_util::io::StreamReader;
use tokio_util::task::AbortOnDropHandle;

use super::connection::Dialect;
use super::ears::Ears;
use super::fence::Fence;
use super::framing::Framing;
use super::mouth::Mouth;
use super::outgoing::Messages;
use super::reattach::Reattach;
use super::relay::{End, Relay, State, Target};
use super::socket::Socket;
use crate::drivers::Interruption;
use crate::model::Cause;
use crate::stores::logs::{LogWriter, Source};

/// What may wait in a pipe until the other side reads it, bytes and chunks.
const PIPE: usize = 64 << 10;
const CHUNKS: usize = 16;
/// For what a process still says when its input has ended.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// For the last frame of a socket that we close.
const GOODBYE: Duration = Duration::from_secs(1);

/// Where what happens to a relay is told, if anywhere.
pub struct Remarks(pub Option<LogWriter>);

impl Remarks {
    pub fn line(&self, text: &str) {
        if let Some(log) = &self.0 {
            log.line(Source::Envdeck, text);
        }
    }
}

/// From its first socket to the end of the process.
pub struct Pump {
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
pub enum Stop {
    /// Nobody writes to the process any more.
    InputEnded,
    /// Nobody reads what it says any more.
    Unheard,
    /// The runtime closed it, in good order.
    Closed(Cause),
    Broken(Cause),
}

impl Pump {
    pub fn start(target: Target, dialect: Dialect, log: Remarks, socket: Socket) -> Relay {
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
