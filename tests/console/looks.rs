//! Themes, colours, and how little is written when nothing happens.

use std::fs;
use std::time::Duration;

use tempfile::TempDir;
use vt100::Color;

use crate::common::{
    DEADLINE,
    pty::{Pty, regex},
};
use crate::desk::{ENVDECK, demo, envdeck, quit_clean, wait_ready};

fn with_env(env: &[(&str, &str)]) -> Pty {
    let pty = Pty::spawn(ENVDECK, &[], 120, 36, env);
    wait_ready(&pty);
    pty
}

#[test]
fn no_color_writes_no_colour() {
    let pty = with_env(&[("NO_COLOR", "1")]);
    pty.type_text("?");
    pty.wait_for("everywhere", DEADLINE);
    pty.key("Escape");
    pty.wait_gone("everywhere", DEADLINE);
    let raw = String::from_utf8(pty.raw_bytes()).unwrap();
    let coloured = regex(r"\x1b\[([0-9;]*;)?(3[0-8]|4[0-8]|58|9[0-7]|10[0-7])(;[0-9;]*)?m");
    let found: Vec<_> = coloured.find_iter(&raw).map(|m| m.as_str()).collect();
    assert_eq!(found, Vec::<&str>::new());
    quit_clean(&pty);
}

#[test]
fn themes_are_chosen_by_name_and_walked_with_a_key() {
    let title = |pty: &Pty| pty.cell_of("2 Instances").fgcolor();
    let mut seen = Vec::new();
    for theme in ["dark", "light", "high-contrast", "mono"] {
        let pty = envdeck(&["--theme", theme]);
        wait_ready(&pty);
        pty.type_text("T");
        let next = pty.wait_for(regex("theme [a-z-]+"), DEADLINE);
        assert!(!next.contains(&format!("theme {theme} ")), "{next}");
        seen.push(title(&pty));
        quit_clean(&pty);
    }
    // T goes round: what follows mono is dark, what precedes it is drawn without colours.
    assert_eq!(seen[2], Color::Default);
    assert_ne!(seen[3], Color::Default);
}

#[test]
fn the_theme_of_the_settings_file_is_used() {
    let settings = TempDir::with_prefix("envdeck-settings-").unwrap();
    fs::create_dir(settings.path().join("envdeck")).unwrap();
    fs::write(
        settings.path().join("envdeck/console.yaml"),
        "theme: mono\n",
    )
    .unwrap();
    let pty = with_env(&[("XDG_CONFIG_HOME", settings.path().to_str().unwrap())]);
    assert_eq!(pty.cell_of("● ready").fgcolor(), Color::Default);
    quit_clean(&pty);
}

#[test]
fn an_idle_console_writes_nothing() {
    let pty = demo();
    pty.wait_gone("instances are ready", DEADLINE);
    // Probes go on meanwhile; what they find does not change. Ages are told in seconds for a minute.
    pty.wait_quiet(Duration::from_secs(3), DEADLINE * 4);
    quit_clean(&pty);
}
