//! Stopping all processes of a family for a while, and letting them go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::Signal;
use tokio::sync::watch;

use super::family::Family;
use crate::drivers::Task;

/// Whether a family is stopped now.
#[derive(Default)]
pub struct Pause {
    on: AtomicBool,
    changed: watch::Sender<()>,
}

impl Pause {
    pub fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    /// Marked as changed whenever it is.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    pub fn set(self: &Arc<Self>, family: &Family, on: bool) -> Task<'static, ()> {
        let (this, family) = (self.clone(), family.clone());
        Box::pin(async move {
            let signal = if on { Signal::SIGSTOP } else { Signal::SIGCONT };
            family.signal_soon(signal).await;
            this.on.store(on, Ordering::Relaxed);
            this.changed.send_replace(());
            Ok(())
        })
    }
}
