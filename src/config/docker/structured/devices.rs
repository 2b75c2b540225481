//! Devices and their limits.

use super::either;
use crate::config::check::Shared;
use crate::config::cursor::{Cursor, Fields};
use crate::config::docker::draft::Draft;
use crate::config::docker::values::devices as text;
use crate::config::docker::values::limits;
use crate::config::docker::wrong::Wrong;
use crate::model::{Device, DeviceRate, DeviceRequest, DeviceWeight};

const RATES: std::ops::RangeInclusive<u64> = 0..=i64::MAX.unsigned_abs();

/// `[{Path, Weight}]`.
pub fn weights(draft: &mut Draft, at: &Cursor, _: &Shared) {
    for at in at.items() {
        let fields = at.fields(&["Path", "Weight"]);
        let weight = fields.require("Weight", "").and_then(|at| at.scalar());
        let weight = weight.map(|text| limits::weight(&text)).transpose();
        let path = path(&fields, "Path");
        match weight {
            Ok(weight) => {
                let both = path.zip(weight);
                let all = &mut draft.options.resources.blkio_weight_device;
                all.extend(both.map(|(path, weight)| DeviceWeight { path, weight }));
            }
            Err(wrong) => wrong.report(&at),
        }
    }
}

pub fn read_bps(draft: &mut Draft, at: &Cursor, _: &Shared) {
    draft.options.resources.read_bps.extend(rates(at));
}

pub fn write_bps(draft: &mut Draft, at: &Cursor, _: &Shared) {
    draft.options.resources.write_bps.extend(rates(at));
}

pub fn read_iops(draft: &mut Draft, at: &Cursor, _: &Shared) {
    draft.options.resources.read_iops.extend(rates(at));
}

pub fn write_iops(draft: &mut Draft, at: &Cursor, _: &Shared) {
    draft.options.resources.write_iops.extend(rates(at));
}

/// `[{Path, Rate}]`.
fn rates(at: &Cursor) -> Vec<DeviceRate> {
    let rate = |at: Cursor| {
        let fields = at.fields(&["Path", "Rate"]);
        let rate = fields.require("Rate", "").and_then(|at| at.integer(RATES));
        let path = path(&fields, "Path");
        Some(DeviceRate {
            path: path?,
            rate: rate?,
        })
    };
    at.items().into_iter().filter_map(rate).collect()
}

fn path(fields: &Fields, key: &str) -> Option<String> {
    let at = fields.require(key, "")?;
    let text = at.nonempty_text()?;
    if !text.starts_with('/') {
        at.problem("a path of a device must start with `/`");
    }
    Some(text.to_owned())
}

const DEVICE: &[&str] = &["PathOnHost", "PathInContainer", "CgroupPermissions"];

/// Text as for `--device`, or `{PathOnHost, PathInContainer, CgroupPermissions}`.
pub fn devices(draft: &mut Draft, at: &Cursor, _: &Shared) {
    for at in at.items() {
        if at.is_mapping() {
            let fields = at.fields(DEVICE);
            let host = path(&fields, "PathOnHost").unwrap_or_default();
            let word = |key: &str| {
                fields
                    .get(key)
                    .and_then(|at| at.nonempty_text().map(str::to_owned))
            };
            let permissions = word("CgroupPermissions").unwrap_or_else(|| "rwm".to_owned());
            if !text::are_permissions(&permissions) {
                Wrong::expected("some of r, w and m in CgroupPermissions").report(&at);
            }
            draft.options.devices.mapped.push(Device {
                container: word("PathInContainer").unwrap_or_else(|| host.clone()),
                host,
                permissions,
            });
        } else if let Some(words) = at.text()
            && let Err(wrong) = text::device(&mut draft.options.devices, words)
        {
            wrong.report(&at);
        }
    }
}

const REQUEST: &[&str] = &[
    "driver",
    "Driver",
    "count",
    "Count",
    "device_ids",
    "DeviceIDs",
    "capabilities",
    "Capabilities",
    "options",
    "Options",
];

/// `[{driver, count, device_ids, capabilities, options}]`.
pub fn device_requests(draft: &mut Draft, at: &Cursor, _: &Shared) {
    for at in at.items() {
        let request = request(&at.fields(REQUEST));
        if request.count != 0 && !request.ids.is_empty() {
            at.problem("must not have both a count and device_ids");
        }
        draft.options.devices.requested.push(request);
    }
}

fn request(fields: &Fields) -> DeviceRequest {
    let driver = either(fields, ["driver", "Driver"]).and_then(|at| at.text().map(str::to_owned));
    let count = either(fields, ["count", "Count"]).and_then(|at| at.signed());
    let ids = either(fields, ["device_ids", "DeviceIDs"]);
    let capabilities = either(fields, ["capabilities", "Capabilities"]);
    let options = either(fields, ["options", "Options"]);
    let option = |(name, at): (&str, Cursor)| Some((name.to_owned(), at.scalar()?));
    DeviceRequest {
        driver: driver.unwrap_or_default(),
        count: count.unwrap_or_default(),
        ids: ids.map(|at| at.texts()).unwrap_or_default(),
        capabilities: capabilities
            .map(|at| at.items().iter().map(Cursor::texts).collect())
            .unwrap_or_default(),
        options: options
            .map(|at| at.entries().into_iter().filter_map(option).collect())
            .unwrap_or_default(),
    }
}
