//! Devices of the host, and GPUs.

use std::collections::BTreeMap;

use super::fields;
use crate::config::docker::wrong::{Read, Wrong, ensure, replace};
use crate::model::{Device, DeviceRequest, Devices};

/// `host[:container][:permissions]`, or the qualified name of a CDI device.
pub fn device(devices: &mut Devices, text: &str) -> Read<()> {
    if is_cdi(text) {
        devices.requested.push(DeviceRequest {
            driver: "cdi".to_owned(),
            ids: vec![text.to_owned()],
            ..DeviceRequest::default()
        });
        return Ok(());
    }
    let wrong = || {
        Wrong::expected(
            "host[:container][:permissions], such as /dev/fuse or /dev/sda:/dev/xvda:rw",
        )
    };
    let parts: Vec<_> = text.split(':').collect();
    let (host, container, permissions) = match parts[..] {
        [host] => (host, host, "rwm"),
        [host, permissions] if are_permissions(permissions) => (host, host, permissions),
        [host, container] => (host, container, "rwm"),
        [host, container, permissions] if are_permissions(permissions) => {
            (host, container, permissions)
        }
        _ => return Err(wrong()),
    };
    ensure(host.starts_with('/') && container.starts_with('/'), wrong)?;
    let device = Device {
        host: host.to_owned(),
        container: container.to_owned(),
        permissions: permissions.to_owned(),
    };
    replace(&mut devices.mapped, Ok(device), |one, other| {
        one.container == other.container
    })
}

/// `vendor.com/class=name` of the Container Device Interface.
fn is_cdi(text: &str) -> bool {
    let name = text
        .split_once('=')
        .and_then(|(kind, name)| Some((kind.split_once('/')?, name)));
    name.is_some_and(|((vendor, class), name)| {
        !vendor.is_empty() && !class.is_empty() && !class.contains('/') && !name.is_empty()
    })
}

pub fn are_permissions(text: &str) -> bool {
    let once = |c| text.matches(c).count() <= 1;
    !text.is_empty()
        && text.chars().all(|c| "rwm".contains(c))
        && ['r', 'w', 'm'].iter().all(|c| once(*c))
}

/// `c 1:3 rwm`.
pub fn cgroup_rule(text: &str) -> Read<String> {
    let number =
        |text: &str| text == "*" || (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()));
    let parts: Vec<_> = text.split(' ').collect();
    let is_rule = match parts[..] {
        [kind, numbers, permissions] => {
            let numbers = numbers.split_once(':');
            matches!(kind, "a" | "b" | "c")
                && numbers.is_some_and(|(major, minor)| number(major) && number(minor))
                && are_permissions(permissions)
        }
        _ => false,
    };
    ensure(is_rule, || {
        Wrong::expected("type major:minor permissions, such as `c 1:3 rwm`")
    })?;
    Ok(text.to_owned())
}

const GPU_KEYS: &[&str] = &["driver", "count", "device", "capabilities", "options"];

/// `all`, a number, or fields such as `driver=nvidia,count=2` and `"device=0,1"`.
pub fn gpus(text: &str) -> Read<DeviceRequest> {
    let mut request = DeviceRequest::default();
    let mut count = None;
    for field in fields::split(text)? {
        let (key, value) = fields::parts(&field);
        let Some(value) = value else {
            count = Some(gpu_count(key)?);
            continue;
        };
        let list = || value.split(',').map(str::to_owned).collect::<Vec<_>>();
        match key {
            "driver" => value.clone_into(&mut request.driver),
            "count" => count = Some(gpu_count(value)?),
            "device" => request.ids = list(),
            "capabilities" => {
                let gpu = std::iter::once("gpu".to_owned());
                request.capabilities = vec![list().into_iter().chain(gpu).collect()];
            }
            "options" => request.options = options(value)?,
            _ => return Err(Wrong::not_one_of(key, GPU_KEYS)),
        }
    }
    ensure(count.is_none() || request.ids.is_empty(), || {
        Wrong::new("must not have both a count and devices")
            .hint("quotes keep a list of devices together: \"device=0,1\"")
    })?;
    request.count = count.unwrap_or(i64::from(request.ids.is_empty()));
    if request.capabilities.is_empty() {
        request.capabilities = vec![vec!["gpu".to_owned()]];
    }
    Ok(request)
}

fn gpu_count(text: &str) -> Read<i64> {
    if text == "all" {
        return Ok(-1);
    }
    text.parse()
        .map_err(|_| Wrong::expected("all, a number, or fields such as driver=nvidia,count=2"))
}

fn options(text: &str) -> Read<BTreeMap<String, String>> {
    let option = |field: String| {
        let (key, value) = fields::parts(&field);
        (key.to_owned(), value.unwrap_or_default().to_owned())
    };
    Ok(fields::split(text)?.into_iter().map(option).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // tests may
mod tests {
    use super::*;

    fn mapped(text: &str) -> Option<[String; 3]> {
        let mut devices = Devices::default();
        device(&mut devices, text).ok()?;
        let device = devices.mapped.pop()?;
        Some([device.host, device.container, device.permissions])
    }

    #[test]
    fn devices_have_up_to_three_parts() {
        let parts = |a: &str, b: &str, c: &str| Some([a, b, c].map(str::to_owned));
        assert_eq!(mapped("/dev/fuse"), parts("/dev/fuse", "/dev/fuse", "rwm"));
        assert_eq!(mapped("/dev/a:r"), parts("/dev/a", "/dev/a", "r"));
        assert_eq!(mapped("/dev/a:/dev/b"), parts("/dev/a", "/dev/b", "rwm"));
        assert_eq!(mapped("/dev/a:/dev/b:rw"), parts("/dev/a", "/dev/b", "rw"));
        for bad in [
            "",
            "fuse",
            "/dev/a:b",
            "/dev/a:/dev/b:x",
            "/dev/a:/b:r:r",
            "/dev/a:/dev/b:rr",
        ] {
            assert_eq!(mapped(bad), None, "{bad}");
        }
        let mut devices = Devices::default();
        device(&mut devices, "nvidia.com/gpu=all").unwrap();
        assert_eq!(devices.requested[0].ids, ["nvidia.com/gpu=all"]);
        assert!(cgroup_rule("c 1:* rw").is_ok() && cgroup_rule("c 1 rw").is_err());
    }

    #[test]
    fn gpus_are_counted_or_named() {
        assert_eq!(gpus("all").unwrap().count, -1);
        assert_eq!(gpus("2").unwrap().count, 2);
        assert_eq!(gpus("driver=nvidia").unwrap().count, 1);
        let named = gpus(r#""device=0,1",capabilities=compute"#).unwrap();
        assert_eq!(
            (named.count, &named.ids[..]),
            (0, &["0".to_owned(), "1".to_owned()][..])
        );
        assert_eq!(named.capabilities, [["compute", "gpu"]]);
        for bad in ["some", "device=0,1", "gpus=1", "all,device=0", r#""x"#] {
            assert!(gpus(bad).is_err(), "{bad}");
        }
    }
}
