//! What separates a container from its host; hardened unless configured otherwise.

use std::path::PathBuf;

#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::struct_excessive_bools)] // switches that have nothing to do with each other
pub struct Isolation {
    /// A small first process passes signals on and waits for orphans.
    pub init: bool,
    /// No setuid program gives more rights than its caller has.
    pub no_new_privileges: bool,
    /// Root in the container keeps only [`Self::cap_add`] of its capabilities.
    pub drop_capabilities: bool,
    /// Names as the kernel has them, without `CAP_`; also `ALL`.
    pub cap_add: Vec<String>,
    pub cap_drop: Vec<String>,
    /// Everything that root on the host can do.
    pub privileged: bool,
    pub seccomp: Option<Seccomp>,
    pub apparmor: Option<String>,
    /// `SELinux`: `type:TYPE`, `disable` and so on.
    pub selinux: Vec<String>,
    /// Shows all of `/proc` and `/sys`.
    pub unmask_paths: bool,
    /// `private`, `shareable`, `host`, `none` or `container:NAME`.
    pub ipc: Option<String>,
    /// `host` or `container:NAME`.
    pub pid: Option<String>,
    /// `host`.
    pub uts: Option<String>,
    /// `host`.
    pub userns: Option<String>,
    /// `host` or `private`.
    pub cgroupns: Option<String>,
    /// More groups of the user, by name or number.
    pub groups: Vec<String>,
}

impl Default for Isolation {
    fn default() -> Self {
        Self {
            init: true,
            no_new_privileges: true,
            drop_capabilities: true,
            cap_add: Vec::new(),
            cap_drop: Vec::new(),
            privileged: false,
            seccomp: None,
            apparmor: None,
            selinux: Vec::new(),
            unmask_paths: false,
            ipc: None,
            pid: None,
            uts: None,
            userns: None,
            cgroupns: None,
            groups: Vec::new(),
        }
    }
}

/// Which system calls are allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seccomp {
    Unconfined,
    /// The engine's own profile.
    Builtin,
    Profile {
        file: PathBuf,
        /// What was in the file, as one line of JSON.
        json: String,
    },
}
