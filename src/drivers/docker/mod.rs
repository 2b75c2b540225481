//! `local_docker`: containers of an engine; the only folder that names bollard.

pub mod command_line;
pub mod create;
