//! What the container may use.

use super::{Flag, switch, text};
use crate::config::docker::values::{devices, limits, names, numbers};
use crate::config::docker::wrong::{Read, add, put, replace};
use crate::model::DeviceRate;

/// Microseconds that the kernel's scheduler takes for a period: 1 ms to 1 s.
const PERIOD: std::ops::RangeInclusive<i64> = 1_000..=1_000_000;
const UNLIMITED: i64 = -1;

pub const FLAGS: &[Flag] = &[
    text("memory", |o, text| {
        put(&mut o.resources.memory, numbers::memory(text))
    })
    .short('m'),
    text("memory-swap", |o, text| {
        put(&mut o.resources.memory_swap, numbers::swap(text))
    }),
    text("memory-reservation", |o, text| {
        put(&mut o.resources.memory_reservation, numbers::memory(text))
    }),
    text("memory-swappiness", |o, text| {
        let percent = numbers::whole(text, 0..=100).map(i64::unsigned_abs);
        put(&mut o.resources.memory_swappiness, percent)
    }),
    switch("oom-kill-disable", |draft, on| {
        draft.options.resources.oom_kill_disable = on;
    }),
    text("oom-score-adj", |o, text| {
        put(
            &mut o.resources.oom_score_adj,
            numbers::whole(text, -1_000..=1_000),
        )
    }),
    text("cpus", |o, text| {
        put(&mut o.resources.nano_cpus, numbers::cpus(text))
    }),
    text("cpu-shares", |o, text| {
        put(&mut o.resources.cpu_shares, numbers::natural(text))
    })
    .short('c'),
    text("cpu-period", |o, text| {
        let period = numbers::whole(text, PERIOD).map(i64::unsigned_abs);
        put(&mut o.resources.cpu_period, period)
    }),
    text("cpu-quota", |o, text| {
        let quota = numbers::whole(text, UNLIMITED..=i64::MAX);
        put(&mut o.resources.cpu_quota, quota)
    }),
    text("cpu-rt-period", |o, text| {
        put(&mut o.resources.cpu_realtime_period, numbers::natural(text))
    }),
    text("cpu-rt-runtime", |o, text| {
        put(
            &mut o.resources.cpu_realtime_runtime,
            numbers::natural(text),
        )
    }),
    text("cpuset-cpus", |o, text| {
        put(&mut o.resources.cpuset_cpus, limits::set(text))
    }),
    text("cpuset-mems", |o, text| {
        put(&mut o.resources.cpuset_mems, limits::set(text))
    }),
    text("pids-limit", |o, text| {
        put(
            &mut o.resources.pids,
            numbers::whole(text, UNLIMITED..=i64::MAX),
        )
    }),
    text("ulimit", |o, text| {
        o.resources.ulimits.extend([limits::ulimit(text)?]);
        Ok(())
    }),
    text("sysctl", |o, text| {
        o.resources.sysctls.extend([limits::sysctl(text)?]);
        Ok(())
    }),
    text("blkio-weight", |o, text| {
        put(&mut o.resources.blkio_weight, limits::weight(text))
    }),
    text("blkio-weight-device", |o, text| {
        let weight = limits::device_weight(text);
        replace(
            &mut o.resources.blkio_weight_device,
            weight,
            |one, other| one.path == other.path,
        )
    }),
    text("device-read-bps", |o, text| {
        rate(&mut o.resources.read_bps, limits::rate_of_bytes(text))
    }),
    text("device-write-bps", |o, text| {
        rate(&mut o.resources.write_bps, limits::rate_of_bytes(text))
    }),
    text("device-read-iops", |o, text| {
        rate(&mut o.resources.read_iops, limits::rate_of_operations(text))
    }),
    text("device-write-iops", |o, text| {
        rate(
            &mut o.resources.write_iops,
            limits::rate_of_operations(text),
        )
    }),
    text("cgroup-parent", |o, text| {
        put(&mut o.resources.cgroup_parent, names::nonempty(text))
    }),
    text("device", |o, text| devices::device(&mut o.devices, text)),
    text("device-cgroup-rule", |o, text| {
        add(&mut o.devices.cgroup_rules, devices::cgroup_rule(text))
    }),
    text("gpus", |o, text| {
        add(&mut o.devices.requested, devices::gpus(text))
    }),
];

fn rate(rates: &mut Vec<DeviceRate>, rate: Read<DeviceRate>) -> Read<()> {
    replace(rates, rate, |one, other| one.path == other.path)
}
