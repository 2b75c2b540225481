//! `envdeck completions`: scripts that their shells accept.

use crate::shell::Shell;

#[test]
fn bash_completes_subcommands_and_options() {
    let shell = Shell::new();
    let said = shell.bash(
        "source <(envdeck completions bash); \
         complete() { COMP_WORDS=(envdeck \"$@\"); COMP_CWORD=$#; _envdeck envdeck \"${@: -1}\" ''; echo ${COMPREPLY[@]}; }; \
         complete t; complete call --ti; complete completions z",
    );
    assert_eq!(
        said.code(0).stdout,
        "tools\n--timeout\nzsh\n",
        "{}",
        said.stderr
    );
}

#[test]
fn every_shell_gets_a_script_also_into_a_closed_pipe() {
    let shell = Shell::new();
    for name in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let said = shell.run(&["completions", name]);
        assert!(said.code(0).stdout.contains("envdeck"), "{name}");
        let said = shell.bash(&format!(
            "envdeck completions {name} | true; echo ${{PIPESTATUS[0]}}"
        ));
        assert_eq!(
            (said.stdout.as_str(), said.stderr.as_str()),
            ("0\n", ""),
            "{name}"
        );
    }
}
