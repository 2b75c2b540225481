//! The labels that everything we create carries, and whether the one who created it still lives.

use std::collections::HashMap;
use std::fs;
use std::sync::LazyLock;

pub use crate::drivers::Life;
use crate::drivers::Order;
use crate::drivers::process::Identity;
use crate::model::{InstanceId, RunId};

/// Whatever carries it was created by envdeck.
pub const MANAGED: &str = "envdeck.managed";
pub const RUN: &str = "envdeck.run";
/// Process id and start time of the envdeck that created it: `PID:TICKS`.
pub const OWNER: &str = "envdeck.owner";
/// Where that process id means something: `MACHINE/BOOT/NAMESPACE`.
pub const HOST: &str = "envdeck.host";
pub const SESSION: &str = "envdeck.session";
pub const BACKEND: &str = "envdeck.backend";
pub const INSTANCE: &str = "envdeck.instance";

/// The value of [`MANAGED`].
pub const YES: &str = "true";

pub type Labels = HashMap<String, String>;

/// What everything of a run carries, also what belongs to no single instance, such as an image.
pub fn of_run(run: &RunId) -> Labels {
    let owner = Owner::ours();
    let labels = [
        (MANAGED, YES.to_owned()),
        (RUN, run.to_string()),
        (
            OWNER,
            format!("{}:{}", owner.process.pid, owner.process.started),
        ),
        (HOST, owner.place.to_string()),
    ];
    labels.map(|(name, value)| (name.to_owned(), value)).into()
}

/// What the things of one instance carry.
pub fn of_instance(order: &Order) -> Labels {
    let mut labels = of_run(&order.run);
    let own = [
        (SESSION, order.session.to_string()),
        (BACKEND, order.backend.name.to_string()),
        (INSTANCE, order.instance.to_string()),
    ];
    labels.extend(own.map(|(name, value)| (name.to_owned(), value)));
    labels
}

/// What a container carries that many instances share; `holder` stands for them.
pub fn of_room(order: &Order, holder: &InstanceId) -> Labels {
    let mut labels = of_run(&order.run);
    labels.insert(INSTANCE.to_owned(), holder.to_string());
    labels
}

/// The filter by which the engine lists only what envdeck created.
pub fn managed() -> HashMap<String, Vec<String>> {
    filter(MANAGED, YES)
}

/// The filter by which the engine lists only what this run created.
pub fn by_run(run: &RunId) -> HashMap<String, Vec<String>> {
    filter(RUN, run.as_str())
}

/// The filter by which the engine lists only what was created for this instance.
pub fn by_instance(instance: &InstanceId) -> HashMap<String, Vec<String>> {
    filter(INSTANCE, instance.as_str())
}

fn filter(name: &str, value: &str) -> HashMap<String, Vec<String>> {
    HashMap::from([("label".to_owned(), vec![format!("{name}={value}")])])
}

/// Whether the envdeck that created what carries these labels still lives.
pub fn life(labels: &Labels) -> Life {
    let owner = labels.get(OWNER).zip(labels.get(HOST));
    match owner.and_then(|(process, place)| Owner::parse(process, place)) {
        Some(owner) => owner.life(&Owner::ours().place),
        // Made by a version that labels otherwise, or not by us at all.
        None => Life::Unknown,
    }
}

/// The run that created it.
pub fn run(labels: &Labels) -> Option<RunId> {
    labels.get(RUN).map(|run| RunId::new(run.as_str()))
}

/// The instance that it was created for, if for one.
pub fn instance(labels: &Labels) -> Option<InstanceId> {
    labels
        .get(INSTANCE)
        .map(|instance| InstanceId::new(instance.as_str()))
}

/// A process, and where its id means something.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Owner {
    process: Identity,
    place: Place,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    machine: String,
    /// Of this start of the machine.
    boot: String,
    /// Of process ids.
    namespace: String,
}

impl Owner {
    fn ours() -> &'static Self {
        static OURS: LazyLock<Owner> = LazyLock::new(|| Owner {
            process: Identity::own(),
            place: Place::here(),
        });
        &OURS
    }

    fn parse(process: &str, place: &str) -> Option<Self> {
        let (pid, started) = process.split_once(':')?;
        let mut parts = place.split('/').map(str::to_owned);
        let place = Place {
            machine: parts.next()?,
            boot: parts.next()?,
            namespace: parts.next()?,
        };
        let process = Identity {
            pid: pid.parse().ok()?,
            started: started.parse().ok()?,
        };
        Some(Self { process, place })
    }

    fn life(&self, here: &Place) -> Life {
        let Place {
            machine,
            boot,
            namespace,
        } = &self.place;
        if *machine != here.machine {
            Life::Unknown
        } else if *boot != here.boot {
            Life::Dead
        } else if *namespace != here.namespace {
            Life::Unknown
        } else if self.process.is_alive() {
            Life::Lives
        } else {
            Life::Dead
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Place {
            machine,
            boot,
            namespace,
        } = self;
        write!(f, "{machine}/{boot}/{namespace}")
    }
}

impl Place {
    fn here() -> Self {
        let clean = |text: String| text.trim().replace('/', "_");
        let name = clean(sysinfo::System::host_name().unwrap_or_default());
        // A name alone, such as `localhost`, is no identity.
        let id = fs::read_to_string("/etc/machine-id").map(clean);
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .map_or_else(|_| sysinfo::System::boot_time().to_string(), clean);
        // `pid:[4026531836]`
        let namespace = fs::read_link("/proc/self/ns/pid")
            .map(|link| {
                link.to_string_lossy()
                    .replace(['p', 'i', 'd', ':', '[', ']'], "")
            })
            .unwrap_or_default();
        Self {
            machine: id.map_or_else(|_| name.clone(), |id| format!("{name}-{id}")),
            boot,
            namespace,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours() -> Labels {
        of_run(&RunId::new("one"))
    }

    fn with(mut labels: Labels, name: &str, value: &str) -> Labels {
        labels.insert(name.into(), value.into());
        labels
    }

    #[test]
    fn what_we_create_now_belongs_to_somebody_who_lives() {
        assert_eq!(life(&ours()), Life::Lives);
        assert_eq!(run(&ours()), Some(RunId::new("one")));
    }

    #[test]
    fn a_reused_process_id_and_an_earlier_boot_are_dead() {
        let pid = std::process::id();
        assert_eq!(life(&with(ours(), OWNER, &format!("{pid}:1"))), Life::Dead);
        let here = Place::here();
        let rebooted = format!("{}/another-boot/{}", here.machine, here.namespace);
        assert_eq!(life(&with(ours(), HOST, &rebooted)), Life::Dead);
    }

    #[test]
    fn nobody_judges_the_processes_of_other_machines_and_containers() {
        let here = Place::here();
        let dead = with(ours(), OWNER, "1:1");
        for place in [
            format!("elsewhere/{}/{}", here.boot, here.namespace),
            format!("{}/{}/other", here.machine, here.boot),
            "nonsense".to_owned(),
        ] {
            assert_eq!(
                life(&with(dead.clone(), HOST, &place)),
                Life::Unknown,
                "{place}"
            );
        }
        assert_eq!(life(&Labels::new()), Life::Unknown);
    }
}
