//! Tracing to a file.
