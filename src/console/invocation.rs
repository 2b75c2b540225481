//! What is done here as command lines that do the same from a shell.

use crate::quote::line;

/// How this configuration is named on a command line.
#[derive(Clone, Debug, Default)]
pub struct Invocation {
    /// The options and the server: `--config x.yaml`, `-- npx server`; nothing for the demo.
    pub target: Vec<String>,
    /// The only backend is the server of the command line, and is not named.
    pub is_ad_hoc: bool,
}

impl Invocation {
    /// Opens the console on it.
    pub fn open(&self) -> String {
        let target = self.target.iter().map(String::as_str);
        line(["envdeck"].into_iter().chain(target))
    }

    /// Calls a tool of one of its backends with these arguments, a JSON object.
    pub fn call(&self, backend: &str, tool: &str, arguments: &str) -> String {
        let backend = (!self.is_ad_hoc).then_some(backend);
        let arguments = match arguments.trim() {
            "" => "{}",
            arguments => arguments,
        };
        let words = ["envdeck", "call"].into_iter().chain(backend);
        let words = words.chain([tool, "--json", arguments]);
        line(words.chain(self.target.iter().map(String::as_str)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(target: &[&str], is_ad_hoc: bool) -> Invocation {
        Invocation {
            target: target.iter().map(|word| (*word).to_owned()).collect(),
            is_ad_hoc,
        }
    }

    #[test]
    fn a_call_names_its_backend_unless_the_server_is_on_the_command_line() {
        let demo = of(&[], false);
        assert_eq!(demo.open(), "envdeck");
        assert_eq!(
            demo.call("demo", "echo", r#"{"text":"it's"}"#),
            r#"envdeck call demo echo --json '{"text":"it'\''s"}'"#
        );
        let file = of(&["--config", "/my envs.yaml"], false);
        assert_eq!(file.open(), "envdeck --config '/my envs.yaml'");
        assert_eq!(
            file.call("files", "list", ""),
            "envdeck call files list --json '{}' --config '/my envs.yaml'"
        );
        let server = of(&["--", "npx", "server"], true);
        assert_eq!(
            server.call("server", "list", "{}"),
            "envdeck call list --json '{}' -- npx server"
        );
    }
}
