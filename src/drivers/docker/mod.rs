//! `local_docker`: containers of an engine; the only folder that names bollard.

pub mod address;
pub mod engine;
pub mod image;
mod joint;
pub mod labels;
pub mod words;
