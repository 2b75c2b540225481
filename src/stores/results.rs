//! Results of tool calls: small ones in memory, large ones in files of the run directory.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use super::document::Document;
use crate::model::ResultId;

/// What lists show of a result.
#[derive(Clone, Debug, PartialEq)]
pub struct ResultMeta {
    pub id: ResultId,
    /// Bytes of the JSON as it came over the wire.
    pub size: u64,
    pub is_error: bool,
    /// The first characters of its first text, on one clean line.
    pub preview: Arc<str>,
}

/// A look at a result's content.
#[derive(Clone, Debug)]
pub enum Opened {
    Ready(Arc<Document>),
    /// Being read from its file; `changed()` resolves when it is there.
    Loading,
    /// No longer kept, or unreadable: why.
    Gone(Arc<str>),
}

/// All results of this run. Cheap to clone.
#[derive(Clone)]
pub struct ResultStore {}

impl ResultStore {
    /// A store that spills into `directory`, made on first need and removed with the last clone.
    pub fn new(directory: PathBuf) -> Self {
        let _ = directory;
        unimplemented!()
    }

    /// Keeps the JSON text of a `CallToolResult`. Never blocks for long: writing a large one to its
    /// file happens in the background.
    pub fn insert(&self, raw: Bytes) -> ResultMeta {
        let _ = raw;
        unimplemented!()
    }

    pub fn meta(&self, id: ResultId) -> Option<ResultMeta> {
        let _ = id;
        unimplemented!()
    }

    /// The content, if it is in memory; else starts loading it. Never blocks.
    pub fn open(&self, id: ResultId) -> Opened {
        let _ = id;
        unimplemented!()
    }

    /// The content as bytes, waiting for it.
    pub async fn read(&self, id: ResultId) -> Option<Bytes> {
        let _ = id;
        unimplemented!()
    }

    /// Resolves when something that was loading or being indexed is ready. Cancel-safe.
    pub async fn changed(&self) {
        std::future::pending().await
    }
}
