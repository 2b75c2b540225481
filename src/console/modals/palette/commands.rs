//! What can be typed after `:` besides the name of an entry.

use std::str::FromStr;

use strum::IntoEnumIterator;

use super::entries::open;
use crate::console::action::Action;
use crate::console::effect::{Effect, Intent};
use crate::console::modals::death_card::DeathCardPage;
use crate::console::panes::Cx;
use crate::nearest::nearest;

/// The intents of a typed command, or what is wrong with it. `None`: no command of this form.
pub fn parse(typed: &str, cx: &Cx) -> Option<Result<Vec<Intent>, String>> {
    let words: Vec<_> = typed.split_whitespace().collect();
    match words[..] {
        ["q" | "quit"] => Some(Ok(vec![Intent::Do(Action::Quit)])),
        ["death"] => Some(death(cx)),
        ["theme", name] => Some(Ok(vec![Intent::Run(Effect::LoadTheme(name.to_owned()))])),
        ["theme", ..] => Some(Err("theme NAME, for example theme light".to_owned())),
        ["open", backend] => Some(open_session(backend, "1", cx)),
        ["open", backend, count] => Some(open_session(backend, count, cx)),
        ["open", ..] => Some(Err(
            "open BACKEND [NUMBER], for example open demo 3".to_owned()
        )),
        [name] => Action::from_str(name)
            .ok()
            .map(|action| Ok(vec![Intent::Do(action)])),
        _ => None,
    }
}

/// The evidence of the selected instance's latest death.
fn death(cx: &Cx) -> Result<Vec<Intent>, String> {
    let instance = cx.instance().ok_or("no instance is selected")?;
    let card = DeathCardPage::new(instance).ok_or("it has not died")?;
    Ok(vec![Intent::Open(Box::new(card))])
}

fn open_session(name: &str, count: &str, cx: &Cx) -> Result<Vec<Intent>, String> {
    let names = || cx.fleet.backends.iter().map(|backend| &*backend.name);
    let Some(backend) = cx.fleet.backend(name) else {
        let hint = hint(name, names());
        return Err(hint.unwrap_or_else(|| {
            let known: Vec<_> = names().collect();
            format!("no backend {name}; there are: {}", known.join(", "))
        }));
    };
    match count.parse() {
        Ok(count @ 1..=999) => Ok(vec![open(backend.name.clone(), count)]),
        _ => Err(format!("{count}: not a number from 1 to 999")),
    }
}

/// What to say of a command that does not exist.
pub fn unknown(typed: &str) -> String {
    hint(typed, Action::iter().map(Action::name))
        .unwrap_or_else(|| format!("no command {typed}; an empty line lists all"))
}

/// The line about a name that does not exist, if there is one like it.
fn hint<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    nearest(name, known).map(|best| format!("no {name}; did you mean {best}?"))
}
