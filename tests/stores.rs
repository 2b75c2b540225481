//! What must hold of the stores for any input.
#![allow(clippy::unwrap_used)] // Tests may.

mod stores {
    mod document;
    mod lines;
    mod logs;
}
