//! How a container reaches others, and how it is reached.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Network {
    /// `bridge`, `host`, `none`, `container:NAME`, or the name of a network.
    pub mode: Option<String>,
    /// Its names in that network.
    pub aliases: Vec<String>,
    pub ipv4: Option<Ipv4Addr>,
    pub ipv6: Option<Ipv6Addr>,
    pub link_local: Vec<IpAddr>,
    /// Of the network's driver.
    pub driver_options: BTreeMap<String, String>,
    /// `container[:alias]`.
    pub links: Vec<String>,
    /// Beside the port that speaks MCP.
    pub published: Vec<PublishedPort>,
    /// Publishes every port that the image or [`Self::exposed`] names.
    pub publish_all: bool,
    pub exposed: Vec<Port>,
    pub dns: Vec<IpAddr>,
    pub dns_search: Vec<String>,
    pub dns_options: Vec<String>,
    pub extra_hosts: Vec<ExtraHost>,
    pub hostname: Option<String>,
    pub domainname: Option<String>,
}

impl Network {
    /// Whether it is the host's own network: every port is reached where it is, none is published.
    pub fn is_host(&self) -> bool {
        self.mode.as_deref() == Some("host")
    }

    /// Whether it is a network that somebody made, which knows aliases and addresses.
    pub fn is_user_defined(&self) -> bool {
        self.mode.as_deref().is_some_and(|mode| {
            !matches!(mode, "default" | "bridge" | "host" | "none" | "nat")
                && !mode.starts_with("container:")
        })
    }
}

/// A port of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port {
    pub number: u16,
    pub protocol: Protocol,
}

impl fmt::Display for Port {
    /// `8080/tcp`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.protocol)
    }
}

#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    strum::Display,
    strum::EnumString,
    strum::VariantNames,
)]
#[strum(serialize_all = "lowercase")]
pub enum Protocol {
    #[default]
    Tcp,
    Udp,
    Sctp,
}

/// A port of the host that leads to one of the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedPort {
    pub port: Port,
    /// `None`: every address of the host.
    pub address: Option<IpAddr>,
    /// The first and last port of the host that it may get; `None`: any that is free.
    pub host: Option<(u16, u16)>,
}

/// A line for `/etc/hosts`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtraHost {
    pub name: String,
    /// An IP address or `host-gateway`.
    pub address: String,
}
