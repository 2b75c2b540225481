//! The limits and devices of a request.

use bollard::models::{
    DeviceMapping, DeviceRequest as EngineRequest, HostConfig, ResourcesBlkioWeightDevice,
    ResourcesUlimits, ThrottleDevice,
};

use super::{filled, filled_map};
use crate::model::{ContainerOptions, DeviceRate, DeviceRequest, Devices, Resources, Swap};

pub(super) fn fill(host: &mut HostConfig, options: &ContainerOptions) {
    processors(host, &options.resources);
    memory(host, &options.resources);
    block_devices(host, &options.resources);
    devices(host, &options.devices);
    host.pids_limit = options.resources.pids;
    host.ulimits = ulimits(&options.resources);
    host.sysctls = filled_map(&options.resources.sysctls);
    host.cgroup_parent
        .clone_from(&options.resources.cgroup_parent);
}

/// The engine counts with signs.
fn signed(number: Option<u64>) -> Option<i64> {
    number.map(|number| number.try_into().unwrap_or(i64::MAX))
}

fn processors(host: &mut HostConfig, resources: &Resources) {
    host.nano_cpus = signed(resources.nano_cpus);
    host.cpu_shares = signed(resources.cpu_shares);
    host.cpu_period = signed(resources.cpu_period);
    host.cpu_quota = resources.cpu_quota;
    host.cpu_realtime_period = signed(resources.cpu_realtime_period);
    host.cpu_realtime_runtime = signed(resources.cpu_realtime_runtime);
    host.cpuset_cpus.clone_from(&resources.cpuset_cpus);
    host.cpuset_mems.clone_from(&resources.cpuset_mems);
}

fn memory(host: &mut HostConfig, resources: &Resources) {
    host.memory = signed(resources.memory);
    host.memory_reservation = signed(resources.memory_reservation);
    host.memory_swap = resources.memory_swap.and_then(|swap| match swap {
        Swap::Unlimited => Some(-1),
        Swap::Limit(bytes) => signed(Some(bytes)),
    });
    host.memory_swappiness = signed(resources.memory_swappiness);
    host.oom_kill_disable = resources.oom_kill_disable.then_some(true);
    host.oom_score_adj = resources.oom_score_adj;
}

fn block_devices(host: &mut HostConfig, resources: &Resources) {
    let rates = |rates: &[DeviceRate]| {
        let rate = |of: &DeviceRate| ThrottleDevice {
            path: Some(of.path.clone()),
            rate: signed(Some(of.rate)),
        };
        filled(rates).map(|rates| rates.iter().map(rate).collect())
    };
    host.blkio_device_read_bps = rates(&resources.read_bps);
    host.blkio_device_write_bps = rates(&resources.write_bps);
    host.blkio_device_read_iops = rates(&resources.read_iops);
    host.blkio_device_write_iops = rates(&resources.write_iops);
    host.blkio_weight = resources.blkio_weight;
    host.blkio_weight_device = filled(&resources.blkio_weight_device).map(|all| {
        let weight = |of: &crate::model::DeviceWeight| ResourcesBlkioWeightDevice {
            path: Some(of.path.clone()),
            weight: Some(of.weight.into()),
        };
        all.iter().map(weight).collect()
    });
}

fn ulimits(resources: &Resources) -> Option<Vec<ResourcesUlimits>> {
    let all = resources.ulimits.iter();
    let all = all.map(|(name, limit)| ResourcesUlimits {
        name: Some(name.clone()),
        soft: Some(limit.soft),
        hard: Some(limit.hard),
    });
    (!resources.ulimits.is_empty()).then(|| all.collect())
}

fn devices(host: &mut HostConfig, devices: &Devices) {
    host.device_cgroup_rules = filled(&devices.cgroup_rules);
    host.devices = filled(&devices.mapped).map(|all| {
        let device = |device: &crate::model::Device| DeviceMapping {
            path_on_host: Some(device.host.clone()),
            path_in_container: Some(device.container.clone()),
            cgroup_permissions: Some(device.permissions.clone()),
        };
        all.iter().map(device).collect()
    });
    host.device_requests = filled(&devices.requested).map(|all| all.iter().map(request).collect());
}

fn request(request: &DeviceRequest) -> EngineRequest {
    EngineRequest {
        driver: Some(request.driver.clone()),
        count: Some(request.count),
        device_ids: filled(&request.ids),
        capabilities: filled(&request.capabilities),
        options: filled_map(&request.options),
    }
}
