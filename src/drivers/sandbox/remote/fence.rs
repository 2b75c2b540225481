//! A question of ours to a server whose answer tells that all before it has gone by.
//!
//! A runtime of 0.4 ends the relay at a line of over 64 KiB, drops what it has read of it, and ends the next relay,
//! too, if the rest is still as long. Whatever is sent on these relays may be lost; so nothing is sent but a `ping`,
//! until one is answered.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::relay::End;
use super::trouble::Trouble;

/// A server that does one thing after another may be busy; then a loss is as likely as it is harmless.
const PATIENCE: Duration = Duration::from_secs(10);
/// To a ping.
const LONGEST_ANSWER: usize = 4_096;
/// Each costs 64 KiB of the line at least.
const MOST: u32 = 400;

/// Never a number, as are the ids of clients.
const PREFIX: &str = "envdeck-fence-";

#[derive(Deserialize)]
struct Answer<'a> {
    id: &'a str,
}

pub struct Fence {
    id: String,
    /// Relays that one line has cost.
    relays: u32,
    is_passed: AtomicBool,
    passed: Notify,
}

impl Fence {
    /// What to ask on the next relay, if anything; the last one ended with or without the answer.
    pub fn after(last: Option<Self>, is_needed: bool) -> Result<Option<Self>, End> {
        if !is_needed {
            return Ok(None);
        }
        let same_line = last.filter(|last| !last.is_passed.load(Ordering::Relaxed));
        let relays = same_line.map_or(0, |last| last.relays) + 1;
        if relays > MOST {
            let text =
                "the process writes a line without an end, which a Box runtime of 0.4 cannot relay";
            return Err(End::Lost(Trouble::Protocol(text.to_owned())));
        }
        Ok(Some(Self {
            id: format!("{PREFIX}{:016x}", rand::random::<u64>()),
            relays,
            is_passed: AtomicBool::new(false),
            passed: Notify::new(),
        }))
    }

    /// The next question is answered: all before it has gone by.
    fn pass(&self) {
        self.is_passed.store(true, Ordering::Relaxed);
        self.passed.notify_one();
    }

    pub fn is_first(&self) -> bool {
        self.relays == 1
    }

    pub fn question(&self) -> String {
        format!(r#"{{"jsonrpc":"2.0","id":"{}","method":"ping"}}"#, self.id)
    }

    /// Waits for the answer, but not for ever.
    pub async fn passed(&self) {
        let _ = timeout(PATIENCE, self.passed.notified()).await;
    }
}

/// Whether a message is the answer to a fence, this one or one of before: it is for nobody else. Any answer will do,
/// also that there is no such method.
pub fn passes(message: &str, fence: Option<&Fence>) -> bool {
    if message.len() > LONGEST_ANSWER || !message.contains(PREFIX) {
        return false;
    }
    let Ok(answer) = serde_json::from_str::<Answer<'_>>(message) else {
        return false;
    };
    if let Some(fence) = fence.filter(|fence| fence.id == answer.id) {
        fence.pass();
    }
    answer.id.starts_with(PREFIX)
}
