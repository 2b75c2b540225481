//! The gateway over real sockets: the contract, both eras of the protocol, hostile HTTP, many clients at once.
#![allow(clippy::unwrap_used)] // tests may

#[path = "gateway/agent.rs"]
mod agent;
#[path = "gateway/http.rs"]
mod http;
#[path = "gateway/rig.rs"]
mod rig;

#[path = "gateway/calls.rs"]
mod calls;
#[path = "gateway/contract.rs"]
mod contract;
#[path = "gateway/crowd.rs"]
mod crowd;
#[path = "gateway/ends.rs"]
mod ends;
#[path = "gateway/eras.rs"]
mod eras;
#[path = "gateway/hostile.rs"]
mod hostile;
#[path = "gateway/limits.rs"]
mod limits;
