//! What a server tells by itself, gathered without ever making it wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::mcp::ServerNews;

/// A chatty server is reported no more often than this.
const PACE: Duration = Duration::from_millis(100);

#[derive(Default)]
struct Board {
    noise: AtomicU64,
    tools_changed: AtomicBool,
    posted: Notify,
}

/// All news since the last look.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Digest {
    /// Lines on stdout that are not JSON-RPC.
    pub noise: u64,
    pub tools_changed: bool,
}

pub(super) struct News {
    board: Arc<Board>,
    not_before: Instant,
}

impl News {
    pub fn new() -> Self {
        Self {
            board: Arc::default(),
            not_before: Instant::now(),
        }
    }

    /// For the connection: takes news and returns at once.
    pub fn listener(&self) -> impl Fn(ServerNews) + Clone + Send + Sync + 'static {
        let board = self.board.clone();
        move |news| {
            match news {
                ServerNews::StdoutNoise(lines) => {
                    board.noise.fetch_add(lines, Ordering::Relaxed);
                }
                ServerNews::ToolsChanged => board.tools_changed.store(true, Ordering::Relaxed),
            }
            board.posted.notify_one();
        }
    }

    /// The next news, gathered. Cancel-safe.
    pub async fn next(&mut self) -> Digest {
        loop {
            if self.is_posted() {
                sleep_until(self.not_before).await;
                self.not_before = Instant::now() + PACE;
                return self.take();
            }
            self.board.posted.notified().await;
        }
    }

    /// What there is now.
    pub fn take(&self) -> Digest {
        Digest {
            noise: self.board.noise.swap(0, Ordering::Relaxed),
            tools_changed: self.board.tools_changed.swap(false, Ordering::Relaxed),
        }
    }

    fn is_posted(&self) -> bool {
        self.board.noise.load(Ordering::Relaxed) > 0
            || self.board.tools_changed.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_news_is_gathered_and_none_is_lost() {
        let mut news = News::new();
        let listener = news.listener();
        listener(ServerNews::StdoutNoise(2));
        assert_eq!(
            news.next().await,
            Digest {
                noise: 2,
                tools_changed: false
            }
        );
        let before = Instant::now();
        for _ in 0..1_000 {
            listener(ServerNews::StdoutNoise(1));
        }
        listener(ServerNews::ToolsChanged);
        assert_eq!(
            news.next().await,
            Digest {
                noise: 1_000,
                tools_changed: true
            }
        );
        assert_eq!(before.elapsed(), PACE);
    }
}
