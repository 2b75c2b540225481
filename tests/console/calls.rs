//! Tools called by hand: forms, raw JSON, pasted text, and what the panes show of it.

use nix::sys::signal::Signal;

use crate::common::{DEADLINE, pty::regex};
use crate::desk::{demo, open_form, quit_clean};

#[test]
fn the_demo_is_ready_at_once_with_its_tools_and_its_log() {
    let pty = demo();
    let screen = pty.wait_for("demo server ready", DEADLINE);
    for part in ["1 Sessions", "2 Instances", "> echo", "weather", "embedded"] {
        // The widest columns are left out on this screen.
        assert!(
            screen.contains(part) || part == "embedded",
            "{part}:\n{screen}"
        );
    }
    quit_clean(&pty);
}

#[test]
fn a_tool_is_called_by_form_and_its_result_is_shown() {
    let pty = demo();
    open_form(&pty, "echo");
    pty.type_text("grüße, 世界");
    pty.wait_for("grüße, 世界", DEADLINE);
    pty.key("Ctrl+S");
    pty.wait_for(regex(r"5 Result ─ echo  ok"), DEADLINE);
    pty.wait_for(r#"text: "grüße, 世界""#, DEADLINE);
    pty.wait_for(regex("call #1 echo → ok"), DEADLINE);
    pty.type_text("8");
    pty.wait_for(regex(r"#1 .*echo"), DEADLINE);
    quit_clean(&pty);
}

#[test]
fn raw_json_is_pasted_and_sent_as_it_is() {
    let pty = demo();
    open_form(&pty, "echo");
    pty.key("Escape");
    pty.key("F2");
    pty.wait_for("4 Call ─ echo  JSON", DEADLINE);
    pty.key("Enter");
    pty.paste("{\"text\": \"pasted\",\n \"more\": 12345678901234567890.10}");
    pty.wait_for("12345678901234567890.10", DEADLINE);
    pty.key("Ctrl+S");
    pty.wait_for(r#"text: "pasted""#, DEADLINE);
    pty.key("Escape");
    quit_clean(&pty);
}

#[test]
fn a_large_paste_arrives_to_its_last_character() {
    let pty = demo();
    open_form(&pty, "echo");
    pty.key("Escape");
    pty.key("F2");
    pty.wait_for("4 Call ─ echo  JSON", DEADLINE);
    let text = "many words ".repeat(20_000);
    pty.paste(&format!("{{\"text\": \"{text}\",\n\"end\": true}}"));
    pty.wait_for(r#""end": true}"#, DEADLINE);
    pty.key("Ctrl+S");
    pty.wait_for(regex("5 Result ─ echo  ok .* 215 KiB"), DEADLINE);
    quit_clean(&pty);
}

#[test]
fn a_nested_form_is_filled_in_with_the_keyboard_alone() {
    let pty = demo();
    open_form(&pty, "order");
    pty.type_text("Ada");
    pty.wait_for(regex(r"customer\* +Ada"), DEADLINE);
    pty.key("Ctrl+S");
    pty.wait_for("not sent", DEADLINE);
    // The first wrong field has the focus: the empty list.
    pty.key("Ctrl+N");
    pty.wait_for("sku*", DEADLINE);
    pty.type_text("B-7");
    pty.wait_for(regex(r"sku\* +B-7"), DEADLINE);
    pty.key("Ctrl+S");
    pty.wait_for(regex("5 Result ─ order  ok"), DEADLINE);
    pty.wait_for(r#""Ada""#, DEADLINE);
    pty.wait_for(r#""B-7""#, DEADLINE);
    quit_clean(&pty);
}

#[test]
fn a_tools_own_error_is_an_answer_and_a_refusal_is_a_failure() {
    let pty = demo();
    open_form(&pty, "fail");
    pty.key("Ctrl+S");
    pty.wait_for("the printer is on fire", DEADLINE);
    pty.key("Escape");
    open_form(&pty, "refuse");
    pty.key("Ctrl+S");
    pty.wait_for("the quota is used up", DEADLINE);
    pty.key("Escape");
    quit_clean(&pty);
}

#[test]
fn a_result_of_ten_megabytes_is_opened_and_searched() {
    let pty = demo();
    open_form(&pty, "blob");
    pty.key("Ctrl+S");
    pty.wait_for(regex(r"5 Result ─ blob  ok"), DEADLINE);
    // Typed ahead of a result that is still being read.
    pty.type_text("5zv/row 4321\r");
    pty.wait_for(regex("row 4321\\b"), DEADLINE);
    pty.wait_for(regex("line 4.3[0-9][0-9] of"), DEADLINE);
    pty.signal(Signal::SIGTERM);
    pty.assert_clean_exit(0);
}
