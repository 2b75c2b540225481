//! What README.md says of keys is what the program does.

#![allow(clippy::unwrap_used)] // tests may

use envdeck::console::action::Action;
use envdeck::console::keymap::{Context, Keymap};

fn table() -> String {
    let keymap = Keymap::default();
    let global = keymap.table(Context::Global).into_iter();
    let everywhere: Vec<_> = global
        .map(|(action, chords)| format!("| {} | {} |\n", code(&chords), action.help()))
        .collect();
    let everywhere = everywhere.concat();
    // The same action has the same keys in all panes that have it.
    let mut rows: Vec<(Action, Vec<String>, Vec<String>)> = Vec::new();
    for context in Context::all().filter(|context| *context != Context::Global) {
        for (action, chords) in keymap.table(context) {
            match rows
                .iter_mut()
                .find(|row| (row.0, &row.1) == (action, &chords))
            {
                Some(row) => row.2.push(context.to_string()),
                None => rows.push((action, chords, vec![context.to_string()])),
            }
        }
    }
    let lines = rows.into_iter().map(|(action, chords, contexts)| {
        let contexts = contexts.join(", ");
        format!("| {} | {contexts} | {} |\n", code(&chords), action.help())
    });
    let in_panes: String = lines.collect();
    format!(
        "| key | meaning |\n|---|---|\n{everywhere}\n\
         | key | only in | meaning |\n|---|---|---|\n{in_panes}"
    )
}

fn code(chords: &[String]) -> String {
    let keys: Vec<_> = chords.iter().map(|chord| format!("`{chord}`")).collect();
    keys.join(" ")
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
