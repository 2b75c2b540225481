//! Logs: follow and pause, a view that stays put, search, filter, colours.

use envdeck::console::testing::Harness;
use envdeck::model::Transport;
use envdeck::stores::logs::{LogWriter, Severity, Source};

use crate::fixture::{copies, instance, with_instance, with_instance_over};

/// The Logs pane alone on the screen, without times.
fn logs(width: u16, height: u16) -> (Harness, LogWriter) {
    let harness = with_instance(width, height);
    let writer = harness.logs.writer(&instance());
    (harness.press("7ztt"), writer)
}

fn fill(writer: &LogWriter, lines: std::ops::Range<u32>) {
    for line in lines {
        writer.line(Source::Stderr, &format!("line {line}"));
    }
}

/// The rows inside the frame.
fn body(harness: &Harness) -> Vec<String> {
    let screen = harness.screen();
    let rows = screen.lines().filter_map(|row| row.strip_prefix('│'));
    rows.map(|row| row.trim_end_matches('│').trim_end().to_owned())
        .collect()
}

fn title(harness: &Harness) -> String {
    harness.screen().lines().nth(1).unwrap().to_owned()
}

#[test]
fn every_source_has_its_mark() {
    let (mut harness, writer) = logs(60, 15);
    writer.line(Source::Stderr, "listening");
    writer.line(Source::Stdout, "print() in the server");
    writer.line(Source::Server(Severity::Warning), "disk is full");
    writer.line(Source::Envdeck, "restarting");
    harness.redraw();
    insta::assert_snapshot!(harness.screen(), @r#"
     envdeck  test                          1 inst 1◐   calls 0
    ┌ 7 Logs ─ a1b2c3d4  following ────────────────────────────┐
    │stderr  listening                                         │
    │stdout! print() in the server                             │
    │server  warning disk is full                              │
    │envdeck restarting                                        │
    │                                                          │
    │                                                          │
    │                                                          │
    │                                                          │
    │                                                          │
    │                                                          │
    │                                                          │
    └──────────────────────────────────────────────────────────┘
     f follow  / search  n next  & filter  q back  ? help
    "#);
}

#[test]
fn over_http_stdout_is_for_everything() {
    let harness = with_instance_over(Transport::Http, 60, 15);
    let writer = harness.logs.writer(&instance());
    let mut harness = harness.press("7ztt");
    writer.line(Source::Stdout, "GET /mcp 200");
    harness.redraw();
    assert_eq!(body(&harness)[0], "stdout  GET /mcp 200");
}

#[test]
fn an_empty_log_says_what_will_be_there() {
    let (harness, _) = logs(60, 15);
    insta::assert_snapshot!(body(&harness)[0], @r#" nothing yet: its stderr, stray stdout and log messages"#);
}

#[test]
fn it_follows_until_one_moves_up_and_then_stays_put() {
    let (mut harness, writer) = logs(60, 15);
    harness.logs.watch(Some(&instance()));
    fill(&writer, 0..100);
    harness.redraw();
    assert_eq!(body(&harness).last().unwrap(), "stderr  line 99");
    let mut harness = harness.press("k");
    let before = body(&harness);
    fill(&writer, 100..1334);
    harness.redraw();
    assert_eq!(body(&harness), before);
    assert!(
        title(&harness).contains("paused, +1 234 new"),
        "{}",
        title(&harness)
    );
    let harness = harness.press("G");
    assert_eq!(body(&harness).last().unwrap(), "stderr  line 1333");
    assert!(title(&harness).contains("following"), "{}", title(&harness));
}

#[test]
fn the_view_stays_put_while_older_lines_are_evicted() {
    let (mut harness, writer) = logs(60, 15);
    fill(&writer, 0..1000);
    harness.redraw();
    let mut harness = harness.press("k");
    let before = body(&harness);
    // The ring on no screen keeps 32 KiB: a few hundred more lines evict the first ones.
    let mut next = 1000;
    while harness.logs.window(&instance(), 0, 0).first == 0 {
        fill(&writer, next..next + 10);
        next += 10;
    }
    harness.redraw();
    assert_eq!(body(&harness), before);
    let dropped = harness.logs.window(&instance(), 0, 0).dropped;
    assert!(
        title(&harness).contains(&format!("{dropped} earlier line")),
        "{}",
        title(&harness)
    );
    // Even when the lines on screen go, it shows the oldest that are left.
    fill(&writer, next..next + 20_000);
    harness.redraw();
    let first = harness.logs.window(&instance(), 0, 1).lines[0]
        .line
        .text
        .clone();
    assert_eq!(body(&harness)[0], format!("stderr  {first}"));
}

#[test]
fn a_search_goes_to_the_match_and_wraps_around() {
    let (mut harness, writer) = logs(60, 15);
    fill(&writer, 0..100);
    writer.line(Source::Stderr, "an Error here");
    fill(&writer, 100..200);
    harness.redraw();
    let harness = harness.press("/err.r<enter>");
    assert!(body(&harness).contains(&"stderr  an Error here".to_owned()));
    let harness = harness.press("y");
    assert_eq!(copies(&harness).last().unwrap().0, "an Error here");
    let harness = harness.press("n");
    assert!(harness.screen().contains("search wrapped around"));
    let harness = harness.press("/Err0r<enter>");
    assert!(harness.screen().contains("no match for Err0r"));
}

#[test]
fn the_level_of_a_message_can_be_searched_and_filtered() {
    let (mut harness, writer) = logs(60, 15);
    writer.line(Source::Server(Severity::Error), "chatter: broken");
    writer.line(Source::Stderr, "all is well");
    harness.redraw();
    let harness = harness.press("/error<enter>");
    assert!(!harness.screen().contains("no match"));
    let harness = harness.press("&error<enter>");
    assert_eq!(body(&harness)[0], "server  error chatter: broken");
    assert!(!harness.screen().contains("all is well"));
}

#[test]
fn a_match_is_marked_where_it_is() {
    let (mut harness, writer) = logs(60, 15);
    writer.line(Source::Stderr, "a \u{1b}[31mred needle\u{1b}[0m");
    writer.line(Source::Stderr, "the needle under the cursor");
    harness.redraw();
    let harness = harness.press("/needle<enter>G");
    let row = harness
        .screen()
        .lines()
        .position(|row| row.contains("red needle"))
        .unwrap();
    let row = u16::try_from(row).unwrap();
    let background = |column: u16| harness.buffer()[(column, row)].bg;
    let start = 1 + 8 + 6;
    assert_eq!(background(start - 1), ratatui::style::Color::Reset);
    assert_eq!(background(start), ratatui::style::Color::Yellow);
    assert_eq!(background(start + 5), ratatui::style::Color::Yellow);
    assert_eq!(background(start + 6), ratatui::style::Color::Reset);
    assert_eq!(
        harness.buffer()[(start - 2, row)].fg,
        ratatui::style::Color::Indexed(1)
    );
}

#[test]
fn a_filter_hides_the_rest_and_an_exclamation_mark_turns_it_round() {
    let (mut harness, writer) = logs(60, 15);
    fill(&writer, 0..50);
    harness.redraw();
    let mut harness = harness.press("&line .7<enter>");
    assert_eq!(body(&harness)[..2], ["stderr  line 17", "stderr  line 27"]);
    fill(&writer, 50..60);
    harness.redraw();
    assert_eq!(body(&harness)[4], "stderr  line 57");
    assert!(title(&harness).contains("5 of 60"), "{}", title(&harness));
    let harness = harness.press("<esc>&!line .<enter>");
    assert_eq!(body(&harness)[0], "");
    let harness = harness.press("&<esc>");
    assert_eq!(body(&harness).last().unwrap(), "stderr  line 59");
}

#[test]
fn long_lines_wrap_or_scroll_sideways() {
    let (mut harness, writer) = logs(60, 15);
    writer.line(Source::Stderr, &"0123456789".repeat(10));
    harness.redraw();
    assert_eq!(body(&harness)[1], "");
    let harness = harness.press("w");
    assert_eq!(
        body(&harness)[1],
        format!("        {}", "0123456789".repeat(5))
    );
    let harness = harness.press("w<right>");
    assert!(
        body(&harness)[0].starts_with("stderr  9012345"),
        "{:?}",
        body(&harness)
    );
}

#[test]
fn a_line_taller_than_the_screen_can_be_read_to_its_end() {
    let (mut harness, writer) = logs(60, 15);
    writer.line(Source::Stderr, &"0123456789 ".repeat(100));
    writer.line(Source::Stderr, "after");
    harness.redraw();
    let mut harness = harness.press("wg");
    assert!(body(&harness)[0].starts_with("stderr  0123"));
    for _ in 0..40 {
        harness = harness.press("j");
    }
    assert_eq!(body(&harness).last().unwrap(), "stderr  after");
    harness = harness.press("k");
    assert!(body(&harness)[0].starts_with("stderr  0123"));
}
