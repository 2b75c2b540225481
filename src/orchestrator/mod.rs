//! The core: commands in, events and snapshots out. Knows nothing of any screen.

mod handle;

pub use handle::{Busy, Handle, Reply};
