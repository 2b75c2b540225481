//! `local_process`: a child in its own process group.
