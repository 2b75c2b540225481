//! Themes: roles to styles, read from YAML, with inheritance and fallback along the dots.

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;

use ratatui::style::{Color, Modifier, Style};
use serde::Deserialize;
use strum::{Display, EnumCount, EnumIter, EnumString, IntoEnumIterator};

use crate::nearest::nearest;

/// The themes that ship with the program, in the order `next-theme` walks them.
pub const BUILT_IN: [(&str, &str); 4] = [
    ("dark", include_str!("../../themes/dark.yaml")),
    ("light", include_str!("../../themes/light.yaml")),
    (
        "high-contrast",
        include_str!("../../themes/high-contrast.yaml"),
    ),
    ("mono", include_str!("../../themes/mono.yaml")),
];

/// What a piece of the screen means. A theme that does not name `phase.failed` styles it as `phase`,
/// then as `text`.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Display, EnumString, EnumIter, EnumCount,
)]
pub enum Role {
    #[strum(serialize = "text")]
    Text,
    #[strum(serialize = "dim")]
    Dim,
    #[strum(serialize = "border")]
    Border,
    #[strum(serialize = "border.focus")]
    BorderFocus,
    #[strum(serialize = "title")]
    Title,
    #[strum(serialize = "title.focus")]
    TitleFocus,
    #[strum(serialize = "selection")]
    Selection,
    #[strum(serialize = "selection.blurred")]
    SelectionBlurred,
    #[strum(serialize = "header")]
    Header,
    #[strum(serialize = "hint")]
    Hint,
    #[strum(serialize = "key")]
    Key,
    #[strum(serialize = "phase")]
    Phase,
    #[strum(serialize = "phase.pending")]
    PhasePending,
    #[strum(serialize = "phase.starting")]
    PhaseStarting,
    #[strum(serialize = "phase.ready")]
    PhaseReady,
    #[strum(serialize = "phase.waiting")]
    PhaseWaiting,
    #[strum(serialize = "phase.stopping")]
    PhaseStopping,
    #[strum(serialize = "phase.stopped")]
    PhaseStopped,
    #[strum(serialize = "phase.failed")]
    PhaseFailed,
    #[strum(serialize = "level.info")]
    LevelInfo,
    #[strum(serialize = "level.warn")]
    LevelWarn,
    #[strum(serialize = "level.error")]
    LevelError,
    #[strum(serialize = "match")]
    Match,
    #[strum(serialize = "json")]
    Json,
    #[strum(serialize = "json.key")]
    JsonKey,
    #[strum(serialize = "json.string")]
    JsonString,
    #[strum(serialize = "json.number")]
    JsonNumber,
    #[strum(serialize = "json.literal")]
    JsonLiteral,
    #[strum(serialize = "json.punctuation")]
    JsonPunctuation,
    #[strum(serialize = "log")]
    Log,
    #[strum(serialize = "log.time")]
    LogTime,
    #[strum(serialize = "log.stderr")]
    LogStderr,
    #[strum(serialize = "log.stdout")]
    LogStdout,
    #[strum(serialize = "log.server")]
    LogServer,
    #[strum(serialize = "log.envdeck")]
    LogEnvdeck,
    #[strum(serialize = "form.label")]
    FormLabel,
    #[strum(serialize = "form.required")]
    FormRequired,
    #[strum(serialize = "form.value")]
    FormValue,
    #[strum(serialize = "form.absent")]
    FormAbsent,
    #[strum(serialize = "form.error")]
    FormError,
    #[strum(serialize = "spark")]
    Spark,
    #[strum(serialize = "bar")]
    Bar,
    #[strum(serialize = "modal")]
    Modal,
    #[strum(serialize = "toast")]
    Toast,
}

/// How many colours the terminal has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ColorDepth {
    /// `NO_COLOR` is set.
    None,
    Ansi16,
    Ansi256,
    TrueColor,
}

impl ColorDepth {
    /// From `NO_COLOR`, `COLORTERM` and `TERM` (<https://no-color.org>).
    pub fn detect(env: impl Fn(&str) -> Option<String>) -> Self {
        let is = |name: &str, value: &str| env(name).is_some_and(|v| v.contains(value));
        if env("NO_COLOR").is_some_and(|v| !v.is_empty()) {
            Self::None
        } else if is("COLORTERM", "truecolor") || is("COLORTERM", "24bit") {
            Self::TrueColor
        } else if is("TERM", "256color") {
            Self::Ansi256
        } else {
            Self::Ansi16
        }
    }
}

/// A style for each role.
#[derive(Clone, Debug, PartialEq)]
pub struct Theme {
    pub name: String,
    styles: [Style; Role::COUNT],
    depth: ColorDepth,
}

impl Theme {
    pub fn style(&self, role: Role) -> Style {
        self.styles[role as usize]
    }

    /// A colour that is not the theme's (a program's own, say) as this terminal can show it.
    pub fn adapt(&self, color: Color) -> Color {
        degrade(color, self.depth)
    }

    /// A built-in theme, or `NAME.yaml` of the user's directory, which wins.
    pub fn load(name: &str, user: Option<&Path>, depth: ColorDepth) -> Result<Self, String> {
        let wanted = if depth == ColorDepth::None {
            "mono"
        } else {
            name
        };
        let layers = layers(wanted, user)?;
        let mut theme = Self {
            name: name.to_owned(),
            styles: resolve(&layers)?,
            depth,
        };
        for style in &mut theme.styles {
            style.fg = style.fg.map(|color| degrade(color, depth));
            style.bg = style.bg.map(|color| degrade(color, depth));
        }
        Ok(theme)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ThemeFile {
    inherits: Option<String>,
    #[serde(default)]
    palette: BTreeMap<String, String>,
    #[serde(default)]
    roles: BTreeMap<String, StyleEntry>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum StyleEntry {
    Foreground(String),
    Full(FullStyle),
}

#[derive(Deserialize)]
struct FullStyle {
    fg: Option<String>,
    bg: Option<String>,
    /// `bold`, `dim`, `italic`, `underline`, `reverse`: each a key of its own, `true` or `false`.
    #[serde(flatten)]
    modifiers: BTreeMap<String, bool>,
}

/// The file and what it inherits, the most general first, each with its name.
fn layers(name: &str, user: Option<&Path>) -> Result<Vec<(String, ThemeFile)>, String> {
    let mut chain: Vec<(String, ThemeFile)> = Vec::new();
    let mut next = Some(name.to_owned());
    while let Some(name) = next {
        if chain.iter().any(|(seen, _)| *seen == name) {
            return Err(format!("theme {name}: inherits itself"));
        }
        let file: ThemeFile = serde_yaml::from_str(&read(&name, user)?)
            .map_err(|error| format!("theme {name}: {error}"))?;
        let parent = file.inherits.clone();
        chain.push((name, file));
        next = parent;
    }
    chain.reverse();
    Ok(chain)
}

fn read(name: &str, user: Option<&Path>) -> Result<String, String> {
    let file = user.map(|directory| directory.join(format!("{name}.yaml")));
    if let Some(path) = file.filter(|path| path.is_file()) {
        return std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()));
    }
    let built_in = BUILT_IN.iter().find(|(known, _)| *known == name);
    built_in.map(|(_, text)| (*text).to_owned()).ok_or_else(|| {
        let names: Vec<_> = BUILT_IN.iter().map(|(name, _)| *name).collect();
        format!("no theme {name}; there are {}", names.join(", "))
    })
}

fn resolve(layers: &[(String, ThemeFile)]) -> Result<[Style; Role::COUNT], String> {
    let mut palette = BTreeMap::new();
    let mut roles = BTreeMap::new();
    for (name, file) in layers {
        palette.extend(&file.palette);
        for (role, entry) in &file.roles {
            let known = Role::from_str(role).map_err(|_| {
                let known: Vec<_> = Role::iter().map(|role| role.to_string()).collect();
                let near = nearest(role, known.iter().map(String::as_str));
                let hint = near.map(|near| format!("; did you mean {near}?"));
                format!("theme {name}: no role {role}{}", hint.unwrap_or_default())
            })?;
            roles.insert(known, (name, entry));
        }
    }
    let mut styles = [None; Role::COUNT];
    for (role, (name, entry)) in roles {
        let style = style(entry, &palette).map_err(|e| format!("theme {name}: {role}: {e}"))?;
        styles[role as usize] = Some(style);
    }
    let mut resolved = [Style::default(); Role::COUNT];
    for role in Role::iter() {
        resolved[role as usize] = fallbacks(role)
            .find_map(|r| styles[r as usize])
            .unwrap_or_default();
    }
    Ok(resolved)
}

/// `a.b`, `a`, `text`.
fn fallbacks(role: Role) -> impl Iterator<Item = Role> {
    let name = role.to_string();
    let parent = name
        .split_once('.')
        .and_then(|(parent, _)| Role::from_str(parent).ok());
    [Some(role), parent, Some(Role::Text)].into_iter().flatten()
}

fn style(entry: &StyleEntry, palette: &BTreeMap<&String, &String>) -> Result<Style, String> {
    let full = match entry {
        StyleEntry::Foreground(fg) => return Ok(Style::new().fg(color(fg, palette)?)),
        StyleEntry::Full(full) => full,
    };
    let mut style = Style::new();
    if let Some(fg) = &full.fg {
        style = style.fg(color(fg, palette)?);
    }
    if let Some(bg) = &full.bg {
        style = style.bg(color(bg, palette)?);
    }
    for (name, on) in &full.modifiers {
        let modifier = match name.as_str() {
            "bold" => Modifier::BOLD,
            "dim" => Modifier::DIM,
            "italic" => Modifier::ITALIC,
            "underline" => Modifier::UNDERLINED,
            "reverse" => Modifier::REVERSED,
            _ => {
                return Err(format!(
                    "no attribute {name}: fg, bg, bold, dim, italic, underline, reverse"
                ));
            }
        };
        if *on {
            style = style.add_modifier(modifier);
        }
    }
    Ok(style)
}

/// A palette name, `default`, a colour name (`bright-black`), `#rgb`, `#rrggbb` or 0–255.
fn color(text: &str, palette: &BTreeMap<&String, &String>) -> Result<Color, String> {
    let text = palette
        .get(&text.to_owned())
        .map_or(text, |text| text.as_str());
    if text == "default" {
        return Ok(Color::Reset);
    }
    if let Some(&[r, g, b]) = text.strip_prefix('#').map(str::as_bytes)
        && let Ok(rgb) = Color::from_str(&String::from_utf8_lossy(&[b'#', r, r, g, g, b, b]))
    {
        return Ok(rgb);
    }
    Color::from_str(text).map_err(|_| {
        format!("no colour {text}: a name such as bright-red, #rrggbb, 0-255 or a palette entry")
    })
}

fn degrade(color: Color, depth: ColorDepth) -> Color {
    match (color, depth) {
        (_, ColorDepth::None) => Color::Reset,
        (Color::Rgb(r, g, b), ColorDepth::Ansi256) => Color::Indexed(nearest_256(r, g, b)),
        (Color::Rgb(r, g, b), ColorDepth::Ansi16) => nearest_16(r, g, b),
        _ => color,
    }
}

/// The 6×6×6 cube of xterm's palette.
fn nearest_256(r: u8, g: u8, b: u8) -> u8 {
    let step = |v: u8| v / 51 + u8::from(v % 51 > 25);
    16 + 36 * step(r) + 6 * step(g) + step(b)
}

/// One bit a channel, bright when any channel is high.
fn nearest_16(r: u8, g: u8, b: u8) -> Color {
    let most = r.max(g).max(b);
    let on = |v: u8| u8::from(most > 48 && u16::from(v) * 2 > u16::from(most));
    let index = on(r) | on(g) << 1 | on(b) << 2;
    Color::Indexed(if most > 191 { index + 8 } else { index })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_theme_loads_at_every_depth() {
        for (name, _) in BUILT_IN {
            for depth in [
                ColorDepth::None,
                ColorDepth::Ansi16,
                ColorDepth::Ansi256,
                ColorDepth::TrueColor,
            ] {
                let theme = Theme::load(name, None, depth).expect(name);
                let colored = theme
                    .styles
                    .iter()
                    .filter_map(|s| s.fg)
                    .any(|c| c != Color::Reset);
                assert!(
                    depth != ColorDepth::None || !colored,
                    "{name} has colours without colour"
                );
                let rgb = theme
                    .styles
                    .iter()
                    .any(|s| matches!(s.fg, Some(Color::Rgb(..))));
                assert!(
                    depth == ColorDepth::TrueColor || !rgb,
                    "{name} keeps RGB at {depth:?}"
                );
            }
        }
    }

    #[test]
    fn a_missing_role_falls_back_along_the_dots() {
        let dir = tempfile::tempdir().expect("tempdir");
        std::fs::write(dir.path().join("x.yaml"), "roles: { phase: '#f00' }").expect("written");
        let theme = Theme::load("x", Some(dir.path()), ColorDepth::TrueColor).expect("loads");
        assert_eq!(
            theme.style(Role::PhaseFailed).fg,
            Some(Color::Rgb(255, 0, 0))
        );
        assert_eq!(theme.style(Role::JsonKey), Style::default());
    }

    #[test]
    fn mistakes_are_named() {
        let cases = [
            (
                "roles: { phase.faild: red }",
                "no role phase.faild; did you mean phase.failed?",
            ),
            ("roles: { text: '#12345' }", "text: no colour #12345"),
            ("inherits: x", "inherits itself"),
            (
                "inherits: nowhere",
                "no theme nowhere; there are dark, light",
            ),
            ("colours: {}", "unknown field `colours`"),
        ];
        for (text, expected) in cases {
            let dir = tempfile::tempdir().expect("tempdir");
            std::fs::write(dir.path().join("x.yaml"), text).expect("written");
            let error = Theme::load("x", Some(dir.path()), ColorDepth::TrueColor).expect_err(text);
            assert!(error.contains(expected), "{error}");
        }
    }
}
