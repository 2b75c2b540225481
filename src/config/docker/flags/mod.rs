//! The options of `docker run`, each with what it does to a container or why it is refused.

mod isolation;
mod limits;
mod network;
mod process;
mod refused;

use super::draft::Draft;
use super::wrong::Read;
use crate::config::check::Shared;
use crate::model::ContainerOptions;

/// One option of `docker run`.
pub struct Flag {
    /// Without its dashes.
    pub name: &'static str,
    pub short: Option<char>,
    pub effect: Effect,
}

pub enum Effect {
    /// Takes a value.
    Text(fn(&mut ContainerOptions, &str) -> Read<()>),
    /// Takes a value that concerns the file, its directory or the environment, too.
    Wide(fn(&mut Draft, &str, &Shared) -> Read<()>),
    /// True where it stands alone.
    Switch(fn(&mut Draft, bool)),
    /// What envdeck does anyway: a switch that may only say so.
    Given { value: bool, why: &'static str },
    /// Not for a container of envdeck's.
    Refused { is_switch: bool, why: &'static str },
}

impl Flag {
    /// Whether it can stand without a value.
    pub fn is_switch(&self) -> bool {
        match self.effect {
            Effect::Text(_) | Effect::Wide(_) => false,
            Effect::Switch(_) | Effect::Given { .. } => true,
            Effect::Refused { is_switch, .. } => is_switch,
        }
    }

    const fn short(self, short: char) -> Self {
        Self {
            short: Some(short),
            ..self
        }
    }
}

const fn flag(name: &'static str, effect: Effect) -> Flag {
    Flag {
        name,
        short: None,
        effect,
    }
}

const fn text(name: &'static str, set: fn(&mut ContainerOptions, &str) -> Read<()>) -> Flag {
    flag(name, Effect::Text(set))
}

const fn wide(name: &'static str, set: fn(&mut Draft, &str, &Shared) -> Read<()>) -> Flag {
    flag(name, Effect::Wide(set))
}

const fn switch(name: &'static str, set: fn(&mut Draft, bool)) -> Flag {
    flag(name, Effect::Switch(set))
}

const TABLES: [&[Flag]; 5] = [
    process::FLAGS,
    network::FLAGS,
    limits::FLAGS,
    isolation::FLAGS,
    refused::FLAGS,
];

/// Second names.
const ALIASES: &[(&str, &str)] = &[
    ("net", "network"),
    ("net-alias", "network-alias"),
    ("dns-opt", "dns-option"),
];

fn all() -> impl Iterator<Item = &'static Flag> {
    TABLES.into_iter().flatten()
}

/// By its long name, without dashes.
pub fn long(name: &str) -> Option<&'static Flag> {
    let alias = ALIASES.iter().find(|(alias, _)| *alias == name);
    let name = alias.map_or(name, |(_, name)| name);
    all().find(|flag| flag.name == name)
}

pub fn short(letter: char) -> Option<&'static Flag> {
    all().find(|flag| flag.short == Some(letter))
}

/// All long names.
pub fn names() -> Vec<&'static str> {
    all().map(|flag| flag.name).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_and_letters_are_unique() {
        let names = names();
        let distinct: HashSet<_> = names.iter().collect();
        assert_eq!(distinct.len(), names.len());
        let letters: Vec<_> = all().filter_map(|flag| flag.short).collect();
        let distinct: HashSet<_> = letters.iter().collect();
        assert_eq!(distinct.len(), letters.len());
        assert!(
            ALIASES
                .iter()
                .all(|(alias, name)| !names.contains(alias) && names.contains(name))
        );
    }
}
