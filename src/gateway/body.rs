//! What is sent back: one message, or a stream of events (server-sent events, WHATWG HTML 9.2) that ends with it.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::pieces::Pieces;

/// Silence on a stream after which a comment tells that both ends are still there; well below the time after
/// which proxies and clients give up.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// What makes the last message of a stream, if there is to be one. Dropping it takes back what is under way.
pub(super) type Work = Pin<Box<dyn Future<Output = Option<Pieces>> + Send>>;

/// The body of a response.
pub(super) enum Answer {
    Message {
        pieces: Pieces,
        /// Held until all of it is sent.
        busy: Option<TaskTrackerToken>,
    },
    Events(Box<Events>),
}

impl Answer {
    pub fn empty() -> Self {
        Self::message(Pieces::default(), None)
    }

    pub fn text(text: impl Into<Bytes>) -> Self {
        let mut pieces = Pieces::default();
        pieces.push(text);
        Self::message(pieces, None)
    }

    pub fn message(pieces: Pieces, busy: Option<TaskTrackerToken>) -> Self {
        Self::Message { pieces, busy }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = match self.get_mut() {
            Answer::Message { pieces, busy } => {
                let next = pieces.next();
                if pieces.len() == 0 {
                    busy.take();
                }
                next
            }
            Answer::Events(events) => ready!(events.poll_next(cx)),
        };
        Poll::Ready(next.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Answer::Message { pieces, .. } => pieces.len() == 0,
            Answer::Events(events) => events.has_ended(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Answer::Message { pieces, .. } => SizeHint::with_exact(pieces.len()),
            Answer::Events(_) => SizeHint::default(),
        }
    }
}

/// Notifications as they come, then the message that `work` makes.
pub(super) struct Events {
    news: mpsc::Receiver<Bytes>,
    work: Option<Work>,
    /// The event being sent.
    sending: Pieces,
    /// The last one, while news go first.
    last: Option<Pieces>,
    keep_alive: Interval,
    busy: Option<TaskTrackerToken>,
}

impl Events {
    pub fn new(news: mpsc::Receiver<Bytes>, work: Work, busy: Option<TaskTrackerToken>) -> Self {
        let mut keep_alive = interval(KEEP_ALIVE);
        keep_alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
        keep_alive.reset();
        Self {
            news,
            work: Some(work),
            sending: Pieces::default(),
            last: None,
            keep_alive,
            busy,
        }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            if let Some(bytes) = self.sending.next() {
                self.keep_alive.reset();
                return Poll::Ready(Some(bytes));
            }
            if let Poll::Ready(Some(news)) = self.news.poll_recv(cx) {
                let mut message = Pieces::default();
                message.push(news);
                self.sending = event(message);
                continue;
            }
            if let Some(last) = self.last.take() {
                self.sending = event(last);
                continue;
            }
            let Some(work) = &mut self.work else {
                self.busy.take();
                return Poll::Ready(None);
            };
            if let Poll::Ready(last) = work.as_mut().poll(cx) {
                // What was told before it ended may have come while it was asked.
                self.work = None;
                self.last = last;
                continue;
            }
            ready!(self.keep_alive.poll_tick(cx));
            return Poll::Ready(Some(Bytes::from_static(b": keep-alive\n\n")));
        }
    }

    fn has_ended(&self) -> bool {
        self.work.is_none() && self.last.is_none() && self.sending.len() == 0
    }
}

/// A message as an event; it has no line breaks, so it is one line of data.
fn event(message: Pieces) -> Pieces {
    let mut event = Pieces::default();
    event.push("event: message\ndata: ");
    event.append(message);
    event.push("\n\n");
    event
}

#[cfg(test)]
mod tests {
    use std::future::{pending, poll_fn, ready};

    use super::*;

    fn pieces(text: &'static str) -> Pieces {
        let mut pieces = Pieces::default();
        pieces.push(text);
        pieces
    }

    async fn next(events: &mut Events) -> Option<String> {
        let bytes = poll_fn(|cx| events.poll_next(cx)).await?;
        Some(String::from_utf8(bytes.into()).expect("text"))
    }

    #[tokio::test]
    async fn news_come_before_the_answer_and_the_answer_ends_the_stream() {
        let (sender, news) = mpsc::channel(4);
        sender.try_send(Bytes::from_static(b"1")).expect("room");
        let late = sender.clone();
        let work = Box::pin(async move {
            late.try_send(Bytes::from_static(b"2")).expect("room");
            Some(pieces("3"))
        });
        let mut events = Events::new(news, work, None);
        for data in ["1", "2", "3"] {
            let event = format!("event: message\ndata: {data}\n\n");
            assert_eq!(next(&mut events).await, Some(event));
        }
        assert_eq!(next(&mut events).await, None);
        assert!(events.has_ended());
    }

    #[tokio::test]
    async fn work_without_an_answer_ends_the_stream() {
        let (_sender, news) = mpsc::channel(1);
        let mut events = Events::new(news, Box::pin(ready(None)), None);
        assert_eq!(next(&mut events).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_stream_says_that_it_is_alive() {
        let (_sender, news) = mpsc::channel(1);
        let mut events = Events::new(news, Box::pin(pending()), None);
        let began = tokio::time::Instant::now();
        for round in 1..4 {
            assert_eq!(next(&mut events).await.as_deref(), Some(": keep-alive\n\n"));
            assert_eq!(began.elapsed(), KEEP_ALIVE * round);
        }
    }
}
