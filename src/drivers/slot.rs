//! Slots for starts: how many instances may be brought up at the same time.

use std::future::Future;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Order;

/// A slot that a start has; dropping it lets the next one start.
#[derive(Debug)]
pub struct HeldSlot(Arc<Held>);

#[derive(Debug)]
struct Held {
    /// Of all starts.
    all: Arc<Semaphore>,
    /// `None` while the start has stepped aside.
    permit: Mutex<Option<OwnedSemaphorePermit>>,
}

impl HeldSlot {
    /// One that is free now.
    pub fn free(all: &Arc<Semaphore>) -> Option<Self> {
        let permit = all.clone().try_acquire_owned().ok()?;
        Some(Self::of(all, permit))
    }

    /// Waits for one, the first come first; `None` if there will be none. Cancel-safe.
    pub async fn wait(all: &Arc<Semaphore>) -> Option<Self> {
        let permit = all.clone().acquire_owned().await.ok()?;
        Some(Self::of(all, permit))
    }

    fn of(all: &Arc<Semaphore>, permit: OwnedSemaphorePermit) -> Self {
        Self(Arc::new(Held {
            all: all.clone(),
            permit: Mutex::new(Some(permit)),
        }))
    }

    /// For the driver. Keeping it keeps nobody waiting.
    pub fn slot(&self) -> Slot {
        Slot(Arc::downgrade(&self.0))
    }
}

/// The slot of a start, as its driver sees it; the default is that of a start beside which there are no others.
#[derive(Clone, Debug, Default)]
pub struct Slot(Weak<Held>);

impl Slot {
    fn give_up(&self) {
        if let Some(held) = self.0.upgrade() {
            held.permit.lock().take();
        }
    }

    /// `queued` is told if there is none now.
    async fn take_again(&self, queued: impl FnOnce()) {
        let Some(all) = self.0.upgrade().map(|held| held.all.clone()) else {
            return;
        };
        let permit = if let Ok(permit) = all.clone().try_acquire_owned() {
            Some(permit)
        } else {
            queued();
            all.acquire_owned().await.ok()
        };
        // The start may be over.
        if let Some(held) = self.0.upgrade() {
            *held.permit.lock() = permit;
        }
    }
}

impl Order {
    /// Does work that may take minutes and hardly needs this machine, such as waiting for a person: others start
    /// meanwhile, and the start goes on once there is a slot again. For [`super::Driver::prepare`], where the
    /// start's own clock does not run yet.
    pub async fn step_aside<T>(&self, work: impl Future<Output = T>) -> T {
        self.slot.give_up();
        let done = work.await;
        self.slot.take_again(|| self.steps.tell("queued")).await;
        done
    }
}
