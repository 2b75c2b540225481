//! Which key means what where: defaults, the user's changes, and their checks.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use strum::IntoEnumIterator;

use super::action::Action;
use super::panes::PaneKind;
use crate::nearest::nearest;

/// Where a binding holds. Panes and dialogs fall back to the global ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Context {
    Global,
    Pane(PaneKind),
    Dialog,
}

impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Context::Global => f.write_str("global"),
            Context::Pane(kind) => f.write_str(&kind.to_string().to_lowercase()),
            Context::Dialog => f.write_str("dialog"),
        }
    }
}

impl Context {
    pub fn all() -> impl Iterator<Item = Context> {
        [Context::Global, Context::Dialog]
            .into_iter()
            .chain(PaneKind::iter().map(Context::Pane))
    }
}

/// One key with its modifiers, in one canonical form: Shift is part of a character, not a modifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Press {
    code: KeyCode,
    modifiers: KeyModifiers,
}

impl Press {
    /// Whether a text field takes it as text.
    fn is_typed(self) -> bool {
        matches!(self.code, KeyCode::Char(_)) && self.modifiers.is_empty()
    }
}

impl From<KeyEvent> for Press {
    fn from(key: KeyEvent) -> Self {
        let mut modifiers =
            key.modifiers & (KeyModifiers::CONTROL | KeyModifiers::ALT | KeyModifiers::SHIFT);
        let code = match key.code {
            KeyCode::Tab if modifiers.contains(KeyModifiers::SHIFT) => KeyCode::BackTab,
            KeyCode::Char(c) if modifiers.contains(KeyModifiers::CONTROL) => {
                KeyCode::Char(c.to_ascii_lowercase())
            }
            code => code,
        };
        if matches!(code, KeyCode::Char(_) | KeyCode::BackTab) {
            modifiers -= KeyModifiers::SHIFT;
        }
        Self { code, modifiers }
    }
}

impl From<Press> for KeyEvent {
    fn from(press: Press) -> Self {
        KeyEvent::new(press.code, press.modifiers)
    }
}

/// Named keys: configuration name and code.
const NAMED: [(&str, KeyCode); 16] = [
    ("enter", KeyCode::Enter),
    ("esc", KeyCode::Esc),
    ("tab", KeyCode::Tab),
    ("backtab", KeyCode::BackTab),
    ("space", KeyCode::Char(' ')),
    ("backspace", KeyCode::Backspace),
    ("delete", KeyCode::Delete),
    ("insert", KeyCode::Insert),
    ("up", KeyCode::Up),
    ("down", KeyCode::Down),
    ("left", KeyCode::Left),
    ("right", KeyCode::Right),
    ("home", KeyCode::Home),
    ("end", KeyCode::End),
    ("pgup", KeyCode::PageUp),
    ("pgdn", KeyCode::PageDown),
];

impl FromStr for Press {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut modifiers = KeyModifiers::NONE;
        let mut rest = text;
        for (prefix, modifier) in [
            ("ctrl+", KeyModifiers::CONTROL),
            ("alt+", KeyModifiers::ALT),
            ("shift+", KeyModifiers::SHIFT),
        ] {
            if let Some(after) = rest.strip_prefix(prefix) {
                modifiers |= modifier;
                rest = after;
            }
        }
        let named = NAMED
            .iter()
            .find(|(name, _)| *name == rest)
            .map(|(_, code)| *code);
        let function = rest
            .strip_prefix('f')
            .and_then(|n| n.parse().ok())
            .filter(|n| (1..=12).contains(n));
        let mut characters = rest.chars();
        let code = match (named, function, characters.next(), characters.next()) {
            (Some(code), ..) => code,
            (_, Some(n), ..) => KeyCode::F(n),
            (_, _, Some(c), None) if !c.is_control() => KeyCode::Char(c),
            _ => {
                return Err(format!(
                    "no key {text:?}: write it like j, G, ctrl+d, alt+x, f2, enter, pgdn"
                ));
            }
        };
        Ok(Press::from(KeyEvent::new(code, modifiers)))
    }
}

impl fmt::Display for Press {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (modifier, name) in [
            (KeyModifiers::CONTROL, "ctrl+"),
            (KeyModifiers::ALT, "alt+"),
            (KeyModifiers::SHIFT, "shift+"),
        ] {
            if self.modifiers.contains(modifier) {
                f.write_str(name)?;
            }
        }
        if self.code == KeyCode::BackTab {
            return f.write_str("shift+tab");
        }
        if let Some((name, _)) = NAMED.iter().find(|(_, code)| *code == self.code) {
            return f.write_str(name);
        }
        match self.code {
            KeyCode::Char(c) => write!(f, "{c}"),
            KeyCode::F(n) => write!(f, "f{n}"),
            other => write!(f, "{other:?}"),
        }
    }
}

/// Keys pressed one after the other: `g g`.
pub type Chord = Vec<Press>;

fn parse_chord(text: &str) -> Result<Chord, String> {
    let chord: Chord = text
        .split(' ')
        .filter(|key| !key.is_empty())
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    if chord.is_empty() {
        Err("an empty key".to_owned())
    } else {
        Ok(chord)
    }
}

/// A chord as the configuration writes it.
pub fn chord_text(chord: &[Press]) -> String {
    chord
        .iter()
        .map(Press::to_string)
        .collect::<Vec<_>>()
        .join(" ")
}

/// What a key sequence leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    Action(Action),
    /// The start of these longer chords.
    Prefix(Vec<(Chord, Action)>),
    Nothing,
}

/// All bindings. The first chord of an action in a context is the one that hints show.
#[derive(Clone, Debug)]
pub struct Keymap {
    bindings: BTreeMap<Context, Vec<(Chord, Action)>>,
}

/// Defaults, grouped as the help page shows them.
const GLOBAL: &[(&str, Action)] = &[
    ("up", Action::Up),
    ("k", Action::Up),
    ("down", Action::Down),
    ("j", Action::Down),
    ("left", Action::Left),
    ("h", Action::Left),
    ("right", Action::Right),
    ("l", Action::Right),
    ("pgup", Action::PageUp),
    ("ctrl+u", Action::PageUp),
    ("pgdn", Action::PageDown),
    ("ctrl+d", Action::PageDown),
    ("g", Action::First),
    ("home", Action::First),
    ("G", Action::Last),
    ("end", Action::Last),
    ("tab", Action::NextPane),
    ("shift+tab", Action::PreviousPane),
    ("]", Action::NextTab),
    ("[", Action::PreviousTab),
    ("1", Action::FocusSessions),
    ("2", Action::FocusInstances),
    ("3", Action::FocusTools),
    ("4", Action::FocusCall),
    ("5", Action::FocusResult),
    ("6", Action::FocusHealth),
    ("7", Action::FocusLogs),
    ("8", Action::FocusCalls),
    ("9", Action::FocusEvents),
    ("z", Action::Zoom),
    ("+", Action::ZoomIn),
    ("_", Action::ZoomOut),
    ("enter", Action::Open),
    ("esc", Action::Back),
    ("q", Action::Close),
    ("ctrl+c", Action::CancelCall),
    ("n", Action::NewSession),
    ("c", Action::CallTool),
    ("r", Action::RunAgain),
    ("R", Action::RunWithEdits),
    ("x", Action::ExtendCall),
    ("L", Action::ShowLogs),
    ("i", Action::Inspect),
    ("e", Action::OpenShell),
    ("s", Action::StopStart),
    ("P", Action::PauseResume),
    ("D", Action::Remove),
    ("/", Action::Search),
    ("&", Action::Filter),
    ("N", Action::SearchPrevious),
    ("y", Action::Copy),
    ("Y", Action::CopyAll),
    ("ctrl+y", Action::CopyCommand),
    ("?", Action::Help),
    (":", Action::CommandLine),
    ("ctrl+p", Action::Palette),
    ("T", Action::NextTheme),
    ("m", Action::ToggleMouse),
    ("ctrl+x", Action::ToggleReadOnly),
    ("ctrl+l", Action::Redraw),
    ("ctrl+z", Action::Suspend),
    ("ctrl+s", Action::Send),
    ("f2", Action::ToggleRaw),
    ("f4", Action::Edit),
];

const TOOLS: &[(&str, Action)] = &[("ctrl+r", Action::RefreshTools), ("n", Action::SearchNext)];
const CALL: &[(&str, Action)] = &[
    ("enter", Action::Open),
    ("i", Action::Open),
    ("space", Action::NextChoice),
    ("ctrl+o", Action::ToggleField),
    ("ctrl+n", Action::AddItem),
    ("ctrl+k", Action::RemoveItem),
];
const RESULT: &[(&str, Action)] = &[
    ("n", Action::SearchNext),
    ("v", Action::ToggleView),
    ("-", Action::FoldAll),
    ("*", Action::UnfoldAll),
    ("w", Action::ToggleWrap),
];
const LOGS: &[(&str, Action)] = &[
    ("n", Action::SearchNext),
    ("f", Action::ToggleFollow),
    ("w", Action::ToggleWrap),
    ("t", Action::ToggleTimestamps),
];
const INSTANCES: &[(&str, Action)] = &[("R", Action::RetryFailed)];
const CALLS: &[(&str, Action)] = &[("n", Action::SearchNext)];
const DIALOG: &[(&str, Action)] = &[
    ("R", Action::RetryFailed),
    ("n", Action::SearchNext),
    ("v", Action::ToggleView),
    ("-", Action::FoldAll),
    ("*", Action::UnfoldAll),
];

fn defaults(context: Context) -> &'static [(&'static str, Action)] {
    match context {
        Context::Global => GLOBAL,
        Context::Pane(PaneKind::Sessions | PaneKind::Instances) => INSTANCES,
        Context::Pane(PaneKind::Tools) => TOOLS,
        Context::Pane(PaneKind::Call) => CALL,
        Context::Pane(PaneKind::Result) => RESULT,
        Context::Pane(PaneKind::Logs | PaneKind::Events) => LOGS,
        Context::Pane(PaneKind::Calls) => CALLS,
        Context::Dialog => DIALOG,
        Context::Pane(_) => &[],
    }
}

impl Default for Keymap {
    fn default() -> Self {
        let parse = |(keys, action): &(&str, Action)| {
            (
                parse_chord(keys).expect("default keys are valid: a test parses them all"),
                *action,
            )
        };
        let bindings = Context::all()
            .map(|context| (context, defaults(context).iter().map(parse).collect()))
            .collect();
        Self { bindings }
    }
}

/// The user's changes: context, chord, action name or `none`.
pub type Overrides = BTreeMap<String, BTreeMap<String, String>>;

impl Keymap {
    /// The defaults with the user's changes; all mistakes at once.
    pub fn with(overrides: &Overrides) -> Result<Self, Vec<String>> {
        let mut keymap = Self::default();
        let mut problems = Vec::new();
        for (context_name, keys) in overrides {
            let Some(context) = Context::all().find(|c| c.to_string() == *context_name) else {
                let known: Vec<_> = Context::all().map(|c| c.to_string()).collect();
                let hint = did_you_mean(context_name, known.iter().map(String::as_str));
                problems.push(format!("keys.{context_name}: no such context{hint}"));
                continue;
            };
            for (keys, action) in keys {
                if let Err(problem) = keymap.rebind(context, keys, action) {
                    problems.push(format!("keys.{context_name}.{keys}: {problem}"));
                }
            }
        }
        problems.extend(keymap.hidden_chords());
        if problems.is_empty() {
            Ok(keymap)
        } else {
            Err(problems)
        }
    }

    fn rebind(&mut self, context: Context, keys: &str, action: &str) -> Result<(), String> {
        let chord = parse_chord(keys)?;
        let bindings = self.bindings.entry(context).or_default();
        bindings.retain(|(bound, _)| *bound != chord);
        if action == "none" {
            return Ok(());
        }
        let known = Action::from_str(action).map_err(|_| {
            format!(
                "no action {action}{}",
                did_you_mean(action, Action::iter().map(Action::name))
            )
        })?;
        bindings.insert(0, (chord, known));
        Ok(())
    }

    /// Chords that can never be typed because a shorter one begins them.
    fn hidden_chords(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for (context, bindings) in &self.bindings {
            for (long, action) in bindings {
                let hides = |(short, _): &&(Chord, Action)| {
                    short.len() < long.len() && long.starts_with(short)
                };
                if let Some((short, other)) = bindings.iter().find(hides) {
                    problems.push(format!(
                        "keys.{context}.{}: {} can't be typed because {} alone is {}; bind that to none",
                        chord_text(long), action.name(), chord_text(short), other.name(),
                    ));
                }
            }
        }
        problems
    }

    /// What `pressed` means in exactly this context.
    pub fn lookup(&self, context: Context, pressed: &[Press]) -> Lookup {
        let bindings = self.bindings.get(&context).map_or(&[][..], Vec::as_slice);
        if let Some((_, action)) = bindings.iter().find(|(chord, _)| chord == pressed) {
            return Lookup::Action(*action);
        }
        let longer: Vec<_> = bindings
            .iter()
            .filter(|(chord, _)| chord.starts_with(pressed))
            .cloned()
            .collect();
        if longer.is_empty() {
            Lookup::Nothing
        } else {
            Lookup::Prefix(longer)
        }
    }

    /// The key that hints show for an action: the context's own, else the global one if the context does
    /// not give that key another meaning.
    pub fn key_for(&self, context: Context, action: Action) -> Option<String> {
        self.key_where(context, action, |_| true)
    }

    /// Like [`Keymap::key_for`] while text is being typed: keys that would be typed are none.
    pub fn key_while_typing(&self, context: Context, action: Action) -> Option<String> {
        self.key_where(context, action, |chord| !chord[0].is_typed())
    }

    fn key_where(
        &self,
        context: Context,
        action: Action,
        fits: impl Fn(&[Press]) -> bool,
    ) -> Option<String> {
        let own = self.bindings.get(&context).into_iter().flatten();
        let mut all = own.chain(self.fallback(context));
        all.find(|(chord, bound)| *bound == action && fits(chord))
            .map(|(chord, _)| chord_text(chord))
    }

    /// The global bindings that `context` does not hide.
    fn fallback(&self, context: Context) -> impl Iterator<Item = &(Chord, Action)> {
        let global = self.bindings.get(&Context::Global).into_iter().flatten();
        global.filter(move |(chord, _)| {
            context == Context::Global
                || (1..=chord.len())
                    .all(|keys| self.lookup(context, &chord[..keys]) == Lookup::Nothing)
        })
    }

    /// Every binding of a context, in order, with all chords of an action together.
    pub fn table(&self, context: Context) -> Vec<(Action, Vec<String>)> {
        rows(self.bindings.get(&context).into_iter().flatten())
    }

    /// Like [`Keymap::table`] of the global bindings, without what `context` gives another meaning.
    pub fn fallback_table(&self, context: Context) -> Vec<(Action, Vec<String>)> {
        rows(self.fallback(context))
    }
}

fn rows<'a>(bindings: impl Iterator<Item = &'a (Chord, Action)>) -> Vec<(Action, Vec<String>)> {
    let mut rows: Vec<(Action, Vec<String>)> = Vec::new();
    for (chord, action) in bindings {
        let text = chord_text(chord);
        match rows.iter_mut().find(|(seen, _)| seen == action) {
            Some((_, chords)) => chords.push(text),
            None => rows.push((*action, vec![text])),
        }
    }
    rows
}

/// What to add to the line about a name that does not exist.
fn did_you_mean<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    nearest(name, known).map_or_else(String::new, |best| format!("; did you mean {best}?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overrides(text: &str) -> Overrides {
        serde_json::from_str(text).expect("test data")
    }

    #[test]
    fn default_keys_parse_do_not_clash_and_print_as_written() {
        for context in Context::all() {
            let keys = defaults(context);
            for (index, (key, _)) in keys.iter().enumerate() {
                let chord = parse_chord(key).expect(key);
                assert_eq!(&chord_text(&chord), key);
                assert!(
                    keys[..index].iter().all(|(other, _)| other != key),
                    "{key} twice in {context}"
                );
            }
        }
        assert_eq!(
            Keymap::with(&Overrides::new())
                .expect("no problems")
                .hidden_chords(),
            Vec::<String>::new()
        );
    }

    #[test]
    fn an_override_wins_and_none_unbinds() {
        let keymap =
            Keymap::with(&overrides(r#"{"global": {"f9": "help", "?": "none"}}"#)).expect("valid");
        let press = |text: &str| parse_chord(text).expect("a key");
        assert_eq!(
            keymap.lookup(Context::Global, &press("f9")),
            Lookup::Action(Action::Help)
        );
        assert_eq!(keymap.lookup(Context::Global, &press("?")), Lookup::Nothing);
        assert_eq!(
            keymap.key_for(Context::Dialog, Action::Help).as_deref(),
            Some("f9")
        );
    }

    #[test]
    fn hints_name_no_key_that_means_something_else_there() {
        let keymap = Keymap::default();
        let result = Context::Pane(PaneKind::Result);
        assert_eq!(keymap.key_for(result, Action::NewSession), None);
        assert_eq!(
            keymap.key_for(result, Action::SearchNext).as_deref(),
            Some("n")
        );
        let call = Context::Pane(PaneKind::Call);
        assert_eq!(
            keymap.key_for(call, Action::NewSession).as_deref(),
            Some("n")
        );
        assert_eq!(keymap.key_while_typing(call, Action::NewSession), None);
        assert_eq!(
            keymap.key_while_typing(call, Action::Open).as_deref(),
            Some("enter")
        );
        let everywhere = keymap.fallback_table(result);
        assert!(
            everywhere
                .iter()
                .all(|(action, _)| *action != Action::NewSession)
        );
    }

    #[test]
    fn a_sequence_waits_for_its_end() {
        let keymap = Keymap::with(&overrides(r#"{"global": {"g": "none", "g g": "first"}}"#))
            .expect("valid");
        let g = parse_chord("g").expect("a key");
        assert!(
            matches!(keymap.lookup(Context::Global, &g), Lookup::Prefix(rest) if rest.len() == 1)
        );
        assert_eq!(
            keymap.lookup(Context::Global, &[g[0], g[0]]),
            Lookup::Action(Action::First)
        );
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        let mistakes = overrides(
            r#"{"gloabl": {}, "logs": {"f": "togle-follow", "hyper+x": "help"}, "global": {"g g": "first"}}"#,
        );
        insta::assert_snapshot!(Keymap::with(&mistakes).expect_err("four mistakes").join("\n"), @r#"
        keys.gloabl: no such context; did you mean global?
        keys.logs.f: no action togle-follow; did you mean toggle-follow?
        keys.logs.hyper+x: no key "hyper+x": write it like j, G, ctrl+d, alt+x, f2, enter, pgdn
        keys.global.g g: first can't be typed because g alone is first; bind that to none
        "#);
    }
}
