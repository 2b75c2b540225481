//! What arrives: replies to their callers, notifications to where they belong, the rest to the log.

use std::ops::AddAssign;
use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use tokio::io::AsyncRead;

use super::cut::{self, Cut};
use super::link::Link;
use super::stdio::{Line, Lines};
use super::wire::{self, Message, Reply};
use super::{ServerNews, questions};
use crate::drivers::Interruption;
use crate::model::{Cause, Progress};
use crate::stores::lines::MAX_LINE;
use crate::stores::logs::{Severity, Source};

/// A line over this many bytes is parsed on a thread that may block.
const LARGE: usize = 1 << 20;

/// News of one read, told at once: a flood of lines is not a flood of news.
#[derive(Clone, Copy, Default)]
struct Noted {
    noise: u64,
    tools_changed: bool,
}

impl Noted {
    const NOISE: Self = Self {
        noise: 1,
        tools_changed: false,
    };

    fn tell(self, news: &(dyn Fn(ServerNews) + Send + Sync)) {
        if self.noise > 0 {
            news(ServerNews::StdoutNoise(self.noise));
        }
        if self.tools_changed {
            news(ServerNews::ToolsChanged);
        }
    }
}

impl AddAssign for Noted {
    fn add_assign(&mut self, other: Self) {
        self.noise += other.noise;
        self.tools_changed |= other.tools_changed;
    }
}

/// Closes the link however reading ends, even by a panic: nobody is left waiting.
struct CloseAtEnd(Arc<Link>);

impl Drop for CloseAtEnd {
    fn drop(&mut self) {
        self.0.close(Cause::Closed);
    }
}

/// Reads until the server's output ends.
pub(super) async fn read_messages<R: AsyncRead + Unpin>(link: Arc<Link>, mut lines: Lines<R>) {
    let end = CloseAtEnd(link);
    let link = &end.0;
    loop {
        match lines.fill().await {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) => {
                if let Some(torn) = Interruption::of(&error) {
                    link.fail_sent(torn.sent, &torn.cause);
                    continue;
                }
                let context = "reading the server's output".to_owned();
                link.close(Cause::Source {
                    context,
                    source: Arc::new(error),
                });
                break;
            }
        }
        let mut noted = Noted::default();
        while let Some(line) = lines.take() {
            noted += hear(link, line).await;
        }
        noted.tell(&*link.news);
    }
    if let Some(line) = lines.rest() {
        hear(link, line).await.tell(&*link.news);
    }
}

async fn hear(link: &Arc<Link>, heard: Line) -> Noted {
    match heard {
        Line::Whole(bytes) => {
            let link = link.clone();
            let noted = elsewhere_if_large(bytes, move |line| link.hear_line(line)).await;
            noted.unwrap_or_default()
        }
        Line::TooLong { size, head, tail } => link.hear_cut(size, &head, &tail),
        // The last message may come without its line break.
        Line::Half(bytes) => link
            .hear_messages(&trimmed(&bytes), None)
            .unwrap_or_else(|| {
                link.remark("the output ended in the middle of this message:");
                link.noise(&bytes)
            }),
    }
}

/// Hears what came in one piece; `of` is the request that it came as an answer to. Says what is wrong with it
/// if it is no JSON-RPC.
pub(super) async fn hear_body(
    link: &Arc<Link>,
    body: Bytes,
    of: Option<u64>,
) -> Result<(), String> {
    let hearer = link.clone();
    let heard = elsewhere_if_large(body, move |body| {
        let body = trimmed(body);
        let heard = hearer.hear_messages(&body, of);
        heard
            .or_else(|| hearer.hear_repaired(&body, of))
            .ok_or_else(|| {
                let reason = serde_json::from_slice::<IgnoredAny>(&body).err();
                reason.map_or_else(
                    || "it is not JSON-RPC".to_owned(),
                    |error| error.to_string(),
                )
            })
    });
    heard
        .await
        .unwrap_or_else(|| Ok(Noted::default()))?
        .tell(&*link.news);
    Ok(())
}

/// Does it on a thread that may block if it will take long; `None` if the runtime is going down.
pub(super) async fn elsewhere_if_large<T: Send + 'static>(
    bytes: Bytes,
    work: impl FnOnce(&Bytes) -> T + Send + 'static,
) -> Option<T> {
    if bytes.len() <= LARGE {
        return Some(work(&bytes));
    }
    let done = tokio::task::spawn_blocking(move || work(&bytes)).await;
    match done.map_err(tokio::task::JoinError::try_into_panic) {
        Ok(result) => Some(result),
        // A panic ends this task as it would have here.
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        Err(Err(_)) => None,
    }
}

/// Characters kept of a progress message: it is on screen for as long as the call runs.
const MAX_MESSAGE: usize = 1_000;

impl Link {
    fn hear_line(&self, line: &Bytes) -> Noted {
        let line = trimmed(line);
        if line.is_empty() {
            return Noted::default();
        }
        if let Some(noted) = self.hear_messages(&line, None) {
            return noted;
        }
        if let Some(noted) = self.hear_repaired(&line, None) {
            return noted;
        }
        self.fail_unreadable(&line);
        self.noise(&line)
    }

    /// Hears what is JSON-RPC but for a few bytes that are not UTF-8.
    fn hear_repaired(&self, line: &Bytes, of: Option<u64>) -> Option<Noted> {
        let at = std::str::from_utf8(line).err()?.valid_up_to();
        let repaired = Bytes::from(String::from_utf8_lossy(line).into_owned());
        let noted = self.hear_messages(&repaired, of)?;
        self.remark(&format!(
            "a message was not UTF-8 at byte {at}; replaced by �"
        ));
        Some(noted)
    }

    /// An answer that is not JSON is no answer, but its caller need not wait for the deadline.
    fn fail_unreadable(&self, line: &[u8]) {
        let Some(id) = cut::broken_reply(line) else {
            return;
        };
        let reason = serde_json::from_slice::<IgnoredAny>(line).err();
        let reason = reason.map_or_else(|| "not JSON-RPC".to_owned(), |error| error.to_string());
        // If nobody waits for it, the log has it.
        let _ = self.resolve(
            id,
            Err(Cause::Other(format!("unreadable answer: {reason}"))),
        );
    }

    /// `None` if the line is not JSON-RPC. `of` is the request whose answer it must be if it does not say so.
    fn hear_messages(&self, line: &Bytes, of: Option<u64>) -> Option<Noted> {
        let mut noted = Noted::default();
        for message in wire::messages(line)? {
            match message {
                Message::Reply { id, reply } => self.hear_reply(id.or(of), reply),
                Message::Request { id, method, params } => {
                    let answer = questions::answer(&method, params, &self.log);
                    self.answer(wire::response(id, answer), &method);
                }
                Message::Notification { method, params } => {
                    noted.tools_changed |= method == "notifications/tools/list_changed";
                    self.hear_notification(&method, params);
                }
            }
        }
        Some(noted)
    }

    fn hear_reply(&self, id: Option<u64>, reply: Reply) {
        // A server that could not read a request answers with `id: null`.
        let Some(id) = id.or_else(|| self.only_waiting()) else {
            return self.remark("dropped an answer that does not say to which request");
        };
        if let Err(unwanted) = self.resolve(id, reply) {
            let size = unwanted.map_or(0, |payload| payload.raw.len());
            self.remark(&format!(
                "dropped an answer ({size} bytes) that came too late"
            ));
        }
    }

    fn hear_notification(&self, method: &str, params: Option<&RawValue>) {
        match (method, params) {
            ("notifications/progress", Some(params)) => self.hear_progress(params),
            ("notifications/message", Some(params)) => self.hear_log(params),
            _ => {}
        }
    }

    fn hear_progress(&self, params: &RawValue) {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Params<'a> {
            #[serde(borrow)]
            progress_token: &'a RawValue,
            progress: f64,
            total: Option<f64>,
            #[serde(borrow)]
            message: Option<wire::Text<'a>>,
        }
        let Ok(params) = serde_json::from_str::<Params<'_>>(params.get()) else {
            return;
        };
        let Some(id) = wire::our_id(params.progress_token) else {
            return;
        };
        let message = params
            .message
            .map(|text| wire::excerpt(&text.0, MAX_MESSAGE));
        self.progressed(
            id,
            Progress {
                done: params.progress,
                total: params.total,
                message,
            },
        );
    }

    fn hear_log(&self, params: &RawValue) {
        #[derive(Deserialize)]
        struct Params<'a> {
            #[serde(borrow)]
            level: Option<wire::Text<'a>>,
            #[serde(borrow)]
            logger: Option<wire::Text<'a>>,
            #[serde(borrow)]
            data: Option<&'a RawValue>,
        }
        let Ok(params) = serde_json::from_str::<Params<'_>>(params.get()) else {
            return;
        };
        let level = params
            .level
            .and_then(|level| level.0.parse().ok())
            .unwrap_or(Severity::Info);
        let data = params.data.map(wire::text_or_json).unwrap_or_default();
        match params.logger {
            Some(logger) => self
                .log
                .line(Source::Server(level), &format!("{}: {data}", logger.0)),
            None => self.log.line(Source::Server(level), &data),
        }
    }

    fn hear_cut(&self, size: u64, head: &[u8], tail: &[u8]) -> Noted {
        let limit = self.limit as u64;
        let id = match cut::cut_message(head, tail) {
            Cut::NotJson => return self.noise(head),
            Cut::Reply(id) => id.or_else(|| self.only_waiting()),
            Cut::Other => None,
        };
        let told = id.is_some_and(|id| {
            self.resolve(id, Err(Cause::TooLarge { size, limit }))
                .is_ok()
        });
        if !told {
            self.remark(&format!(
                "dropped a message of {size} bytes: the limit is {limit}"
            ));
        }
        Noted::default()
    }

    /// Stdout of a stdio server belongs to the protocol; what else is there is shown.
    fn noise(&self, line: &[u8]) -> Noted {
        // The store cuts lines at its own limit; the slack lets it see that it has to.
        let line = &line[..line.len().min(2 * MAX_LINE)];
        self.log
            .line(Source::Stdout, &String::from_utf8_lossy(line));
        Noted::NOISE
    }

    fn remark(&self, text: &str) {
        self.log.line(Source::Envdeck, text);
    }
}

/// Without white space around it, nor the byte order mark some runtimes write first.
fn trimmed(line: &Bytes) -> Bytes {
    let text = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line);
    line.slice_ref(text.trim_ascii())
}
