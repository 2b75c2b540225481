//! The logins that `docker login` left: in `config.json`, or behind the credential helpers that it names.
//!
//! <https://docs.docker.com/reference/cli/docker/login/#credential-stores>

use std::env;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bollard::auth::DockerCredentials;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;

use super::reference::HUB;
use crate::model::Secret;

/// For a helper to answer; some ask the user to unlock a key ring.
const HELPER: Duration = Duration::from_secs(30);

/// The key of Docker Hub's login; all others are host names.
const HUB_KEY: &str = "https://index.docker.io/v1/";

/// What a helper answers in place of a user name when the secret is a token.
const TOKEN_USER: &str = "<token>";

/// Where logins are looked up.
#[derive(Clone, Debug)]
pub struct Logins {
    /// Of `config.json`; `None` where the user has no home.
    folder: Option<PathBuf>,
    /// Where helpers are, as in `PATH`; `None`: this process's own.
    helpers: Option<OsString>,
}

/// A login, if there is one.
#[derive(Clone, Debug, Default)]
pub struct Found {
    login: Option<Login>,
    /// Why there may be one that could not be had; no secret is in it.
    pub problem: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Login {
    Password {
        user: String,
        password: Secret,
    },
    /// Exchanged for a shorter-lived one by the registry.
    Identity(Secret),
    /// Sent to the registry as it is.
    Registry(Secret),
}

impl Logins {
    /// `DOCKER_CONFIG`, else `~/.docker`.
    pub fn of_user() -> Self {
        let set = |name| env::var_os(name).filter(|value| !value.is_empty());
        let own = set("DOCKER_CONFIG").map(PathBuf::from);
        let home = || set("HOME").map(|home| PathBuf::from(home).join(".docker"));
        Self {
            folder: own.or_else(home),
            helpers: None,
        }
    }

    /// Those of one directory, with helpers from the directories of `path`.
    pub fn at(folder: impl Into<PathBuf>, path: impl Into<OsString>) -> Self {
        Self {
            folder: Some(folder.into()),
            helpers: Some(path.into()),
        }
    }

    /// The login for a registry. Where a helper fails, as with the docker command line there is none.
    pub async fn find(&self, registry: &str) -> Found {
        let config = match self.config().await {
            Ok(config) => config,
            Err(problem) => {
                return Found {
                    login: None,
                    problem: Some(problem),
                };
            }
        };
        let key = if registry == HUB { HUB_KEY } else { registry };
        match helper(&config, key) {
            Some(helper) => self.ask(helper, key).await,
            None => of_file(&config, key),
        }
    }

    async fn config(&self) -> Result<Value, String> {
        let Some(folder) = &self.folder else {
            return Ok(Value::Null);
        };
        let path = folder.join("config.json");
        let wrong =
            |what: &dyn std::fmt::Display| format!("{} cannot be read: {what}", path.display());
        match tokio::fs::read(&path).await {
            // The error names a line and a column, and nothing of what is there.
            Ok(text) => serde_json::from_slice(&text).map_err(|error| wrong(&error)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Value::Null),
            Err(error) => Err(wrong(&error)),
        }
    }

    async fn ask(&self, helper: &str, key: &str) -> Found {
        let program = format!("docker-credential-{helper}");
        match timeout(HELPER, self.run(&program, key)).await {
            Ok(Ok(login)) => Found {
                login,
                problem: None,
            },
            Ok(Err(problem)) => Found {
                login: None,
                problem: Some(format!("{program}: {problem}")),
            },
            Err(_) => Found {
                login: None,
                problem: Some(format!("{program}: no answer within {HELPER:?}")),
            },
        }
    }

    /// Speaks <https://github.com/docker/docker-credential-helpers>: the key to stdin, JSON from stdout.
    async fn run(&self, program: &str, key: &str) -> Result<Option<Login>, String> {
        let text = |error: io::Error| error.to_string();
        let mut command = Command::new(self.locate(program));
        command
            .arg("get")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(text)?;
        if let Some(mut stdin) = child.stdin.take() {
            // One that does not read it says by itself what it lacks.
            let _ = stdin.write_all(key.as_bytes()).await;
        }
        let ended = child.wait_with_output().await.map_err(text)?;
        let said = String::from_utf8_lossy(&ended.stdout);
        if !ended.status.success() {
            // What it says is an error message, not a secret.
            let said = said.trim();
            let nothing = said.contains("credentials not found");
            return if nothing {
                Ok(None)
            } else {
                Err(format!("{}: {said}", ended.status))
            };
        }
        let answer: Value = serde_json::from_str(&said).map_err(|_| "its answer is no JSON")?;
        let field = |name| answer.get(name).and_then(Value::as_str).unwrap_or_default();
        Ok(login(field("Username"), field("Secret")))
    }

    fn locate(&self, program: &str) -> PathBuf {
        let path = self
            .helpers
            .clone()
            .unwrap_or_else(|| env::var_os("PATH").unwrap_or_default());
        let mut candidates = env::split_paths(&path).map(|folder| folder.join(program));
        candidates
            .find(|file| file.is_file())
            .unwrap_or_else(|| program.into())
    }
}

impl Found {
    /// As the engine wants it.
    pub fn credentials(&self, registry: &str) -> Option<DockerCredentials> {
        let address = if registry == HUB { HUB_KEY } else { registry };
        let mut credentials = DockerCredentials {
            serveraddress: Some(address.to_owned()),
            ..DockerCredentials::default()
        };
        match self.login.as_ref()? {
            Login::Password { user, password } => {
                credentials.username = Some(user.clone());
                credentials.password = Some(password.expose().to_owned());
            }
            Login::Identity(token) => credentials.identitytoken = Some(token.expose().to_owned()),
            Login::Registry(token) => credentials.registrytoken = Some(token.expose().to_owned()),
        }
        Some(credentials)
    }
}

/// The one of this registry, else the one of all.
fn helper<'a>(config: &'a Value, key: &str) -> Option<&'a str> {
    let own = config
        .get("credHelpers")
        .and_then(|helpers| helpers.get(host(key)).or(helpers.get(key)));
    let helper = own.or(config.get("credsStore"))?.as_str()?;
    Some(helper).filter(|helper| !helper.is_empty())
}

/// From `auths`, whose keys are host names, or URLs as old versions wrote them.
fn of_file(config: &Value, key: &str) -> Found {
    let Some(auths) = config.get("auths").and_then(Value::as_object) else {
        return Found::default();
    };
    let old = || {
        auths
            .iter()
            .find(|(written, _)| host(written) == host(key))
            .map(|(_, entry)| entry)
    };
    let Some(entry) = auths.get(key).or_else(old) else {
        return Found::default();
    };
    match of_entry(entry) {
        Ok(login) => Found {
            login,
            problem: None,
        },
        Err(()) => Found {
            login: None,
            problem: Some(format!(
                "the login for {} in config.json is damaged",
                host(key)
            )),
        },
    }
}

fn of_entry(entry: &Value) -> Result<Option<Login>, ()> {
    let field = |name| {
        entry
            .get(name)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
    };
    if let Some(token) = field("identitytoken") {
        return Ok(Some(Login::Identity(Secret::new(token))));
    }
    if let Some(token) = field("registrytoken") {
        return Ok(Some(Login::Registry(Secret::new(token))));
    }
    if let Some(auth) = field("auth") {
        let plain = STANDARD.decode(auth).map_err(drop)?;
        let plain = String::from_utf8(plain).map_err(drop)?;
        let (user, password) = plain.split_once(':').ok_or(())?;
        // Some versions padded it with NUL.
        return Ok(login(user, password.trim_end_matches('\0')));
    }
    Ok(field("username")
        .zip(field("password"))
        .and_then(|(user, password)| login(user, password)))
}

fn login(user: &str, secret: &str) -> Option<Login> {
    let secret_value = Secret::new(secret);
    match user {
        _ if secret.is_empty() => None,
        TOKEN_USER => Some(Login::Identity(secret_value)),
        user => Some(Login::Password {
            user: user.to_owned(),
            password: secret_value,
        }),
    }
}

/// `https://HOST/v1/` -> `HOST`
fn host(key: &str) -> &str {
    let rest = key.split_once("://").map_or(key, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    struct Desk(tempfile::TempDir);

    impl Desk {
        fn new(config: &str) -> Self {
            let desk = Self(tempfile::tempdir().expect("a directory"));
            fs::write(desk.0.path().join("config.json"), config).expect("written");
            desk
        }

        fn helper(self, name: &str, script: &str) -> Self {
            let path = self.0.path().join(format!("docker-credential-{name}"));
            fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("written");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("set");
            self
        }

        async fn find(&self, registry: &str) -> Found {
            Logins::at(self.0.path(), self.0.path())
                .find(registry)
                .await
        }

        /// `USER:PASSWORD` or a token.
        async fn login(&self, registry: &str) -> Option<String> {
            let found = self.find(registry).await;
            assert_eq!(found.problem, None);
            let credentials = found.credentials(registry)?;
            let pair = credentials.username.zip(credentials.password);
            let pair = pair.map(|(user, password)| format!("{user}:{password}"));
            pair.or(credentials.identitytoken)
                .or(credentials.registrytoken)
        }
    }

    #[tokio::test]
    async fn logins_in_the_file() {
        // me:secret, hub:pass:word
        let desk = Desk::new(
            r#"{"auths": {
                "box.example:5000": {"auth": "bWU6c2VjcmV0"},
                "https://index.docker.io/v1/": {"auth": "aHViOnBhc3M6d29yZA=="},
                "https://old.example/v2/": {"username": "a", "password": "b"},
                "token.example": {"auth": "", "identitytoken": "t1"},
                "empty.example": {}
            }}"#,
        );
        let expected = [
            ("box.example:5000", Some("me:secret")),
            (HUB, Some("hub:pass:word")),
            ("old.example", Some("a:b")),
            ("token.example", Some("t1")),
            ("empty.example", None),
            ("box.example", None),
        ];
        for (registry, login) in expected {
            assert_eq!(desk.login(registry).await.as_deref(), login, "{registry}");
        }
    }

    #[tokio::test]
    async fn helpers_come_before_the_file_and_their_own_registry_before_all() {
        let desk = Desk::new(
            r#"{"auths": {"a.example": {"auth": "bWU6c2VjcmV0"}}, "credsStore": "all",
                "credHelpers": {"b.example": "own"}}"#,
        )
        .helper(
            "all",
            r#"read -r key; echo "{\"Username\":\"$1\",\"Secret\":\"$key\"}""#,
        )
        .helper("own", r#"echo '{"Username":"<token>","Secret":"t2"}'"#);
        assert_eq!(
            desk.login("a.example").await.as_deref(),
            Some("get:a.example")
        );
        assert_eq!(desk.login("b.example").await.as_deref(), Some("t2"));
    }

    #[tokio::test]
    async fn what_is_not_found_is_no_problem_and_what_fails_is_named_without_secrets() {
        let desk = Desk::new(
            r#"{"credHelpers": {"a": "none", "b": "broken", "c": "missing", "d": "odd"}}"#,
        )
        .helper(
            "none",
            "echo credentials not found in native keychain; exit 1",
        )
        .helper("broken", "echo the key ring is locked; exit 2")
        .helper("odd", "echo hunter2");
        assert_eq!(desk.login("a").await, None);
        let problem = async |registry| desk.find(registry).await.problem.expect("a problem");
        assert!(
            problem("b")
                .await
                .contains("docker-credential-broken: exit status: 2: the key ring")
        );
        assert!(
            problem("c")
                .await
                .contains("docker-credential-missing: No such file")
        );
        assert_eq!(
            problem("d").await,
            "docker-credential-odd: its answer is no JSON"
        );
    }

    #[tokio::test]
    async fn a_damaged_file_is_named_and_a_missing_one_is_empty() {
        let found = Desk::new("{").find("a").await;
        assert!(
            found
                .problem
                .expect("a problem")
                .contains("config.json cannot be read")
        );
        let found = Desk::new(r#"{"auths": {"a": {"auth": "!"}}}"#)
            .find("a")
            .await;
        assert_eq!(
            found.problem.expect("a problem"),
            "the login for a in config.json is damaged"
        );
        let nowhere = Logins::at("/nonexistent", "");
        assert!(nowhere.find("a").await.problem.is_none());
    }

    #[tokio::test]
    async fn secrets_are_not_shown() {
        let desk = Desk::new(r#"{"auths": {"a": {"username": "me", "password": "hunter2"}}}"#);
        assert!(!format!("{:?}", desk.find("a").await).contains("hunter2"));
    }
}
