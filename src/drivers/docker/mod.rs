//! `local_docker`: containers of an engine; the only folder that names bollard.

pub mod address;
pub mod engine;
pub mod labels;
pub mod watch;
pub mod words;
