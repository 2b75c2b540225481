//! A configuration that needs no file: a server in a container of an image that the command line names.

use std::path::Path;

use serde_json::{Value, json};

use super::adhoc::identifier;
use super::interpolate::Environment;
use super::load::of_text;
use super::problem::{Invalid, Problem};
use super::{Config, Origin};

/// What the command line says of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InContainer<'a> {
    pub image: &'a str,
    /// Where the server listens; it speaks on stdin and stdout if absent.
    pub port: Option<u16>,
    /// Options of `docker run`; `${VAR}` is filled in, so that no secret need stand on the command line.
    pub run_args: &'a [String],
    /// The arguments of the image's entrypoint; its own, if empty.
    pub args: &'a [String],
}

/// A single backend that runs the image, named after it.
///
/// # Errors
/// All that is wrong, by option.
pub fn of_image(container: InContainer<'_>, env: Environment) -> Result<Config, Invalid> {
    let program = Path::new(env!("CARGO_PKG_NAME"));
    let loaded = of_text(&document(container).to_string(), program, env);
    let mut config = loaded.map_err(|invalid| Invalid {
        problems: invalid.problems.into_iter().map(by_option).collect(),
        ..invalid
    })?;
    config.origin = Origin::AdHoc;
    Ok(config)
}

/// What a file would say; JSON is YAML.
fn document(container: InContainer<'_>) -> Value {
    let mut backend = json!({
        "backend_name_ref": name(container.image),
        "backend_type": "container",
        "orchestration_mode": "local_docker",
        "mcp_transport": "stdio",
        "docker_image": as_is(container.image),
        "docker_run_args": container.run_args,
    });
    if let Some(port) = container.port {
        backend["mcp_transport"] = "http".into();
        backend["container_port"] = port.into();
    }
    if !container.args.is_empty() {
        backend["container_command"] = container.args.iter().map(|arg| as_is(arg)).collect();
    }
    json!({ "backends": [backend] })
}

/// A text in which nothing is filled in.
fn as_is(text: &str) -> String {
    text.replace('$', "$$")
}

/// `registry/mcp/filesystem:1.2` is `filesystem`.
fn name(image: &str) -> String {
    let last = image.rsplit('/').next().unwrap_or(image);
    identifier(last.split([':', '@']).next().unwrap_or(last))
}

fn by_option(problem: Problem) -> Problem {
    let option = if problem.path.contains("docker_run_args") {
        "--run-arg"
    } else if problem.path.contains("container_port") {
        "--container-port"
    } else {
        "--image"
    };
    Problem {
        place: None,
        path: option.to_owned(),
        ..problem
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Mode, Transport};

    fn of<'a>(image: &'a str, run_args: &'a [String], args: &'a [String]) -> InContainer<'a> {
        InContainer {
            image,
            port: None,
            run_args,
            args,
        }
    }

    #[test]
    fn an_image_becomes_a_backend_that_is_named_after_it() {
        let run_args = ["--env=TOKEN=${TOKEN}".to_owned(), "-m=64m".to_owned()];
        let args = ["/data".to_owned(), "$HOME".to_owned()];
        let env = |name: &str| (name == "TOKEN").then(|| "hunter2".to_owned());
        let container = of("localhost:5000/mcp/filesystem:1.2", &run_args, &args);
        let config = of_image(container, &env).expect("a backend");
        let backend = &config.backends[0];
        assert_eq!(
            (&*backend.name, backend.transport),
            ("filesystem", Transport::Stdio)
        );
        assert_eq!(config.origin, Origin::AdHoc);
        let Mode::LocalDocker(docker) = &backend.mode else {
            panic!("a container")
        };
        assert_eq!(docker.command.as_deref(), Some(&args[..]));
        assert_eq!(docker.options.environment["TOKEN"].expose(), "hunter2");

        let http = InContainer {
            port: Some(8080),
            ..of("web", &[], &[])
        };
        let config = of_image(http, &env).expect("a backend");
        assert_eq!(config.backends[0].transport, Transport::Http);
    }

    #[test]
    fn what_is_wrong_is_told_by_option() {
        let run_args = ["--memori=1g".to_owned(), "-e=A=${NONE}".to_owned()];
        let wrong = of_image(of("Not An Image", &run_args, &[]), &|_| None);
        let told = wrong.expect_err("all of it is wrong").to_string();
        assert!(told.contains("envdeck: --run-arg: "), "{told}");
        assert!(told.contains("did you mean --memory?"), "{told}");
        assert!(told.contains("NONE"), "{told}");
        assert!(!told.contains("backends"), "{told}");
    }
}
