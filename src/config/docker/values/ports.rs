//! Ports that a container publishes or exposes.

use std::net::IpAddr;
use std::str::FromStr;

use strum::VariantNames;

use super::fields;
use crate::config::docker::wrong::{Read, Wrong, ensure};
use crate::model::{Port, Protocol, PublishedPort};

const SHAPE: &str = "[[address:]host:]container[/protocol], such as 8080:80 or 127.0.0.1::80";
const KEYS: &[&str] = &["target", "published", "protocol", "mode"];

type Range = (u16, u16);

/// `[[address:]host:]container[/protocol]` where ports may be ranges, or `target=80,published=8080`.
pub fn published(text: &str) -> Read<Vec<PublishedPort>> {
    if text.contains('=') {
        return long(text);
    }
    let (rest, container) = text.rsplit_once(':').unwrap_or(("", text));
    let (address, host) = match rest.rsplit_once(':') {
        Some((address, host)) => (Some(address), host),
        None => (None, rest),
    };
    let (container, protocol) = container.split_once('/').unwrap_or((container, "tcp"));
    let host = (!host.is_empty()).then(|| range(host, 0)).transpose()?;
    pairs(
        range(container, 1)?,
        protocol_of(protocol)?,
        address.map(ip).transpose()?,
        host,
    )
}

fn long(text: &str) -> Read<Vec<PublishedPort>> {
    let (mut target, mut host, mut protocol) = (None, None, Protocol::Tcp);
    for field in fields::split(text)? {
        let (key, value) = fields::parts(&field);
        let value = value.unwrap_or_default();
        match key {
            "target" => target = Some(range(value, 1)?),
            "published" => host = Some(range(value, 0)?),
            "protocol" => protocol = protocol_of(value)?,
            // `docker run` takes and forgets it: it is for services.
            "mode" => {}
            _ => return Err(Wrong::not_one_of(key, KEYS)),
        }
    }
    let target = target.ok_or_else(|| Wrong::new("needs target=PORT"))?;
    pairs(target, protocol, None, host)
}

/// Each port of the container with its port of the host.
fn pairs(
    container: Range,
    protocol: Protocol,
    address: Option<IpAddr>,
    host: Option<Range>,
) -> Read<Vec<PublishedPort>> {
    let length = |(first, last): Range| last - first;
    let count = length(container);
    let matches = host.is_none_or(|host| count == 0 || length(host) == count);
    ensure(matches, || {
        Wrong::new("the two ranges of ports must be equally long")
    })?;
    let published = |offset| PublishedPort {
        port: Port {
            number: container.0 + offset,
            protocol,
        },
        address,
        host: host.map(|(first, last)| match count {
            0 => (first, last),
            _ => (first + offset, first + offset),
        }),
    };
    Ok((0..=count).map(published).collect())
}

/// `80`, `80/udp` or `80-90/tcp`.
pub fn exposed(text: &str) -> Read<Vec<Port>> {
    let (numbers, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol_of(protocol)?;
    let range = range(numbers, 1);
    let (first, last) =
        range.map_err(|_| Wrong::expected("a port or some, such as 80, 53/udp or 80-90"))?;
    let port = |number| Port { number, protocol };
    Ok((first..=last).map(port).collect())
}

fn range(text: &str, lowest: u16) -> Read<Range> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let number = |text: &str| {
        let is_number = text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<u16>().ok().filter(|_| is_number)
    };
    let range = number(first).zip(number(last));
    range
        .filter(|(first, last)| (lowest..=*last).contains(first))
        .ok_or_else(|| Wrong::expected(SHAPE))
}

fn protocol_of(text: &str) -> Read<Protocol> {
    let text = text.to_ascii_lowercase();
    Protocol::from_str(&text).map_err(|_| Wrong::not_one_of(&text, Protocol::VARIANTS))
}

fn ip(text: &str) -> Read<IpAddr> {
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    bare.unwrap_or(text)
        .parse()
        .map_err(|_| Wrong::expected("an IP address before the ports"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // tests may
mod tests {
    use super::*;

    fn one(text: &str) -> Option<(u16, Option<String>, Option<Range>)> {
        let [port] = &published(text).ok()?[..] else {
            return None;
        };
        let address = port.address.map(|address| address.to_string());
        Some((port.port.number, address, port.host))
    }

    #[test]
    fn a_port_has_up_to_three_parts() {
        let local = Some("127.0.0.1".to_owned());
        assert_eq!(one("80"), Some((80, None, None)));
        assert_eq!(one("8080:80"), Some((80, None, Some((8080, 8080)))));
        assert_eq!(
            one("127.0.0.1:8080:80"),
            Some((80, local.clone(), Some((8080, 8080))))
        );
        assert_eq!(one("127.0.0.1::80"), Some((80, local, None)));
        assert_eq!(
            one("[::1]:1:80"),
            Some((80, Some("::1".to_owned()), Some((1, 1))))
        );
        assert_eq!(
            one("::1:1:80"),
            Some((80, Some("::1".to_owned()), Some((1, 1))))
        );
        assert_eq!(one("8000-8010:80"), Some((80, None, Some((8000, 8010)))));
        assert_eq!(one("published=1,target=80"), Some((80, None, Some((1, 1)))));
        let udp = published("53:53/UDP").unwrap();
        assert_eq!(udp[0].port.protocol, Protocol::Udp);
    }

    #[test]
    fn ranges_are_paired() {
        let ports = published("8000-8002:80-82").unwrap();
        let pairs: Vec<_> = ports
            .iter()
            .map(|port| (port.host.unwrap().0, port.port.number))
            .collect();
        assert_eq!(pairs, [(8000, 80), (8001, 81), (8002, 82)]);
        assert_eq!(exposed("80-82/udp").unwrap().len(), 3);
    }

    #[test]
    fn what_is_no_port_is_refused() {
        let bad = [
            "",
            ":",
            "80:",
            "0",
            "65536",
            "http",
            "+80",
            "80/xyz",
            "1-2:3-5",
            "5-4",
            "host:1:80",
            "target=x",
            "published=1",
            "port=1",
        ];
        for bad in bad {
            assert!(published(bad).is_err(), "{bad}");
        }
    }
}
