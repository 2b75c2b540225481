//! The user's own settings of the console: `console.yaml` in the configuration directory.

use std::path::Path;

use serde::Deserialize;

use super::keymap::{Keymap, Overrides};

/// What `console.yaml` may say.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Preferences {
    /// A built-in theme or a file of the `themes` directory beside it.
    pub theme: String,
    /// Whether the mouse is captured at the start.
    pub mouse: bool,
    /// Context to chord to action, see the help page.
    pub keys: Overrides,
}

impl Default for Preferences {
    fn default() -> Self {
        Self {
            theme: "dark".to_owned(),
            mouse: true,
            keys: Overrides::new(),
        }
    }
}

impl Preferences {
    /// Reads the file; a missing one means the defaults. All mistakes at once, each naming the file.
    pub fn load(path: &Path) -> Result<(Self, Keymap), Vec<String>> {
        let told = |text: String| vec![format!("{}: {text}", path.display())];
        let text = match std::fs::read_to_string(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            read => read.map_err(|error| told(error.to_string()))?,
        };
        let preferences = if text.trim().is_empty() {
            Self::default()
        } else {
            serde_yaml::from_str(&text).map_err(|error| told(error.to_string()))?
        };
        let keymap = Keymap::with(&preferences.keys)
            .map_err(|problems| problems.into_iter().flat_map(told).collect::<Vec<_>>())?;
        Ok((preferences, keymap))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<(Preferences, Keymap), Vec<String>> {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("console.yaml");
        std::fs::write(&path, text).expect("written");
        let strip = |problem: String| problem.replace(&format!("{}: ", path.display()), "");
        Preferences::load(&path).map_err(|problems| problems.into_iter().map(strip).collect())
    }

    #[test]
    fn a_missing_or_empty_file_means_the_defaults() {
        let (preferences, _) =
            Preferences::load(Path::new("/nonexistent/console.yaml")).expect("defaults");
        assert_eq!(
            (preferences.theme.as_str(), preferences.mouse),
            ("dark", true)
        );
        assert_eq!(load("\n").expect("defaults").0.theme, "dark");
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(load("them: light").expect_err("typo").len(), 1);
        let problems = load("keys: { global: { f9: halp, zz: help } }").expect_err("two mistakes");
        assert_eq!(
            problems[0],
            "keys.global.f9: no action halp; did you mean help?"
        );
        assert!(
            problems[1].starts_with("keys.global.zz: no key"),
            "{problems:?}"
        );
    }
}
