//! Networks, addresses and names.

use std::net::IpAddr;
use std::str::FromStr;

use super::fields;
use super::names::nonempty;
use crate::config::docker::wrong::{Read, Wrong, add, ensure, put};
use crate::model::{ExtraHost, Network};

/// Stands for the host, as the container reaches it.
const GATEWAY: &str = "host-gateway";
const KEYS: &[&str] = &["name", "alias", "ip", "ip6", "link-local-ip", "driver-opt"];

/// A network's name or mode, or `name=NAME,alias=ALIAS,ip=ADDRESS`.
pub fn join(network: &mut Network, text: &str) -> Read<()> {
    if !text.contains('=') {
        return put(&mut network.mode, mode(text));
    }
    let mut name = None;
    for field in fields::split(text)? {
        let (key, value) = fields::parts(&field);
        let (key, value) = (key.trim().to_lowercase(), value.unwrap_or_default().trim());
        match &*key {
            "name" => name = Some(mode(value)?),
            "alias" => add(&mut network.aliases, nonempty(value))?,
            "ip" => put(&mut network.ipv4, address(value, IPV4))?,
            "ip6" => put(&mut network.ipv6, address(value, IPV6))?,
            "link-local-ip" => add(&mut network.link_local, address(value, IP))?,
            "driver-opt" => {
                let (key, value) = super::names::pair(value, "driver-opt=key=value")?;
                network.driver_options.insert(key, value);
            }
            "mac-address" => return Err(no_mac_address()),
            "gw-priority" => {
                return Err(Wrong::new(
                    "gw-priority needs an engine newer than API 1.41",
                ));
            }
            _ => return Err(Wrong::not_one_of(&key, KEYS)),
        }
    }
    let name = name.ok_or_else(|| Wrong::new("needs name=NETWORK"))?;
    network.mode = Some(name);
    Ok(())
}

pub fn no_mac_address() -> Wrong {
    Wrong::new("a MAC address cannot be set: engines of different ages want it in different places")
}

fn mode(text: &str) -> Read<String> {
    let name = text.strip_prefix("container:").unwrap_or(text);
    let is_name = !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c == ':');
    ensure(is_name, || {
        Wrong::expected("bridge, host, none, container:NAME or the name of a network")
    })?;
    Ok(text.to_owned())
}

pub const IPV4: &str = "an IPv4 address such as 172.30.100.104";
pub const IPV6: &str = "an IPv6 address such as 2001:db8::33";
pub const IP: &str = "an IP address";

/// An address of the kind that the words tell.
pub fn address<T: FromStr>(text: &str, kind: &str) -> Read<T> {
    text.trim().parse().map_err(|_| Wrong::expected(kind))
}

/// `name:address` or `name=address`.
pub fn extra_host(text: &str) -> Read<ExtraHost> {
    let wrong = || Wrong::expected("name:address, such as db:10.0.0.5 or host:host-gateway");
    let parts = text.split_once('=').or_else(|| text.split_once(':'));
    let (name, address) = parts.ok_or_else(wrong)?;
    let bare = address
        .strip_prefix('[')
        .and_then(|address| address.strip_suffix(']'));
    let address = bare.unwrap_or(address);
    let is_address = address == GATEWAY || address.parse::<IpAddr>().is_ok();
    let is_name = !name.is_empty() && !name.contains(|c: char| c == ':' || c.is_whitespace());
    ensure(is_name && is_address, wrong)?;
    Ok(ExtraHost {
        name: name.to_owned(),
        address: address.to_owned(),
    })
}

/// A domain to search, or `.` for none.
pub fn search(text: &str) -> Read<String> {
    let domain = text.trim().trim_end_matches('.');
    let is_label = |label: &str| {
        !label.is_empty()
            && label
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let is_domain = domain.len() < 255 && domain.split('.').all(is_label);
    ensure(text.trim() == "." || is_domain, || {
        Wrong::expected("a domain such as example.com, or . for none")
    })?;
    Ok(text.trim().to_owned())
}

/// `container[:alias]`.
pub fn link(text: &str) -> Read<String> {
    let mut parts = text.split(':');
    let is_link = parts.clone().count() <= 2 && parts.all(|part| !part.is_empty());
    ensure(is_link, || Wrong::expected("container[:alias]"))?;
    Ok(text.to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // tests may
mod tests {
    use super::*;

    fn joined(text: &str) -> Option<Network> {
        let mut network = Network::default();
        join(&mut network, text).ok()?;
        Some(network)
    }

    #[test]
    fn a_network_has_a_name_and_perhaps_more() {
        assert_eq!(joined("host").unwrap().mode.unwrap(), "host");
        let network = joined("name=agents,alias=a,alias=b,ip=10.0.0.5,driver-opt=x=y").unwrap();
        assert_eq!(network.mode.as_deref(), Some("agents"));
        assert_eq!(network.aliases, ["a", "b"]);
        assert_eq!(network.ipv4.unwrap().to_string(), "10.0.0.5");
        assert_eq!(network.driver_options["x"], "y");
        for bad in [
            "",
            "a b",
            "container:",
            "alias=a",
            "name=x,ip=y",
            "name=x,ipp=1",
            "name=x,mac-address=y",
        ] {
            assert!(joined(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn hosts_have_a_name_and_an_address() {
        let host = |text| extra_host(text).ok().map(|host| (host.name, host.address));
        let pair = |name: &str, address: &str| Some((name.to_owned(), address.to_owned()));
        assert_eq!(host("db:10.0.0.5"), pair("db", "10.0.0.5"));
        assert_eq!(host("db=[::1]"), pair("db", "::1"));
        assert_eq!(host("db:::1"), pair("db", "::1"));
        assert_eq!(host("h:host-gateway"), pair("h", "host-gateway"));
        for bad in ["", "db", "db:", ":1.1.1.1", "db:host", "a b:1.1.1.1"] {
            assert_eq!(host(bad), None, "{bad}");
        }
        assert!(search("example.com").is_ok() && search(".").is_ok());
        assert!(search("-x.com").is_err() && search("").is_err());
        assert!(link("db").is_ok() && link("db:alias").is_ok() && link("db:").is_err());
        assert!(address::<std::net::Ipv4Addr>("::1", IPV4).is_err());
    }
}
