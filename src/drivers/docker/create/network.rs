//! The network part of a request.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, EndpointIpamConfig, EndpointSettings, HostConfig, NetworkingConfig,
    PortBinding, PortMap,
};

use super::{filled, filled_map};
use crate::model::{Network, Port, PublishedPort};

pub(super) fn fill(
    body: &mut ContainerCreateBody,
    host: &mut HostConfig,
    network: &Network,
    mcp: Option<Port>,
) {
    // On the host's own network there is nothing to publish.
    let mcp = mcp.filter(|_| !network.is_host());
    let ports = bindings(network, mcp);
    let exposed = ports.keys().cloned();
    let exposed = exposed.chain(network.exposed.iter().map(Port::to_string));
    let mut exposed: Vec<_> = exposed.collect();
    exposed.sort();
    exposed.dedup();
    body.exposed_ports = Some(exposed);
    body.hostname.clone_from(&network.hostname);
    body.domainname.clone_from(&network.domainname);
    body.networking_config = endpoint(network);
    host.network_mode.clone_from(&network.mode);
    host.port_bindings = Some(ports);
    host.publish_all_ports = Some(network.publish_all);
    host.links = filled(&network.links);
    host.dns = filled(&network.dns).map(|all| all.iter().map(ToString::to_string).collect());
    host.dns_search = filled(&network.dns_search);
    host.dns_options = filled(&network.dns_options);
    host.extra_hosts = filled(&network.extra_hosts).map(|hosts| {
        let line = |host: &crate::model::ExtraHost| format!("{}:{}", host.name, host.address);
        hosts.iter().map(line).collect()
    });
}

fn bindings(network: &Network, mcp: Option<Port>) -> PortMap {
    let mut ports = PortMap::new();
    let mut add = |port: Port, binding| {
        let all = ports.entry(port.to_string()).or_default();
        all.get_or_insert_default().push(binding);
    };
    if let Some(port) = mcp {
        add(
            port,
            PortBinding {
                host_ip: Some("127.0.0.1".to_owned()),
                host_port: Some(String::new()),
            },
        );
    }
    for published in &network.published {
        add(published.port, binding(published));
    }
    ports
}

fn binding(published: &PublishedPort) -> PortBinding {
    let host_port = match published.host {
        None => String::new(),
        Some((first, last)) if first == last => first.to_string(),
        Some((first, last)) => format!("{first}-{last}"),
    };
    PortBinding {
        host_ip: Some(published.address.map(|address| address.to_string())).flatten(),
        host_port: Some(host_port),
    }
}

/// Only where there is something to say of the endpoint: the engine makes a plain one itself.
fn endpoint(network: &Network) -> Option<NetworkingConfig> {
    let name = network.mode.clone()?;
    let address = EndpointIpamConfig {
        ipv4_address: network.ipv4.map(|address| address.to_string()),
        ipv6_address: network.ipv6.map(|address| address.to_string()),
        link_local_ips: filled(&network.link_local)
            .map(|all| all.iter().map(ToString::to_string).collect()),
    };
    let settings = EndpointSettings {
        ipam_config: (address != EndpointIpamConfig::default()).then_some(address),
        aliases: filled(&network.aliases),
        links: filled(&network.links).filter(|_| network.is_user_defined()),
        driver_opts: filled_map(&network.driver_options),
        ..EndpointSettings::default()
    };
    (settings != EndpointSettings::default()).then(|| NetworkingConfig {
        endpoints_config: Some(HashMap::from([(name, settings)])),
    })
}
