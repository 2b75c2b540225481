//! Bulk data, shared by handle and read through windows: logs, results, history.

pub mod background;
pub mod document;
pub mod history;
mod journal;
mod json;
pub mod lines;
pub mod logs;
mod preview;
pub mod results;
mod ring;
mod search;
mod sgr;
mod shelf;
mod text;
