//! Bulk data, shared by handle and read through windows: logs, results, history.

pub mod document;
pub mod history;
pub mod lines;
pub mod logs;
pub mod results;
mod ring;
mod sgr;
