//! What front ends show of a configured backend; never a secret.

use std::sync::Arc;

use super::Config;
use crate::model::{Backend, BackendInfo, Mode};
use crate::quote;

/// The backends of a configuration as a front end sees them.
pub fn backend_infos(config: &Config) -> Arc<[Arc<BackendInfo>]> {
    config
        .backends
        .iter()
        .map(|backend| Arc::new(info(backend)))
        .collect()
}

fn info(backend: &Backend) -> BackendInfo {
    BackendInfo {
        name: backend.name.clone(),
        kind: backend.kind.as_str().into(),
        mode: backend.mode.short(),
        transport: backend.transport,
        scope: backend.scope,
        summary: summary(&backend.mode).into(),
    }
}

fn summary(mode: &Mode) -> String {
    match mode {
        Mode::Embedded => "demo server inside envdeck".to_owned(),
        Mode::LocalProcess(process) => {
            let words = std::iter::once(&process.command).chain(&process.args);
            quote::line(words)
        }
        Mode::Sandbox(sandbox) => {
            let words = std::iter::once(&sandbox.command).chain(&sandbox.args);
            quote::line(words)
        }
        Mode::LocalDocker(docker) => docker.image.clone(),
        Mode::External(server) => server.shown_url(),
        Mode::RemoteHttpApi(remote) => {
            format!("{} at {}", remote.resource_type, remote.api.shown_url())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::of_command;

    #[test]
    fn a_command_line_is_shown_as_it_could_be_typed() {
        let args = [
            "-c".into(),
            "it's; a \"b\"".into(),
            String::new(),
            "/data".into(),
        ];
        let infos = backend_infos(&of_command("sh", &args));
        assert_eq!(&*infos[0].summary, r#"sh -c 'it'\''s; a "b"' '' /data"#);
    }
}
