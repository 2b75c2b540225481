//! How the container reaches others, and how it is reached.

use super::{Flag, switch, text, wide};
use crate::config::docker::values::{names, networks, ports};
use crate::config::docker::wrong::{Wrong, add, ensure, put};

pub const FLAGS: &[Flag] = &[
    wide("network", |draft, text, _| {
        ensure(!draft.says("network"), || {
            Wrong::new("a second network is not supported: a container joins one")
        })?;
        networks::join(&mut draft.options.network, text)
    }),
    text("network-alias", |o, text| {
        add(&mut o.network.aliases, names::nonempty(text))
    }),
    text("ip", |o, text| {
        put(&mut o.network.ipv4, networks::address(text, networks::IPV4))
    }),
    text("ip6", |o, text| {
        put(&mut o.network.ipv6, networks::address(text, networks::IPV6))
    }),
    text("link-local-ip", |o, text| {
        let address = networks::address(text, networks::IP);
        add(&mut o.network.link_local, address)
    }),
    text("link", |o, text| {
        add(&mut o.network.links, networks::link(text))
    }),
    text("publish", |o, text| {
        for port in ports::published(text)? {
            add(&mut o.network.published, Ok(port))?;
        }
        Ok(())
    })
    .short('p'),
    switch("publish-all", |draft, on| {
        draft.options.network.publish_all = on;
    })
    .short('P'),
    text("expose", |o, text| {
        for port in ports::exposed(text)? {
            add(&mut o.network.exposed, Ok(port))?;
        }
        Ok(())
    }),
    text("dns", |o, text| {
        add(&mut o.network.dns, networks::address(text, networks::IP))
    }),
    text("dns-search", |o, text| {
        add(&mut o.network.dns_search, networks::search(text))
    }),
    text("dns-option", |o, text| {
        add(&mut o.network.dns_options, names::nonempty(text))
    }),
    text("add-host", |o, text| {
        add(&mut o.network.extra_hosts, networks::extra_host(text))
    }),
    text("hostname", |o, text| {
        put(&mut o.network.hostname, names::host(text))
    })
    .short('h'),
    text("domainname", |o, text| {
        put(&mut o.network.domainname, names::host(text))
    }),
];
