//! MCP over HTTP: each message a POST of its own, answers as JSON or as a stream of events.
//!
//! The specification's pages "Transports" of 2025-11-25 (sessions) and "Streamable HTTP" of 2026-07-28
//! (stateless) are what this follows; where they differ, the revision that was agreed on decides.
//!
//! ```text
//! link ── frames ──▶ transport ──┬─ post (one message, its answer) ── client (redirects, TLS, words)
//!                                ├─ answer (JSON or events; streams that break)
//!                                ├─ listen (what the server says by itself)
//!                                ├─ legacy (the transport before this one)
//!                                ├─ session (its id; beginning again when the server forgot it)
//!                                └─ login (where the server wants one: the browser, the keys)
//! ```

mod answer;
mod body;
mod client;
mod events;
mod legacy;
mod listen;
mod login;
pub(super) mod mirror;
mod post;
mod ready;
mod session;
pub(crate) mod tls;
mod transport;
pub(crate) mod words;

pub use login::{Browser, Login, Logins};
pub use ready::ready;

/// For what is no MCP, but has the same to heed: redirects, TLS, limits, words.
pub(crate) use body::{refusal, whole};
pub(crate) use client::{Ask, Client};

pub(super) use transport::Transport;
