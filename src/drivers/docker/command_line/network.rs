//! The options of the network.

use super::Line;
use crate::model::{ExtraHost, Network, PublishedPort};

pub(super) fn write(line: &mut Line, network: &Network) {
    if let Some(mode) = &network.mode {
        line.option("network", joined(mode, network));
    }
    line.each("network-alias", &network.aliases);
    line.maybe("ip", network.ipv4.as_ref());
    line.maybe("ip6", network.ipv6.as_ref());
    line.each("link-local-ip", &network.link_local);
    line.each("link", &network.links);
    line.each("publish", network.published.iter().map(published));
    line.switch("publish-all", network.publish_all);
    line.each("expose", &network.exposed);
    line.each("dns", &network.dns);
    line.each("dns-search", &network.dns_search);
    line.each("dns-option", &network.dns_options);
    let host = |host: &ExtraHost| format!("{}:{}", host.name, host.address);
    line.each("add-host", network.extra_hosts.iter().map(host));
    line.maybe("hostname", network.hostname.as_ref());
    line.maybe("domainname", network.domainname.as_ref());
}

/// Only the long form can say something to the network's driver.
fn joined(mode: &str, network: &Network) -> String {
    if network.driver_options.is_empty() {
        return mode.to_owned();
    }
    let options = network.driver_options.iter();
    let options = options.map(|(name, value)| format!(",driver-opt={name}={value}"));
    format!("name={mode}{}", options.collect::<String>())
}

fn published(published: &PublishedPort) -> String {
    let host = match published.host {
        None => String::new(),
        Some((first, last)) if first == last => first.to_string(),
        Some((first, last)) => format!("{first}-{last}"),
    };
    match published.address {
        Some(address) if address.is_ipv6() => format!("[{address}]:{host}:{}", published.port),
        Some(address) => format!("{address}:{host}:{}", published.port),
        None if host.is_empty() => published.port.to_string(),
        None => format!("{host}:{}", published.port),
    }
}
