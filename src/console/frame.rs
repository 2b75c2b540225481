//! When to draw: only when something changed, at most 60 times a second.

use std::time::Duration;

use tokio::time::Instant;

/// 60 frames a second.
const INTERVAL: Duration = Duration::from_micros(16_667);

/// A flag and the time of the last frame.
#[derive(Debug, Default)]
pub struct FrameClock {
    wanted: bool,
    last: Option<Instant>,
}

impl FrameClock {
    /// Asks for a frame.
    pub fn request(&mut self) {
        self.wanted = true;
    }

    /// Resolves when a frame was asked for and the last one is an interval ago: at once after a pause.
    /// Cancel-safe.
    pub async fn ready(&self) {
        if !self.wanted {
            std::future::pending::<()>().await;
        }
        if let Some(last) = self.last {
            tokio::time::sleep_until(last + INTERVAL).await;
        }
    }

    /// A frame was drawn.
    pub fn drawn(&mut self) {
        self.wanted = false;
        self.last = Some(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_frame_comes_at_once_and_the_next_an_interval_later() {
        let mut clock = FrameClock::default();
        let start = Instant::now();
        clock.request();
        clock.ready().await;
        clock.drawn();
        assert_eq!(start.elapsed(), Duration::ZERO);
        clock.request();
        clock.request();
        clock.ready().await;
        clock.drawn();
        assert!(
            start.elapsed() >= INTERVAL && start.elapsed() < INTERVAL * 2,
            "{:?}",
            start.elapsed()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_changed_means_no_frame() {
        let mut clock = FrameClock::default();
        clock.request();
        clock.ready().await;
        clock.drawn();
        assert!(
            tokio::time::timeout(Duration::from_secs(60), clock.ready())
                .await
                .is_err()
        );
    }
}
