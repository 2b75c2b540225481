//! `envdeck tools`: the table, the page of a tool, and JSON.

use crate::shell::Shell;

#[test]
fn the_tools_are_a_table_with_what_they_take() {
    let shell = Shell::new();
    let said = shell.run(&["tools"]);
    let lines: Vec<_> = said.code(0).stdout.lines().collect();
    assert!(lines[0].starts_with("TOOL "), "{said:#?}");
    let weather = lines
        .iter()
        .find(|line| line.starts_with("weather"))
        .unwrap();
    let words: Vec<_> = weather.split_whitespace().take(4).collect();
    assert_eq!(words, ["weather", "city", "[days]", "[units]"]);
    assert_eq!(said.stderr, "");
    shell.assert_clean();
}

#[test]
fn one_tool_is_explained() {
    let shell = Shell::new();
    let said = shell.run(&["tools", "demo", "weather"]);
    for part in [
        "weather - Weather forecast",
        "integer 1…14",
        "one of metric, imperial",
        "required; Any name.",
    ] {
        assert!(
            said.code(0).stdout.contains(part),
            "{part} is missing in {said:#?}"
        );
    }
    let said = shell.run(&["tools", "demo", "wether"]);
    said.complains(
        2,
        "envdeck: there is no tool `wether`; did you mean weather?",
    );
}

#[test]
fn as_json_they_are_what_the_server_sent() {
    let shell = Shell::new();
    let tools = shell.run(&["tools", "demo", "--json"]).code(0).json();
    let tools = tools["tools"].as_array().unwrap();
    let add = tools.iter().find(|tool| tool["name"] == "add").unwrap();
    assert_eq!(
        add["inputSchema"]["required"],
        serde_json::json!(["a", "b"])
    );
    assert_eq!(add["outputSchema"]["properties"]["sum"]["type"], "number");
    assert_eq!(add["annotations"]["readOnlyHint"], true);
}

#[test]
fn an_ad_hoc_server_needs_no_backend() {
    let shell = Shell::new();
    let server = shell.server("", "");
    let said = shell.run(&["tools", "--", "python3", &server]);
    assert!(said.code(0).stdout.contains("\nsay\n"), "{said:#?}");
    let said = shell.run(&["tools", "silent", "--", "python3", &server]);
    assert_eq!(said.code(0).stdout, "silent\n");
    shell.assert_clean();
}
