//! Options of a container while they are merged from several places.

use std::collections::BTreeMap;
use std::time::Duration;

use super::values::mount::Mounted;
use super::wrong::{Read, Wrong, ensure};
use crate::config::cursor::Cursor;
use crate::config::problem;
use crate::model::{ContainerOptions, ExtraHost, Mount};

/// Who says something of a container; later ones win.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    /// `global_docker_options`.
    #[default]
    Global,
    /// Keys of the backend.
    Keys,
    /// `docker_run_args`.
    Args,
}

/// Options with who said what of them.
#[derive(Clone, Default)]
pub struct Draft<'a> {
    pub options: ContainerOptions,
    /// `template_commit_delay_s`.
    pub commit_delay: Option<Duration>,
    pub hardening: Hardening,
    pub layer: Layer,
    /// The last word on each option, by its name in `docker run`.
    said: BTreeMap<&'static str, (Layer, Cursor<'a>)>,
    /// Who mounted something at a path of the container.
    targets: BTreeMap<String, Layer>,
    /// Who gave a host an address.
    hosts: BTreeMap<String, Layer>,
}

/// What was said of hardening, by whomever; `None` is nothing.
#[derive(Clone, Copy, Default)]
pub struct Hardening {
    pub init: Option<bool>,
    pub no_new_privileges: Option<bool>,
    pub drop_capabilities: Option<bool>,
}

impl<'a> Draft<'a> {
    /// Notes where an option was set.
    pub fn note(&mut self, flag: &'static str, at: &Cursor<'a>) {
        self.said.insert(flag, (self.layer, at.clone()));
    }

    /// Whether the present layer has set it before.
    pub fn says(&self, flag: &str) -> bool {
        let layer = self.said.get(flag).map(|(layer, _)| *layer);
        layer == Some(self.layer)
    }

    /// Which of these options was set last, by whom, and where.
    pub fn latest(&self, flags: &[&str]) -> Option<(&'static str, Layer, &Cursor<'a>)> {
        let said = flags
            .iter()
            .filter_map(|flag| self.said.get_key_value(*flag));
        let last = said.max_by_key(|(_, (layer, at))| (*layer, at.node.id));
        last.map(|(flag, (layer, at))| (*flag, *layer, at))
    }

    /// Whether something is mounted at a path.
    pub fn says_mount(&self, target: &str) -> bool {
        self.targets.contains_key(target)
    }

    pub fn mount(&mut self, mount: Mount) -> Read<()> {
        self.claim(&mount.target)?;
        self.options.storage.mounts.push(mount);
        Ok(())
    }

    pub fn tmpfs(&mut self, target: String, options: String) -> Read<()> {
        self.claim(&target)?;
        self.options.storage.tmpfs.insert(target, options);
        Ok(())
    }

    pub fn mounted(&mut self, what: Mounted) -> Read<()> {
        match what {
            Mounted::Mount(mount) => self.mount(mount),
            Mounted::Tmpfs(target, options) => self.tmpfs(target, options),
        }
    }

    /// A host can have several addresses, all of the layer that spoke last.
    pub fn host(&mut self, host: ExtraHost) {
        let before = self.hosts.insert(host.name.clone(), self.layer);
        let hosts = &mut self.options.network.extra_hosts;
        if before != Some(self.layer) {
            hosts.retain(|other| other.name != host.name);
        }
        if !hosts.contains(&host) {
            hosts.push(host);
        }
    }

    /// Makes room at a path: what an earlier layer mounted there gives way.
    fn claim(&mut self, target: &str) -> Read<()> {
        let before = self.targets.insert(target.to_owned(), self.layer);
        ensure(before != Some(self.layer), || {
            let target = problem::shown(target);
            Wrong::new(format!("something else is mounted at {target}, too"))
        })?;
        let storage = &mut self.options.storage;
        storage.mounts.retain(|mount| mount.target != target);
        storage.tmpfs.remove(target);
        Ok(())
    }

    pub fn finish(self) -> ContainerOptions {
        let mut options = self.options;
        let isolation = &mut options.isolation;
        // Who asks for a privileged container does not want its privileges taken away unasked.
        let hardened = !isolation.privileged;
        let Hardening {
            init,
            no_new_privileges,
            drop_capabilities,
        } = self.hardening;
        isolation.init = init.unwrap_or(true);
        isolation.no_new_privileges = no_new_privileges.unwrap_or(hardened);
        isolation.drop_capabilities = drop_capabilities.unwrap_or(hardened);
        options
    }
}
