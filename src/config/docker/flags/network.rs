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
    wide("dns", |draft, text, _| {
        // Earlier servers are asked first, so that later layers would not be heard.
        if !draft.says("dns") {
            draft.options.network.dns.clear();
        }
        let server = networks::address(text, networks::IP);
        add(&mut draft.options.network.dns, server)
    }),
    wide("dns-search", |draft, text, _| {
        if !draft.says("dns-search") {
            draft.options.network.dns_search.clear();
        }
        let domain = networks::search(text);
        add(&mut draft.options.network.dns_search, domain)
    }),
    text("dns-option", |o, text| {
        add(&mut o.network.dns_options, names::nonempty(text))
    }),
    wide("add-host", |draft, text, _| {
        draft.host(networks::extra_host(text)?);
        Ok(())
    }),
    text("hostname", |o, text| {
        put(&mut o.network.hostname, names::host(text))
    })
    .short('h'),
    text("domainname", |o, text| {
        put(&mut o.network.domainname, names::host(text))
    }),
];
