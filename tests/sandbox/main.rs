//! What `box` promises: paths and files without an engine, servers in sandboxes on a real one.
#![allow(clippy::unwrap_used)] // tests may

mod staging;
mod vectors;
