//! `docker_run_args`: the options of `docker run`, told apart as that command does.

use super::draft::Draft;
use super::flags::{self, Effect, Flag};
use super::values::numbers;
use super::wrong::{Read, Wrong, ensure};
use crate::config::check::Shared;
use crate::config::cursor::Cursor;
use crate::config::problem;
use crate::nearest::nearest;

/// One option as it stands in the list.
struct Item<'a> {
    flag: &'static Flag,
    /// `None` for a switch that stands alone, and for what is not even text, which is reported already.
    value: Option<&'a str>,
    at: Cursor<'a>,
}

pub fn apply<'a>(draft: &mut Draft<'a>, list: &Cursor<'a>, shared: &Shared) {
    if list.is_text() {
        list.problem_with_hint("expected a list, found text", "such as [--memory, 512m]");
        return;
    }
    let mut all = options(list);
    // Files say the least, wherever they are named.
    all.sort_by_key(|given| !matches!(given.flag.name, "env-file" | "label-file"));
    for given in all {
        let (flag, at) = (given.flag, &given.at);
        if let Err(wrong) = given.apply(draft, shared) {
            wrong.of(format_args!("--{}", flag.name)).report(at);
        }
        draft.note(flag.name, at);
    }
}

impl Item<'_> {
    fn apply(&self, draft: &mut Draft, shared: &Shared) -> Read<()> {
        match &self.flag.effect {
            Effect::Text(set) => match self.value {
                Some(value) => {
                    set(&mut draft.options, value).map_err(|wrong| missing(wrong, value))
                }
                None => Ok(()),
            },
            Effect::Wide(set) => match self.value {
                Some(value) => set(draft, value, shared).map_err(|wrong| missing(wrong, value)),
                None => Ok(()),
            },
            Effect::Switch(set) => {
                set(draft, numbers::switch(self.value.unwrap_or("true"))?);
                Ok(())
            }
            Effect::Given { value, why } => {
                let said = numbers::switch(self.value.unwrap_or("true"))?;
                ensure(said == *value, || {
                    Wrong::new(format!("cannot be {said}: {why}"))
                })
            }
            Effect::Refused { why, .. } => Err(Wrong::new(format!("cannot be given: {why}"))),
        }
    }
}

/// An option that was taken for the value of the one before it.
fn missing(wrong: Wrong, value: &str) -> Wrong {
    let name = value.trim_start_matches('-').split('=').next();
    let is_flag = value.starts_with("--") && name.is_some_and(|name| flags::long(name).is_some());
    if is_flag {
        return wrong.hint("is its value missing? An option follows");
    }
    wrong
}

/// All options of the list, and a problem for whatever is none.
fn options<'a>(list: &Cursor<'a>) -> Vec<Item<'a>> {
    let mut found = Vec::new();
    let mut items = list.items().into_iter();
    while let Some(at) = items.next() {
        let Some(text) = at.text() else { continue };
        let taken = match text.strip_prefix("--") {
            Some("") => return positional(&at, found, "nothing can follow `--`"),
            Some(long) => long_option(long, at, &mut items),
            None => match text.strip_prefix('-').filter(|rest| !rest.is_empty()) {
                Some(shorts) => short_options(shorts, &at, &mut items),
                None => return positional(&at, found, "expected an option, which begins with `-`"),
            },
        };
        found.extend(taken);
    }
    found
}

/// `docker run` takes all from here on for the image and its command.
fn positional<'a>(at: &Cursor, found: Vec<Item<'a>>, text: &str) -> Vec<Item<'a>> {
    let is_switch = |given: &&Item| given.value.is_none() && given.flag.is_switch();
    match found.last().filter(is_switch) {
        Some(given) if at.text().is_some_and(|text| numbers::switch(text).is_ok()) => {
            at.problem_with_hint(text, format!("write --{}=… in one item", given.flag.name));
        }
        _ => at.problem_with_hint(
            text,
            "the image belongs into docker_image, its command into container_command",
        ),
    }
    found
}

/// `name`, `name=value`, or `name` with its value in the next item.
fn long_option<'a>(
    text: &'a str,
    at: Cursor<'a>,
    items: &mut impl Iterator<Item = Cursor<'a>>,
) -> Vec<Item<'a>> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (text, None),
    };
    let Some(flag) = flags::long(name) else {
        unknown(name, &at);
        return Vec::new();
    };
    given(flag, value, at, items).into_iter().collect()
}

/// Letters of switches, the last of which may be one that takes the rest or the next item as its value.
fn short_options<'a>(
    text: &'a str,
    at: &Cursor<'a>,
    items: &mut impl Iterator<Item = Cursor<'a>>,
) -> Vec<Item<'a>> {
    let mut found = Vec::new();
    let word = text.split('=').next().unwrap_or(text);
    if let Some(flag) = flags::long(word).filter(|_| word.len() > 2) {
        let hint = format!("did you mean --{}?", flag.name);
        at.problem_with_hint(format!("unknown option -{word}"), hint);
        return found;
    }
    for (place, letter) in text.char_indices() {
        let rest = &text[place + letter.len_utf8()..];
        let Some(flag) = flags::short(letter) else {
            let shown = problem::shown(&letter.to_string());
            at.problem(format!("unknown option -{shown}"));
            return found;
        };
        if !flag.is_switch() && rest.starts_with(' ') {
            at.problem_with_hint(format!("a space follows -{letter}"), in_two_items(flag));
            return found;
        }
        let value = match rest.strip_prefix('=') {
            Some(value) => Some(value),
            None if flag.is_switch() || rest.is_empty() => None,
            None => Some(rest),
        };
        let ends = value.is_some() || !flag.is_switch();
        found.extend(given(flag, value, at.clone(), items));
        if ends {
            break;
        }
    }
    found
}

fn given<'a>(
    flag: &'static Flag,
    value: Option<&'a str>,
    at: Cursor<'a>,
    items: &mut impl Iterator<Item = Cursor<'a>>,
) -> Option<Item<'a>> {
    if value.is_some() || flag.is_switch() {
        return Some(Item { flag, value, at });
    }
    let Some(next) = items.next() else {
        at.problem(format!("--{} needs a value", flag.name));
        return None;
    };
    let value = next.text();
    Some(Item {
        flag,
        value,
        at: next,
    })
}

fn unknown(name: &str, at: &Cursor) {
    // What follows a space is a value, which is not shown.
    let word = name.split_whitespace().next().unwrap_or_default();
    let text = format!("unknown option --{}", problem::shown(word));
    match flags::long(word) {
        Some(flag) => {
            let text = format!("a space follows --{}", flag.name);
            at.problem_with_hint(text, in_two_items(flag));
        }
        None => match nearest(word, flags::names()) {
            Some(near) => at.problem_with_hint(text, format!("did you mean --{near}?")),
            None => at.problem_with_hint(text, "`docker run --help` lists them"),
        },
    }
}

fn in_two_items(flag: &Flag) -> String {
    let name = flag.name;
    format!("write the option and its value as two items, or as --{name}=…")
}
