//! `local_docker`: containers on a Docker engine. The only folder that names bollard.

mod address;
pub mod create;
pub mod engine;
pub mod labels;
pub mod watch;
pub mod words;
