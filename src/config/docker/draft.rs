//! Options of a container while they are merged from several places.

use std::time::Duration;

use crate::model::ContainerOptions;

#[derive(Clone, Default)]
pub struct Draft {
    pub options: ContainerOptions,
    /// `template_commit_delay_s`.
    pub commit_delay: Option<Duration>,
    pub hardening: Hardening,
}

/// What was said of hardening, by whomever; `None` is nothing.
#[derive(Clone, Copy, Default)]
pub struct Hardening {
    pub init: Option<bool>,
    pub no_new_privileges: Option<bool>,
    pub drop_capabilities: Option<bool>,
}

impl Draft {
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
