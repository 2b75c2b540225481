//! `box`: managed processes in sandboxes that many servers may share.

pub mod remote;
pub mod workspace;
