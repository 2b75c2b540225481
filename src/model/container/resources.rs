//! What a container may use.

use std::collections::BTreeMap;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resources {
    /// Billionths of a processor.
    pub nano_cpus: Option<u64>,
    /// Relative weight; 1024 is the usual one.
    pub cpu_shares: Option<u64>,
    /// Microseconds.
    pub cpu_period: Option<u64>,
    /// Microseconds in each period; −1 is unlimited.
    pub cpu_quota: Option<i64>,
    /// Microseconds.
    pub cpu_realtime_period: Option<u64>,
    /// Microseconds in each real-time period.
    pub cpu_realtime_runtime: Option<u64>,
    /// `0-3,5`.
    pub cpuset_cpus: Option<String>,
    /// Memory nodes, written like processors.
    pub cpuset_mems: Option<String>,
    /// Bytes.
    pub memory: Option<u64>,
    /// Bytes; the soft limit.
    pub memory_reservation: Option<u64>,
    pub memory_swap: Option<Swap>,
    /// 0 to 100.
    pub memory_swappiness: Option<u64>,
    pub oom_kill_disable: bool,
    /// −1000 to 1000.
    pub oom_score_adj: Option<i64>,
    /// Processes and threads; −1 is unlimited.
    pub pids: Option<i64>,
    /// By name, such as `nofile`.
    pub ulimits: BTreeMap<String, Ulimit>,
    /// 10 to 1000.
    pub blkio_weight: Option<u16>,
    pub blkio_weight_device: Vec<DeviceWeight>,
    /// Bytes per second.
    pub read_bps: Vec<DeviceRate>,
    /// Bytes per second.
    pub write_bps: Vec<DeviceRate>,
    /// Operations per second.
    pub read_iops: Vec<DeviceRate>,
    /// Operations per second.
    pub write_iops: Vec<DeviceRate>,
    /// Kernel parameters of the container's own namespaces.
    pub sysctls: BTreeMap<String, String>,
    pub cgroup_parent: Option<String>,
}

/// Memory and swap together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swap {
    Unlimited,
    /// Bytes.
    Limit(u64),
}

/// −1 is unlimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ulimit {
    pub soft: i64,
    pub hard: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceWeight {
    /// On the host.
    pub path: String,
    /// 10 to 1000.
    pub weight: u16,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceRate {
    /// On the host.
    pub path: String,
    pub rate: u64,
}

/// The devices that a container can use.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Devices {
    pub mapped: Vec<Device>,
    /// Of drivers, such as GPUs.
    pub requested: Vec<DeviceRequest>,
    /// `c 1:3 mr`.
    pub cgroup_rules: Vec<String>,
}

/// A device of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    pub host: String,
    pub container: String,
    /// Some of `rwm`.
    pub permissions: String,
}

/// Devices that a driver picks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceRequest {
    /// Empty: any that has the capabilities.
    pub driver: String,
    /// −1 is all.
    pub count: i64,
    /// Instead of a count.
    pub ids: Vec<String>,
    /// One of these sets, whole.
    pub capabilities: Vec<Vec<String>>,
    pub options: BTreeMap<String, String>,
}
