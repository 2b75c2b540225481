//! What options must not say together, as an engine would refuse it when a container is made.

use super::draft::{Draft, Layer};
use crate::config::cursor::Fields;
use crate::model::{Swap, Transport};

pub fn check(draft: &Draft, fields: &Fields, transport: Transport) {
    let blame = Blame { draft, fields };
    memory(&blame);
    processors(&blame);
    health(&blame);
    network(&blame, transport);
    log(&blame);
}

/// Puts a problem where the last of some options was set.
struct Blame<'a, 'b> {
    draft: &'a Draft<'b>,
    fields: &'a Fields<'b>,
}

impl Blame<'_, '_> {
    fn problem(&self, flags: &[&str], text: &str) {
        match self.draft.latest(flags) {
            // Those are right for other backends, perhaps.
            Some((_, Layer::Global, at)) => self.fields.of.problem_pointing_at(text, at),
            Some((_, Layer::Keys, at)) => at.problem(text),
            Some((flag, Layer::Args, at)) => at.problem(format!("--{flag}: {text}")),
            None => self.fields.of.problem(text),
        }
    }
}

fn memory(blame: &Blame) {
    let resources = &blame.draft.options.resources;
    let memory = resources.memory.unwrap_or_default();
    if let Some(Swap::Limit(swap @ 1..)) = resources.memory_swap {
        if memory == 0 {
            blame.problem(&["memory-swap"], "needs a limit of memory, too");
        } else if swap < memory {
            let text = "memory and swap together must not be less than memory";
            blame.problem(&["memory-swap", "memory"], text);
        }
    }
    if memory > 0 && resources.memory_reservation.unwrap_or_default() > memory {
        let text = "the memory reservation must not be above the memory limit";
        blame.problem(&["memory-reservation", "memory"], text);
    }
}

fn processors(blame: &Blame) {
    let resources = &blame.draft.options.resources;
    let is_set = |number: Option<u64>| number.is_some_and(|number| number > 0);
    let has_quota = resources.cpu_quota.is_some_and(|quota| quota != 0);
    if is_set(resources.nano_cpus) && (is_set(resources.cpu_period) || has_quota) {
        let text = "a number of processors excludes a period or quota of them";
        blame.problem(&["cpus", "cpu-period", "cpu-quota"], text);
    }
}

fn health(blame: &Blame) {
    const PROBE: &[&str] = &[
        "health-cmd",
        "health-interval",
        "health-timeout",
        "health-start-period",
        "health-retries",
    ];
    let layer = |flag: &str| blame.draft.latest(&[flag]).map(|(_, layer, _)| layer);
    let none = layer("no-healthcheck");
    if none.is_some() && PROBE.iter().any(|flag| layer(flag) == none) {
        let text = "no health check and one cannot be asked for together";
        blame.problem(&["no-healthcheck"], text);
    }
}

fn network(blame: &Blame, transport: Transport) {
    let network = &blame.draft.options.network;
    let mode = network.mode.as_deref().unwrap_or_default();
    let shares = mode.starts_with("container:");
    if transport == Transport::Http && (shares || mode == "none") {
        let text = "MCP over http needs a port that is published, which this network cannot do";
        blame.problem(&["network"], text);
    }
    if shares {
        let own = [
            ("hostname", network.hostname.is_some()),
            ("publish", !network.published.is_empty()),
            ("publish-all", network.publish_all),
            ("expose", !network.exposed.is_empty()),
            ("dns", !network.dns.is_empty()),
            ("add-host", !network.extra_hosts.is_empty()),
        ];
        for (flag, _) in own.iter().filter(|(_, is_set)| *is_set) {
            blame.problem(&[flag], "has no effect in the network of another container");
        }
    }
    if (shares || network.is_host()) && !network.links.is_empty() {
        blame.problem(&["link"], "needs a network of the container's own");
    }
    if !network.is_user_defined() {
        let own = [
            ("network-alias", !network.aliases.is_empty()),
            ("ip", network.ipv4.is_some()),
            ("ip6", network.ipv6.is_some()),
            ("link-local-ip", !network.link_local.is_empty()),
        ];
        for (flag, _) in own.iter().filter(|(_, is_set)| *is_set) {
            let text = "is known only in a network that somebody made: give its name to --network";
            blame.problem(&[flag], text);
        }
    }
    if blame.draft.options.isolation.uts.is_some() && network.hostname.is_some() {
        let text = "a container cannot have the names of its host and one of its own";
        blame.problem(&["hostname", "uts"], text);
    }
}

fn log(blame: &Blame) {
    let logging = &blame.draft.options.logging;
    if logging.driver.as_deref() == Some("none") && !logging.options.is_empty() {
        let text = "the log driver none takes no options";
        blame.problem(&["log-opt", "log-driver"], text);
    }
}
