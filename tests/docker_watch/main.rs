//! What is seen of containers on a real engine: their ends, health, resource use and logs, also through outages.
#![allow(clippy::unwrap_used)] // tests may
#![allow(clippy::print_stdout)] // measurements, seen with `--nocapture`

mod daemon;
mod ends;
mod lab;
mod logs;
mod outages;
mod usage;
