//! Volumes and mounts.

use super::either;
use crate::config::check::Shared;
use crate::config::cursor::{Cursor, Fields};
use crate::config::docker::draft::Draft;
use crate::config::docker::values::{mount, mounts as text};
use crate::model::Mount;

/// `{source: {bind, mode}}`, or a list of what `--volume` takes.
pub fn volumes(draft: &mut Draft, at: &Cursor, shared: &Shared) {
    if at.is_list() {
        for at in at.items() {
            let Some(words) = at.text() else { continue };
            let mounted = text::volume(words, shared).and_then(|volume| draft.mount(volume));
            mounted.unwrap_or_else(|wrong| wrong.report(&at));
        }
        return;
    }
    container_volumes(draft, at, shared);
}

/// `{source: {bind, mode}}`.
pub fn container_volumes(draft: &mut Draft, at: &Cursor, shared: &Shared) {
    for (source, at) in at.entries() {
        volume(draft, source, &at, shared);
    }
}

const VOLUME: &[&str] = &["bind", "mode", "ro", "propagation"];

/// A source with where and how it is mounted; says everything that is wrong with it.
fn volume(draft: &mut Draft, source: &str, at: &Cursor, shared: &Shared) {
    // The Python SDK also takes the path alone.
    let fields = (!at.is_text()).then(|| at.fields(VOLUME));
    let target = match &fields {
        Some(fields) => fields.require("bind", ""),
        None => Some(at.clone()),
    };
    let target = target.and_then(|at| {
        let target = text::target(at.nonempty_text()?);
        target.map_err(|wrong| wrong.report(&at)).ok()
    });
    let source = text::source_of(source, shared)
        .map_err(|wrong| wrong.report(at))
        .ok();
    let mut mount = source.zip(target.clone()).map(|(source, target)| Mount {
        target,
        source,
        read_only: false,
        relabel: None,
    });
    if let Some(fields) = &fields {
        options(fields, mount.as_mut());
    }
    if let Some(mount) = mount
        && let Err(wrong) = draft.mount(mount)
    {
        wrong.report(at);
    }
}

fn options(fields: &Fields, mount: Option<&mut Mount>) {
    // What is wrong with the options is said also where there is nothing to set them on.
    let mut nothing = Mount::of_host("/", "/");
    let mount = mount.unwrap_or(&mut nothing);
    let mode = fields.get("mode");
    if let Some((at, text)) = mode.and_then(|at| at.text().map(|text| (at, text))) {
        let set = text::set_options(mount, text);
        set.unwrap_or_else(|wrong| wrong.report(&at));
    }
    if let Some(at) = fields.get("ro") {
        mount.read_only = at.boolean().unwrap_or_default();
        if fields.get("mode").is_some() {
            at.problem("only one of ro and mode");
        }
    }
    if let Some((at, text)) = fields
        .get("propagation")
        .and_then(|at| at.text().map(|text| (at, text)))
    {
        let set = text::set_options(mount, text);
        set.unwrap_or_else(|wrong| wrong.report(&at));
    }
}

const MOUNT: &[&str] = &[
    "type",
    "Type",
    "source",
    "Source",
    "target",
    "Target",
    "read_only",
    "ReadOnly",
    "consistency",
    "Consistency",
    "propagation",
    "BindOptions",
    "no_copy",
    "labels",
    "driver_config",
    "VolumeOptions",
    "tmpfs_size",
    "tmpfs_mode",
    "TmpfsOptions",
];

/// Mounts as the engine has them (`{Type, Source, Target, ReadOnly, …}`) or as the Python SDK makes them.
pub fn mounts(draft: &mut Draft, at: &Cursor, shared: &Shared) {
    for at in at.items() {
        let fields = fields(&at);
        let pairs = fields.iter().map(|(key, value)| (*key, Some(&**value)));
        let mounted = mount::from_pairs(pairs, shared).and_then(|what| draft.mounted(what));
        if at.is_mapping() {
            mounted.unwrap_or_else(|wrong| wrong.report(&at));
        }
    }
}

/// The same as fields of `--mount`.
fn fields(at: &Cursor) -> Vec<(&'static str, String)> {
    let fields = at.fields(MOUNT);
    let bind = fields
        .get("BindOptions")
        .map(|at| at.fields(&["Propagation", "NonRecursive"]));
    let volume = fields
        .get("VolumeOptions")
        .map(|at| at.fields(&["NoCopy", "Labels", "DriverConfig"]));
    let tmpfs = fields
        .get("TmpfsOptions")
        .map(|at| at.fields(&["SizeBytes", "Mode"]));
    let words = [
        ("type", either(&fields, ["type", "Type"])),
        ("source", either(&fields, ["source", "Source"])),
        ("target", either(&fields, ["target", "Target"])),
        ("readonly", either(&fields, ["read_only", "ReadOnly"])),
        (
            "consistency",
            either(&fields, ["consistency", "Consistency"]),
        ),
        ("bind-propagation", fields.get("propagation")),
        ("bind-propagation", inside(bind.as_ref(), "Propagation")),
        ("volume-nocopy", fields.get("no_copy")),
        ("volume-nocopy", inside(volume.as_ref(), "NoCopy")),
        ("tmpfs-size", fields.get("tmpfs_size")),
        ("tmpfs-size", inside(tmpfs.as_ref(), "SizeBytes")),
    ];
    let word = |(key, at): (&'static str, Option<Cursor>)| Some((key, at?.word()?));
    let mut found: Vec<_> = words.into_iter().filter_map(word).collect();
    // The engine has the mode as a number, `--mount` has its octal digits.
    let mode = fields
        .get("tmpfs_mode")
        .or_else(|| inside(tmpfs.as_ref(), "Mode"));
    let mode = mode.and_then(|at| at.integer(0..=0o7777));
    found.extend(mode.map(|mode| ("tmpfs-mode", format!("{mode:o}"))));
    let flat = inside(bind.as_ref(), "NonRecursive").and_then(|at| at.boolean());
    found.extend((flat == Some(true)).then(|| ("bind-recursive", "disabled".to_owned())));
    let labels = fields
        .get("labels")
        .or_else(|| inside(volume.as_ref(), "Labels"));
    found.extend(pairs("volume-label", labels));
    let driver = fields
        .get("driver_config")
        .or_else(|| inside(volume.as_ref(), "DriverConfig"));
    if let Some(driver) = driver.map(|at| at.fields(&["Name", "Options"])) {
        let name = driver.get("Name").and_then(|at| at.word());
        found.extend(name.map(|name| ("volume-driver", name)));
        found.extend(pairs("volume-opt", driver.get("Options")));
    }
    found
}

fn inside<'a>(fields: Option<&Fields<'a>>, key: &str) -> Option<Cursor<'a>> {
    fields?.get(key)
}

fn pairs(key: &'static str, at: Option<Cursor>) -> Vec<(&'static str, String)> {
    let entries = at.map(|at| at.entries()).unwrap_or_default();
    let pair = |(name, at): (&str, Cursor)| Some((key, format!("{name}={}", at.scalar()?)));
    entries.into_iter().filter_map(pair).collect()
}
