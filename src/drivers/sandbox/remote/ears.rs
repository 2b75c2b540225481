//! What a process says, from one socket of its relay.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::SplitStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use super::actions::Process;
use super::fence::{self, Fence};
use super::framing::{Framing, Piece};
use super::link::closed;
use super::pump::{Remarks, Stop};
use super::relay::Target;
use super::socket::{Socket, lost};
use crate::model::{Cause, Reach};

/// Nothing at all for so long, not even the answer to a ping, is worth a question.
const SILENCE: Duration = Duration::from_secs(50);
/// What is said of a message with broken characters: what they were is lost for good.
const SPOILED: &str = "the runtime's relay has broken characters of a message: it decodes each of its chunks by \
     itself, so that a character on the border of two becomes U+FFFD";

/// From the runtime to us.
pub struct Ears<'a> {
    pub target: &'a Target,
    pub framing: &'a mut Framing,
    pub heard: &'a mpsc::Sender<io::Result<Bytes>>,
    pub log: &'a Remarks,
    pub fence: Option<&'a Fence>,
    pub is_stuck: &'a AtomicBool,
}

impl Ears<'_> {
    pub async fn hear(&mut self, mut stream: SplitStream<Socket>) -> Stop {
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
