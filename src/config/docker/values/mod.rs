//! Single values of `docker run`, read from text.

pub mod devices;
pub mod fields;
pub mod files;
pub mod limits;
pub mod mount;
pub mod mounts;
pub mod names;
pub mod networks;
pub mod numbers;
pub mod ports;
pub mod security;
