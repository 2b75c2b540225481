//! What must hold of the stores for any input.
#![allow(clippy::unwrap_used)] // Tests may.

mod stores {
    mod lines;
    mod logs;
}
