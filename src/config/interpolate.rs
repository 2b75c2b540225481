//! `${VAR}` and `${VAR:-default}` in the values of a configuration file; `$$` is a plain `$`.

/// Looks a variable up; injected, so that a test needs no process environment.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

pub(super) struct Expanded {
    pub text: String,
    /// The value was nothing but one `${…}`.
    pub whole: bool,
    /// In words that name variables but never show a value, which may be secret.
    pub troubles: Vec<Trouble>,
}

pub(super) struct Trouble {
    pub text: String,
    pub hint: String,
}

impl Trouble {
    fn new(text: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            hint: hint.into(),
        }
    }
}

pub(super) fn expand(text: &str, env: Environment) -> Expanded {
    let mut expanded = Expanded {
        text: String::new(),
        whole: false,
        troubles: Vec::new(),
    };
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        expanded.text.push_str(&rest[..dollar]);
        let after = &rest[dollar + 1..];
        if let Some(escaped) = after.strip_prefix('$') {
            expanded.text.push('$');
            rest = escaped;
        } else if let Some(inside) = after.strip_prefix('{') {
            let Some(end) = inside.find('}') else {
                expanded.troubles.push(Trouble::new(
                    "`${` is never closed",
                    "write `$${` for the text `${`",
                ));
                return expanded;
            };
            match look_up(&inside[..end], env) {
                Ok(value) => expanded.text.push_str(&value),
                Err(trouble) => expanded.troubles.push(trouble),
            }
            rest = &inside[end + 1..];
            expanded.whole =
                rest.is_empty() && text.starts_with("${") && text.find('}') == Some(text.len() - 1);
        } else {
            // A lone dollar is common in passwords and patterns: it stays.
            expanded.text.push('$');
            rest = after;
        }
    }
    expanded.text.push_str(rest);
    expanded
}

/// As in a shell, `:-` also covers a variable that is set but empty.
fn look_up(expression: &str, env: Environment) -> Result<String, Trouble> {
    let (name, default) = match expression.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (expression, None),
    };
    if !is_name(name) {
        return Err(Trouble::new(
            "`${…}` needs the name of a variable",
            "a name has letters, digits and `_`; write `$${` for the text `${`",
        ));
    }
    match (env(name), default) {
        (_, Some(default)) if default.contains("${") => Err(Trouble::new(
            format!("the default of ${{{name}}} holds another `${{`"),
            "a default is plain text",
        )),
        (Some(value), None) => Ok(value),
        (Some(value), Some(_)) if !value.is_empty() => Ok(value),
        (_, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err(Trouble::new(
            format!("the variable {name} is not set"),
            format!("set it, or write ${{{name}:-default}}"),
        )),
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|first: char| first.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(name: &str) -> Option<String> {
        match name {
            "HOME" => Some("/home/a".into()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    fn text(input: &str) -> String {
        let expanded = expand(input, &env);
        assert!(expanded.troubles.is_empty(), "{input}");
        expanded.text
    }

    #[test]
    fn variables_defaults_and_dollars() {
        assert_eq!(text("${HOME}/data"), "/home/a/data");
        assert_eq!(text("${NO:-x}-${EMPTY:-y}-${HOME:-z}"), "x-y-/home/a");
        assert_eq!(text("${EMPTY}${NO:-}"), "");
        assert_eq!(
            text("$$5 $${HOME} $HOME pa$word $"),
            "$5 ${HOME} $HOME pa$word $"
        );
        assert_eq!(text("ü${HOME}ü"), "ü/home/aü");
    }

    #[test]
    fn only_a_lone_expression_is_whole() {
        assert!(expand("${HOME}", &env).whole);
        assert!(expand("${NO:-8080}", &env).whole);
        for mixed in ["${HOME} ", "x${HOME}", "${HOME}${HOME}", "$$", "plain"] {
            assert!(!expand(mixed, &env).whole, "{mixed}");
        }
    }

    #[test]
    fn troubles_name_the_variable_and_no_value() {
        let trouble = |input: &str| {
            let troubles = expand(input, &env).troubles;
            assert_eq!(troubles.len(), 1, "{input}");
            format!("{} — {}", troubles[0].text, troubles[0].hint)
        };
        assert!(trouble("hunter2${TOKEN}").contains("TOKEN is not set"));
        assert!(trouble("hunter2${TOKEN").contains("never closed"));
        assert!(trouble("${}hunter2").contains("needs the name"));
        assert!(trouble("${hunter-2}").contains("needs the name"));
        assert!(trouble("${A:-${B}}").contains("default of ${A}"));
        for input in [
            "hunter2${TOKEN}",
            "hunter2${TOKEN",
            "${}hunter2",
            "${hunter-2}",
        ] {
            assert!(!trouble(input).contains("hunter"), "{input}");
        }
    }
}
