//! What separates the container from its host.

use super::{Flag, switch, text, wide};
use crate::config::docker::values::{names, security};
use crate::config::docker::wrong::{add, put};

pub const FLAGS: &[Flag] = &[
    wide("cap-add", |draft, text, _| {
        security::add_capability(draft, text)
    }),
    wide("cap-drop", |draft, text, _| {
        security::drop_capability(draft, text)
    }),
    wide("security-opt", security::option),
    switch("privileged", |draft, on| {
        draft.options.isolation.privileged = on;
    }),
    switch("init", |draft, on| draft.hardening.init = Some(on)),
    text("group-add", |o, text| {
        add(&mut o.isolation.groups, names::nonempty(text))
    }),
    text("ipc", |o, text| {
        put(&mut o.isolation.ipc, security::ipc(text))
    }),
    text("pid", |o, text| {
        put(&mut o.isolation.pid, security::pid(text))
    }),
    text("uts", |o, text| {
        put(&mut o.isolation.uts, security::host_only(text))
    }),
    text("userns", |o, text| {
        put(&mut o.isolation.userns, security::host_only(text))
    }),
    text("cgroupns", |o, text| {
        put(&mut o.isolation.cgroupns, security::cgroup(text))
    }),
];
