//! Limits of the kernel: processor sets, ulimits, sysctls, block devices' rates.

use super::numbers::{bytes, natural, whole};
use crate::config::docker::wrong::{Read, Wrong, ensure};
use crate::model::{DeviceRate, DeviceWeight, Ulimit};

/// Of `setrlimit(2)`, without the address space, which engines do not take.
const ULIMITS: &[&str] = &[
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// Of System V, which every IPC namespace has for itself.
const KERNEL_SYSCTLS: &[&str] = &[
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

/// `0-3,5`.
pub fn set(text: &str) -> Read<String> {
    let part = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.parse::<u16>().ok();
        number(first)
            .zip(number(last))
            .is_some_and(|(first, last)| first <= last)
    };
    ensure(text.split(',').all(part), || {
        Wrong::expected("numbers and ranges such as 0-3,5")
    })?;
    Ok(text.to_owned())
}

/// `name=soft[:hard]`; −1 is unlimited.
pub fn ulimit(text: &str) -> Read<(String, Ulimit)> {
    let wrong = || Wrong::expected("name=soft[:hard], such as nofile=1024:4096");
    let (name, limits) = text.split_once('=').ok_or_else(wrong)?;
    let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
    let number = |text: &str| text.trim().parse().map_err(|_| wrong());
    ulimit_of(name, number(soft)?, number(hard)?)
}

pub fn ulimit_of(name: &str, soft: i64, hard: i64) -> Read<(String, Ulimit)> {
    ensure(ULIMITS.contains(&name), || Wrong::not_one_of(name, ULIMITS))?;
    ensure(soft >= -1 && hard >= -1, || {
        Wrong::new("a limit must be 0 or more, or -1 for none")
    })?;
    ensure(hard == -1 || (soft != -1 && soft <= hard), || {
        Wrong::new("the soft limit must not be above the hard one")
    })?;
    Ok((name.to_owned(), Ulimit { soft, hard }))
}

/// `name=value` of a kernel parameter that a container has for itself.
pub fn sysctl(text: &str) -> Read<(String, String)> {
    let (name, value) = super::names::pair(text, "name=value, such as net.core.somaxconn=1024")?;
    let own = KERNEL_SYSCTLS.contains(&&*name)
        || name.starts_with("net.")
        || name.starts_with("fs.mqueue.");
    ensure(own, || {
        Wrong::new("only parameters that a container has for itself can be set")
            .hint("they begin with net. or fs.mqueue., or are kernel.msg*, kernel.sem, kernel.shm*")
    })?;
    Ok((name, value))
}

/// 10 to 1000; 0 is none.
pub fn weight(text: &str) -> Read<u16> {
    let weight = whole(text, 0..=1000)?;
    ensure(weight == 0 || weight >= 10, || {
        Wrong::expected("a whole number from 10 to 1000, or 0 for none")
    })?;
    Ok(weight.try_into().unwrap_or_default())
}

/// `/dev/sda:500`.
pub fn device_weight(text: &str) -> Read<DeviceWeight> {
    let (path, weight) = device(text, "a device and a weight such as /dev/sda:500")?;
    let weight = self::weight(weight)?;
    Ok(DeviceWeight { path, weight })
}

/// `/dev/sda:1mb`, bytes per second.
pub fn rate_of_bytes(text: &str) -> Read<DeviceRate> {
    let (path, rate) = device(text, "a device and a rate such as /dev/sda:1mb")?;
    let rate = bytes(rate)?;
    Ok(DeviceRate { path, rate })
}

/// `/dev/sda:1000`, operations per second.
pub fn rate_of_operations(text: &str) -> Read<DeviceRate> {
    let (path, rate) = device(text, "a device and a rate such as /dev/sda:1000")?;
    let rate = natural(rate)?;
    Ok(DeviceRate { path, rate })
}

fn device<'a>(text: &'a str, shape: &str) -> Read<(String, &'a str)> {
    let parts = text.split_once(':');
    let (path, rest) = parts
        .filter(|(path, _)| path.starts_with("/dev/"))
        .ok_or_else(|| Wrong::expected(shape))?;
    Ok((path.to_owned(), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_what_the_kernel_takes() {
        assert!(set("0-3,5").is_ok() && set("0").is_ok());
        assert!(set("").is_err() && set("3-1").is_err() && set("0,").is_err() && set("a").is_err());
        let both = |soft, hard| Ok(("nofile".to_owned(), Ulimit { soft, hard }));
        assert_eq!(ulimit("nofile=1024"), both(1024, 1024));
        assert_eq!(ulimit("nofile=1024:-1"), both(1024, -1));
        for bad in [
            "nofile",
            "nofile=",
            "nofile=2:1",
            "nofile=-1:5",
            "nofile=1:2:3",
            "as=1",
        ] {
            assert!(ulimit(bad).is_err(), "{bad}");
        }
        assert!(sysctl("net.core.somaxconn=1").is_ok() && sysctl("kernel.sem=1").is_ok());
        assert!(sysctl("vm.swappiness=1").is_err() && sysctl("net.core").is_err());
        assert!(weight("10").is_ok() && weight("0").is_ok() && weight("9").is_err());
        assert!(rate_of_bytes("/dev/sda:1mb").is_ok() && rate_of_bytes("sda:1mb").is_err());
    }
}
