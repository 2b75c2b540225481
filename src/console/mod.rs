//! The console: fleet and keys in, cells and effects out.
