//! Finished calls, kept on disk across runs: one JSON object a line.
