//! The stream of what a server says by itself. Servers need not have one.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::events::Cursor;
use super::post;
use super::transport::Http;
use crate::model::Cause;

/// Between two attempts to listen, doubled after each that brought nothing.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Listens in every session, for as long as the server has something like it.
pub(super) async fn listen(http: Arc<Http>) {
    let mut sessions = http.sessions.changes();
    loop {
        sessions.mark_unchanged();
        tokio::select! {
            () = listen_in_session(&http) => if sessions.changed().await.is_err() {
                return;
            },
            Ok(()) = sessions.changed() => {}
        }
    }
}

/// Returns when the server refuses.
async fn listen_in_session(http: &Http) {
    let mut cursor = Cursor::default();
    let mut pause = FIRST_PAUSE;
    loop {
        match post::open(http, &cursor).await {
            Ok(answer) => {
                let mut events = post::events(http, answer, cursor);
                while let Ok(Some(event)) = events.next().await {
                    pause = FIRST_PAUSE;
                    post::hear(http, event.data, None).await;
                }
                cursor = events.cursor;
            }
            // "The server MUST either return `text/event-stream` or else HTTP 405", and many say 404 or 400.
            Err(Cause::Http { status, .. }) if (400..500).contains(&status) && status != 429 => {
                return;
            }
            Err(Cause::Protocol(_)) => return,
            Err(_) => {}
        }
        sleep(cursor.retry.unwrap_or(pause).max(FIRST_PAUSE)).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
