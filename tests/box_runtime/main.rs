//! Box runtimes that somebody else runs: the real ones of the package index, and a peer that says what they were recorded to say.
#![allow(clippy::unwrap_used)] // tests may

mod actions;
mod connection;
mod peer;
mod proxy;
mod relay;
mod runtime;
