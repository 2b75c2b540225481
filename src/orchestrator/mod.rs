//! The core: commands in, events and snapshots out. Knows nothing of any screen.

mod backoff;
mod handle;
mod lifecycle;

pub use handle::{Busy, Handle, Reply};
