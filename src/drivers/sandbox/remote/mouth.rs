//! What a process is told, through one socket of its relay.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::SinkExt;
use futures::stream::SplitSink;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use tokio_tungstenite::tungstenite::{Bytes as Payload, Message};

use super::fence::Fence;
use super::outgoing::{Messages, Outgoing};
use super::pump::{Remarks, Stop};
use super::relay::Target;
use super::socket::{Socket, lost};

/// Between two pings; runtimes of 0.4 send none.
const PING: Duration = Duration::from_secs(20);

/// From us to the runtime.
pub struct Mouth<'a> {
    pub target: &'a Target,
    pub messages: &'a mut Messages<DuplexStream>,
    pub heard: &'a mpsc::Sender<io::Result<Bytes>>,
    pub log: &'a Remarks,
    pub sent: &'a mut u64,
    pub fence: Option<&'a Fence>,
    pub is_stuck: &'a AtomicBool,
    pub limit: usize,
}

impl Mouth<'_> {
    pub async fn speak(&mut self, sink: &mut SplitSink<Socket, Message>) -> Stop {
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
