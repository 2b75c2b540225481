//! What README.md says of keys is what the program does.

#![allow(clippy::unwrap_used)] // tests may

use envdeck::console::keymap::{Context, Keymap};

fn table() -> String {
    let rows = Keymap::default().table(Context::Global);
    let lines = rows.into_iter().map(|(action, chords)| {
        let keys: Vec<_> = chords.iter().map(|chord| format!("`{chord}`")).collect();
        format!("| {} | {} |\n", keys.join(" "), action.help())
    });
    format!(
        "| key | meaning |\n|---|---|\n{}",
        lines.collect::<String>()
    )
}

/// Run with `UPDATE_EXPECTED=1` to write the table anew.
#[test]
fn the_key_table_is_that_of_the_program() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let readme = std::fs::read_to_string(path).unwrap();
    let (before, rest) = readme.split_once("<!-- keys -->\n").unwrap();
    let (_, after) = rest.split_once("\n`Esc` never quits").unwrap();
    let expected = format!(
        "{before}<!-- keys -->\n\n{}\n`Esc` never quits{after}",
        table()
    );
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(path, &expected).unwrap();
    }
    assert!(
        readme == expected || std::env::var_os("UPDATE_EXPECTED").is_some(),
        "the key table of README.md is out of date"
    );
}
