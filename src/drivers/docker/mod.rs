//! `local_docker`: containers of an engine; the only folder that names bollard.

pub mod address;
pub mod engine;
pub mod labels;
pub mod logs;
pub mod stats;
pub mod watch;
pub mod words;
