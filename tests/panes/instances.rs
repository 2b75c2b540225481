//! The instances table.

use envdeck::console::effect::Effect;
use envdeck::console::msg::Msg;
use envdeck::console::testing::fleet::{
    BUSY, FAILED, OWN, READY, STARTING, WAITING, backend, instance, session,
};
use envdeck::model::{Command, Fleet, Happening, Phase};

use crate::common::*;

#[test]
fn each_phase_says_what_one_wants_to_know() {
    insta::assert_snapshot!(body(&full(140, 15).press("2z")), @r#"
    ┌ 2 Instances ─ all sessions · 6 ──────────────────────────────────────────────────────────────────────────────────────────────────────────┐
    │  STATE        ID        BACKEND     MODE      VIA       UP   CPU    MEM  RST  CALLS  ERR     P50  LAST                                   │
    │> ● ready      a1b2c3d4  filesystem  process   stdio     3m    0%    48M    0      3    2   41 ms  read_file                              │
    │  ◐ starting   e5f6a7b8  filesystem  process   stdio  initialize · 4 s · 11 s left                                                        │
    │  ✖ failed     99aabbcc  memory      process   stdio  start: exited with status 137 — raise the memory limit                              │
    │  ◌ waiting    0d1e2f3a  filesystem  process   stdio  retry 2/3 in 4 s · run: killed by SIGKILL                                           │
    │  ● ready ·2   1f2e3d4c  memory      process   stdio     1m     –      –    0      3    1       –  read_graph                             │
    │  ● ready      5a6b7c8d  search      embedded  stdio    14m     –      –    0      0    0       –  –                                      │
    │                                                                                                                                          │
    │                                                                                                                                          │
    │                                                                                                                                          │
    │                                                                                                                                          │
    └──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────┘
    "#);
}

#[test]
fn columns_drop_out_as_the_screen_narrows() {
    insta::assert_snapshot!(body(&full(80, 15).press("2z")), @r#"
    ┌ 2 Instances ─ all sessions · 6 ──────────────────────────────────────────────┐
    │  STATE        ID        BACKEND        UP    MEM  CALLS  ERR  LAST           │
    │> ● ready      a1b2c3d4  filesystem     3m    48M      3    2  read_file      │
    │  ◐ starting   e5f6a7b8  filesystem  initialize · 4 s · 11 s left             │
    │  ✖ failed     99aabbcc  memory      start: exited with status 137 — raise t… │
    │  ◌ waiting    0d1e2f3a  filesystem  retry 2/3 in 4 s · run: killed by SIGKI… │
    │  ● ready ·2   1f2e3d4c  memory         1m      –      3    1  read_graph     │
    │  ● ready      5a6b7c8d  search        14m      –      0    0  –              │
    │                                                                              │
    │                                                                              │
    │                                                                              │
    │                                                                              │
    └──────────────────────────────────────────────────────────────────────────────┘
    "#);
    insta::assert_snapshot!(body(&full(60, 15).press("2z")), @r#"
    ┌ 2 Instances ─ all sessions · 6 ──────────────────────────┐
    │  STATE        ID        BACKEND     CALLS  LAST          │
    │> ● ready      a1b2c3d4  filesystem      3  read_file     │
    │  ◐ starting   e5f6a7b8  filesystem  initialize · 4 s · … │
    │  ✖ failed     99aabbcc  memory      start: exited with … │
    │  ◌ waiting    0d1e2f3a  filesystem  retry 2/3 in 4 s · … │
    │  ● ready ·2   1f2e3d4c  memory          3  read_graph    │
    │  ● ready      5a6b7c8d  search          0  –             │
    │                                                          │
    │                                                          │
    │                                                          │
    │                                                          │
    └──────────────────────────────────────────────────────────┘
    "#);
}

#[test]
fn an_empty_table_teaches() {
    let configured = || empty(80, 15).given(Fleet::new([backend("files")].into()));
    insta::assert_snapshot!(text(&empty(80, 15).press("2z")), @"no backends configured: see envdeck --help");
    insta::assert_snapshot!(text(&configured().press("2z")), @"no instances yet — n opens a session with some");
    insta::assert_snapshot!(text(&full(80, 15).press("2z&zzz<enter>")), @r#"
    nothing matches "zzz" — esc clears the filter
    "#);
}

#[test]
fn the_first_ready_instance_is_selected_and_its_neighbour_when_it_vanishes() {
    let harness = full(120, 36);
    assert_eq!(selected(&harness), instance(READY));
    let harness = harness.happening(Happening::InstanceRemoved {
        instance: instance(READY),
    });
    assert_eq!(selected(&harness), instance(STARTING));
}

#[test]
fn the_cursor_stays_on_its_instance_when_rows_come_before_it() {
    let harness = full(120, 36).press("2jj");
    assert_eq!(selected(&harness), instance(FAILED));
    let harness = harness.happening(Happening::InstanceAdded {
        session: session(OWN),
        instance: instance("000000000000"),
        backend: backend("a-first-one"),
    });
    assert_eq!(selected(&harness), instance(FAILED));
    assert!(harness.screen().contains("> ✖ failed     99aabbcc"));
}

#[test]
fn a_restart_needs_no_question_unless_calls_run() {
    let idle = full(120, 36).press("2r");
    assert_eq!(commands(&idle), [Command::Restart(instance(READY))]);
    let failed = full(120, 36).press("2jjr");
    assert_eq!(commands(&failed), [Command::Restart(instance(FAILED))]);
    let busy = full(120, 36).press("2&1f2e<enter>r");
    assert_eq!(commands(&busy), []);
    assert!(busy.screen().contains("2 running calls will be cancelled"));
    assert_eq!(
        commands(&busy.press("y")),
        [Command::Restart(instance(BUSY))]
    );
}

#[test]
fn stopping_asks_and_starting_does_not() {
    let asked = full(120, 36).press("2s");
    assert_eq!(commands(&asked), []);
    assert!(asked.screen().contains("Stop filesystem a1b2c3d4?"));
    assert_eq!(commands(&full(120, 36).press("2s<enter>")), []);
    assert_eq!(
        commands(&asked.press("y")),
        [Command::Stop(instance(READY))]
    );
    let failed = full(120, 36).press("2jjs");
    assert_eq!(commands(&failed), [Command::Start(instance(FAILED))]);
}

#[test]
fn removing_asks_and_names_what_is_lost() {
    let asked = full(120, 36).press("2D");
    assert_eq!(commands(&asked), []);
    assert!(
        asked
            .screen()
            .contains("it will be stopped and its state lost")
    );
    assert_eq!(
        commands(&asked.press("y")),
        [Command::Remove(instance(READY))]
    );
}

#[test]
fn read_only_mode_changes_nothing() {
    for keys in ["2r", "2s", "2D", "1jD"] {
        let harness = full(120, 36).press("<ctrl+x>").press(keys).press("y");
        assert_eq!(commands(&harness), [], "{keys}");
    }
}

#[test]
fn a_start_shows_its_step_and_many_starts_show_a_bar() {
    let step = |step: &str| Happening::Step {
        instance: instance(STARTING),
        step: step.into(),
        deadline: None,
    };
    let harness = full(140, 24).happening(step("pull image 12/30 MB, layers 3/7"));
    let screen = harness.screen();
    assert!(
        screen.contains("▰▰▰▰▱▱▱▱▱▱ pull image 12/30 MB, layers 3/7 · 4 s"),
        "{screen}"
    );
    assert!(screen.contains("all sessions · 6 ──"), "{screen}");
    // It tells the time while nothing else happens.
    assert!(
        harness
            .after_millis(3_000)
            .screen()
            .contains("layers 3/7 · 7 s")
    );
    let queued = empty(120, 24)
        .given(fleet_of(1))
        .happening(Happening::Step {
            instance: instance("00000000"),
            step: "queued".into(),
            deadline: None,
        });
    assert!(queued.screen().contains("queued · "));
    let again = empty(120, 24)
        .given(fleet_of(1))
        .happening(phase("00000000", Phase::Starting))
        .happening(phase("00000000", Phase::Failed))
        .happening(phase("00000000", Phase::Pending))
        .happening(phase("00000000", Phase::Starting));
    assert!(again.screen().contains("· start 2"), "{}", again.screen());
    let many = empty(120, 24)
        .given(fleet_of(4))
        .happening(phase("00000000", Phase::Starting))
        .happening(phase("00000000", Phase::Ready));
    let title = "all sessions · 4  ▰▰▱▱▱▱▱▱▱▱ 1/4 ready";
    assert!(many.screen().contains(title), "{}", many.screen());
}

#[test]
fn a_filter_hides_the_rest_until_escape() {
    let harness = full(120, 36).press("2&mem");
    assert!(harness.screen().contains("filter: mem"));
    let harness = harness.press("<enter>");
    assert!(harness.screen().contains("all sessions · 2 match mem"));
    assert_eq!(selected(&harness), instance(FAILED));
    let harness = harness.press("<esc>");
    assert!(harness.screen().contains("all sessions · 6"));
    assert_eq!(selected(&harness), instance(FAILED));
}

#[test]
fn a_filter_does_not_hide_what_the_palette_chose() {
    let harness = full(120, 36).press("2&zzz<enter><ctrl+p>e5f6<enter>");
    assert_eq!(selected(&harness), instance(STARTING));
    assert!(harness.screen().contains("all sessions · 6"));
}

#[test]
fn enter_shows_the_evidence_of_the_dead_and_the_tools_of_the_living() {
    assert!(
        full(120, 36)
            .press("2jj<enter>")
            .screen()
            .contains("Death card")
    );
    assert!(
        full(120, 36)
            .press("2jjj<enter>")
            .screen()
            .contains("Death card")
    );
    let living = full(120, 36).press("2<enter>");
    assert_eq!(living.model.focus().to_string(), "Tools");
}

#[test]
fn ids_and_commands_are_copied() {
    assert_eq!(copied(&full(120, 36).press("2y")), Some(READY));
    let copy = full(120, 36).press("2<ctrl+y>");
    assert_eq!(copied(&copy), Some("npx server-filesystem /data"));
    let told = "the command of filesystem a1b2c3d4: npx server-filesystem /data";
    assert!(copy.effects.iter().any(|effect| match effect {
        Effect::Copy { what, .. } => what == told,
        _ => false,
    }));
    // From wherever it is selected, and by name.
    let elsewhere = full(120, 36).press("7:copy-command<enter>");
    assert_eq!(copied(&elsewhere), Some("npx server-filesystem /data"));
    // What runs inside envdeck has no command of its own.
    let inside = full(120, 36).press("2G<ctrl+y>");
    assert_eq!(copied(&inside), Some("envdeck --config mcp.yaml"));
}

#[test]
fn a_shell_opens_in_what_is_selected_but_not_in_read_only_mode() {
    let shell = Effect::OpenShell {
        instance: instance(READY),
        name: "filesystem a1b2c3d4".to_owned(),
    };
    for keys in ["2e", "3e", "6e", "7e", ":open-shell<enter>"] {
        assert!(full(120, 36).press(keys).effects.contains(&shell), "{keys}");
    }
    let refused = full(120, 36).press("<ctrl+x>2e");
    assert!(!refused.effects.contains(&shell));
    assert!(refused.screen().contains("read-only"));
}

#[test]
fn pausing_and_resuming_are_one_key_and_a_paused_one_is_shown_as_such() {
    let paused = |text: &str| Happening::Described {
        instance: instance(READY),
        facts: [("status".into(), text.into())].into(),
    };
    let harness = full(120, 36).press("2P");
    assert_eq!(commands(&harness), [Command::Pause(instance(READY))]);
    let harness = full(120, 36).happening(paused("paused"));
    assert!(harness.screen().contains("‖ paused     a1b2c3d4"));
    assert!(harness.screen().contains("‖ paused · 3m"), "in Health");
    assert_eq!(
        commands(&harness.press("7P")),
        [Command::Resume(instance(READY))]
    );
    let other = full(120, 36).press("2jP");
    assert_eq!(commands(&other), []);
    assert!(other.screen().contains("is starting, not ready"));
}

#[test]
fn what_its_world_says_of_a_ready_one_is_in_its_row() {
    let says = |name: &str, text: &str| Happening::Described {
        instance: instance(READY),
        facts: [(name.into(), text.into())].into(),
    };
    for (name, text, shown) in [
        ("health", "unhealthy ×3: no answer", "● unhealthy  a1b2c3d4"),
        (
            "engine",
            "unreachable since 14:00:00",
            "? no engine  a1b2c3d4",
        ),
        ("health", "healthy", "● ready      a1b2c3d4"),
        ("status", "running", "● ready      a1b2c3d4"),
    ] {
        let screen = full(120, 36).happening(says(name, text)).screen();
        assert!(screen.contains(shown), "{name} {text}: {screen}");
    }
}

#[test]
fn a_click_selects_and_a_second_one_opens() {
    let harness = full(120, 36).click(40, 6);
    assert_eq!(selected(&harness), instance(WAITING));
    assert!(harness.click(40, 6).screen().contains("Death card"));
}

#[test]
fn nothing_ticks_while_nothing_starts() {
    let starting = full(120, 36);
    assert!(starting.model.next_tick().is_some());
    let still = empty(120, 36)
        .given(Fleet::new([backend("files")].into()))
        .happening(opened())
        .happening(added("1"))
        .happening(phase("1", Phase::Starting))
        .happening(phase("1", Phase::Ready));
    // Its age is told in seconds at first.
    assert!(still.model.next_tick().is_some());
    let still = still.after_millis(42_000);
    assert!(still.screen().contains("  42s "), "{}", still.screen());
    let still = still.after_millis(20_000);
    assert_eq!(still.model.next_tick(), None);
    let before = still.screen();
    assert_eq!(before, still.after_millis(30_000).screen());
}

#[test]
fn foreign_names_have_no_power_over_the_screen() {
    let evil = backend("a\u{1b}[2Jb\u{202e}c");
    let mut harness = empty(120, 36)
        .given(Fleet::new([evil.clone()].into()))
        .happening(opened());
    harness = harness.happening(Happening::InstanceAdded {
        session: session(OWN),
        instance: instance("x\u{7}y\nz"),
        backend: evil,
    });
    harness.send(Msg::Tick);
    let screen = harness.screen();
    assert!(!screen.contains(['\u{1b}', '\u{7}', '\u{202e}']));
    assert!(screen.contains("a␛[2Jb"), "{screen}");
}

#[test]
fn ten_thousand_instances_scroll_and_select() {
    let mut harness = empty(120, 36).given(fleet_of(10_000)).press("2G");
    assert_eq!(selected(&harness), instance("00009999"));
    assert!(harness.screen().contains("00009999"));
    harness = harness.press("gj");
    assert_eq!(selected(&harness), instance("00000001"));
    assert!(!harness.screen().contains("00009999"));
}
