//! Sandboxes of a Box runtime that somebody else runs, reached over web sockets.
//!
//! ```text
//! place ── who we are there, URLs, headers
//! socket ── one WebSocket: TLS, deadlines, why it could not be opened
//! connection ── keeps one for actions, in turn ── link (one socket: who waits for which reply?)
//! relay ── stdin and stdout of a process ── framing (lines), outgoing (messages), reattach (what became of it?), fence
//! actions ── what can be asked of a runtime, typed ── trouble (why it was not done)
//! ```
//!
//! Two dialects are spoken: that of 0.4, which knows no tenants and relays whole lines, and that of 0.5 and
//! later, which asks each connection who it is and relays chunks.

pub mod actions;
pub mod connection;
mod fence;
mod framing;
mod link;
mod outgoing;
mod place;
mod reattach;
pub mod relay;
mod socket;
mod trouble;

pub use self::connection::{Connection, Dialect};
pub use self::place::{Place, Tenant};
pub use self::trouble::Trouble;
