//! The options of limits and devices.

use super::Line;
use super::mounts::quoted;
use crate::model::{Device, DeviceRate, DeviceRequest, Devices, Resources, Swap, Ulimit};

pub(super) fn write(line: &mut Line, resources: &Resources, devices: &Devices) {
    processors(line, resources);
    memory(line, resources);
    line.maybe("pids-limit", resources.pids.as_ref());
    let ulimit =
        |(name, limit): (&String, &Ulimit)| format!("{name}={}:{}", limit.soft, limit.hard);
    line.each("ulimit", resources.ulimits.iter().map(ulimit));
    let sysctls = resources.sysctls.iter();
    line.each(
        "sysctl",
        sysctls.map(|(name, value)| format!("{name}={value}")),
    );
    block_devices(line, resources);
    line.maybe("cgroup-parent", resources.cgroup_parent.as_ref());
    let device = |device: &Device| {
        let Device {
            host,
            container,
            permissions,
        } = device;
        format!("{host}:{container}:{permissions}")
    };
    line.each("device", devices.mapped.iter().map(device));
    for request in &devices.requested {
        if request.driver == "cdi" {
            line.each("device", &request.ids);
        } else {
            line.option("gpus", gpus(request));
        }
    }
    line.each("device-cgroup-rule", &devices.cgroup_rules);
}

fn processors(line: &mut Line, resources: &Resources) {
    let cpus = resources.nano_cpus.map(|nano| {
        let (whole, fraction) = (nano / 1_000_000_000, nano % 1_000_000_000);
        let text = format!("{whole}.{fraction:09}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    });
    line.maybe("cpus", cpus.as_ref());
    line.maybe("cpu-shares", resources.cpu_shares.as_ref());
    line.maybe("cpu-period", resources.cpu_period.as_ref());
    line.maybe("cpu-quota", resources.cpu_quota.as_ref());
    line.maybe("cpu-rt-period", resources.cpu_realtime_period.as_ref());
    line.maybe("cpu-rt-runtime", resources.cpu_realtime_runtime.as_ref());
    line.maybe("cpuset-cpus", resources.cpuset_cpus.as_ref());
    line.maybe("cpuset-mems", resources.cpuset_mems.as_ref());
}

fn memory(line: &mut Line, resources: &Resources) {
    line.maybe("memory", resources.memory.as_ref());
    line.maybe("memory-reservation", resources.memory_reservation.as_ref());
    let swap = resources.memory_swap.map(|swap| match swap {
        Swap::Unlimited => "-1".to_owned(),
        Swap::Limit(bytes) => bytes.to_string(),
    });
    line.maybe("memory-swap", swap.as_ref());
    line.maybe("memory-swappiness", resources.memory_swappiness.as_ref());
    line.switch("oom-kill-disable", resources.oom_kill_disable);
    line.maybe("oom-score-adj", resources.oom_score_adj.as_ref());
}

fn block_devices(line: &mut Line, resources: &Resources) {
    line.maybe("blkio-weight", resources.blkio_weight.as_ref());
    let weights = resources.blkio_weight_device.iter();
    line.each(
        "blkio-weight-device",
        weights.map(|of| format!("{}:{}", of.path, of.weight)),
    );
    let rates = [
        ("device-read-bps", &resources.read_bps),
        ("device-write-bps", &resources.write_bps),
        ("device-read-iops", &resources.read_iops),
        ("device-write-iops", &resources.write_iops),
    ];
    for (name, rates) in rates {
        let rate = |of: &DeviceRate| format!("{}:{}", of.path, of.rate);
        line.each(name, rates.iter().map(rate));
    }
}

fn gpus(request: &DeviceRequest) -> String {
    let mut fields = Vec::new();
    if !request.driver.is_empty() {
        fields.push(format!("driver={}", request.driver));
    }
    fields.push(match (request.count, &request.ids[..]) {
        (_, ids @ [_, ..]) => format!("device={}", ids.join(",")),
        (-1, _) => "count=all".to_owned(),
        (count, _) => format!("count={count}"),
    });
    // Asking for GPUs is what the option does by itself.
    let capabilities = request.capabilities.iter().flatten();
    let more: Vec<_> = capabilities
        .filter(|name| *name != "gpu")
        .map(String::as_str)
        .collect();
    if !more.is_empty() {
        fields.push(format!("capabilities={}", more.join(",")));
    }
    let options = request.options.iter();
    let options: Vec<_> = options
        .map(|(name, value)| quoted(&format!("{name}={value}")))
        .collect();
    if !options.is_empty() {
        fields.push(format!("options={}", options.join(",")));
    }
    let fields: Vec<_> = fields.iter().map(|field| quoted(field)).collect();
    fields.join(",")
}
