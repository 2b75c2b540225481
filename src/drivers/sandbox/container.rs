//! The container that a sandbox is.

use crate::model::{
    ContainerOptions, HealthCheck, LocalDocker, Mount, MountSource, Network, Resources,
    SandboxNetwork, SandboxProfile, Storage, Swap, Ulimit, VolumeMount,
};

use super::cell::PLACES;

/// Lets everybody make a directory of his own and touch no other, then waits for ever.
const FIRST: &str = r#"chmod 1777 "$0" && exec sleep 2147483647"#;
/// Processes of one server may be so many fewer than those of all: enough is left to end it.
const RESERVE: u64 = 8;
/// Where nothing else can be written.
const TEMPORARY: &str = "size=64m,mode=1777";

/// Hardened as all our containers are, for servers that are no root.
pub fn spec(profile: &SandboxProfile) -> LocalDocker {
    let entrypoint = ["sh", "-c", FIRST, PLACES].map(str::to_owned);
    let options = ContainerOptions {
        entrypoint: Some(entrypoint.into()),
        user: Some("0:0".to_owned()),
        working_dir: Some("/".to_owned()),
        health: HealthCheck {
            disabled: true,
            ..HealthCheck::default()
        },
        storage: storage(profile),
        network: Network {
            mode: network(&profile.network),
            ..Network::default()
        },
        resources: resources(profile),
        ..ContainerOptions::default()
    };
    LocalDocker {
        image: profile.image.clone(),
        container_port: None,
        command: None,
        template: None,
        commit_delay: None,
        options,
    }
}

/// The places are in a volume of its own, which goes with the container.
fn storage(profile: &SandboxProfile) -> Storage {
    let places = Mount {
        target: PLACES.to_owned(),
        source: MountSource::Volume(VolumeMount::default()),
        read_only: false,
        relabel: None,
    };
    let mut storage = Storage {
        mounts: vec![places],
        read_only: profile.read_only_rootfs,
        ..Storage::default()
    };
    if profile.read_only_rootfs {
        let temporary = ["/tmp", "/var/tmp"].map(|path| (path.to_owned(), TEMPORARY.to_owned()));
        storage.tmpfs.extend(temporary);
    }
    storage
}

fn network(network: &SandboxNetwork) -> Option<String> {
    match network {
        SandboxNetwork::On => None,
        SandboxNetwork::Off => Some("none".to_owned()),
        SandboxNetwork::Named(name) => Some(name.clone()),
    }
}

fn resources(profile: &SandboxProfile) -> Resources {
    let memory = profile.memory_mb << 20;
    let most = profile.pids_limit.saturating_sub(RESERVE).max(RESERVE);
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let processes = Ulimit {
        soft: most,
        hard: most,
    };
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 0.01 to 1024
    let nano_cpus = (profile.cpus * 1e9) as u64;
    Resources {
        nano_cpus: Some(nano_cpus),
        memory: Some(memory),
        memory_swap: Some(Swap::Limit(memory)),
        pids: i64::try_from(profile.pids_limit).ok(),
        ulimits: [("nproc".to_owned(), processes)].into(),
        ..Resources::default()
    }
}
