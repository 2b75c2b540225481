//! `box`: managed processes in sandboxes that many servers may share.

pub mod workspace;
