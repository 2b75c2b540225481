//! Images and templates on a real engine: found, pulled, copied, committed, and nothing left of any of it.
#![allow(clippy::unwrap_used)] // tests may

mod commits;
mod copies;
mod drops;
mod lab;
mod logins;
mod pulls;
mod registry;
mod relay;
mod servers;
mod users;
