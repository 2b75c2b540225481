//! One pull: the engine's stream of messages, watched for progress.

use std::time::Duration;

use bollard::Docker;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures::StreamExt;
use tokio::time::{Instant, timeout_at};

use super::logins::Logins;
use super::obstacle;
use super::progress::Progress;
use super::reference::Reference;
use crate::drivers::Steps;
use crate::drivers::docker::engine::Engine;
use crate::model::{Cause, Failure, Stage};

const WHAT: &str = "pull the image";

/// Pulls an image for a platform, or for the engine's own. Dropping the future ends the pull.
pub async fn pull(
    engine: &Engine,
    logins: &Logins,
    reference: &Reference<'_>,
    platform: Option<&str>,
    stall: Duration,
    steps: &Steps,
) -> Result<(), Failure> {
    steps.tell("pull image");
    let registry = reference.registry();
    let login = logins.find(registry).await;
    let docker = engine
        .docker(WHAT)
        .await
        .map_err(|trouble| trouble.at(Stage::Create))?;
    let options = CreateImageOptionsBuilder::new()
        .from_image(reference.name)
        .tag(reference.version())
        .platform(platform.unwrap_or_default())
        .build();
    let docker = url_safe(docker);
    let mut messages = docker.create_image(Some(options), None, login.credentials(registry));
    let mut progress = Progress::default();
    let mut deadline = Instant::now() + stall;
    loop {
        let Ok(message) = timeout_at(deadline, messages.next()).await else {
            return Err(stalled(reference, stall));
        };
        match message {
            None => return Ok(()),
            Some(Ok(message)) => {
                if progress.take(&message) {
                    deadline = Instant::now() + stall;
                }
                if let Some(words) = progress.words() {
                    steps.tell(words);
                }
            }
            Some(Err(error)) => {
                let trouble = engine.trouble(WHAT, error);
                return Err(match trouble.message() {
                    Some(message) => obstacle::failed(reference, message, login.problem.as_deref()),
                    None => trouble.at(Stage::Create),
                });
            }
        }
    }
}

/// bollard encodes the credentials in the standard alphabet; the engine reads the URL-safe one, and takes what it
/// cannot read for no credentials at all.
fn url_safe(docker: Docker) -> Docker {
    docker.with_request_modifier(|mut request| {
        if let Some(header) = request.headers_mut().get_mut("x-registry-auth") {
            let safe = header
                .to_str()
                .unwrap_or_default()
                .replace('+', "-")
                .replace('/', "_");
            if let Ok(safe) = safe.parse() {
                *header = safe;
                header.set_sensitive(true);
            }
        }
        request
    })
}

fn stalled(reference: &Reference, stall: Duration) -> Failure {
    let cause = Cause::Deadline {
        what: format!("the pull of {reference}").into(),
        after: stall,
    };
    let hint = format!(
        "nothing came from {} any more: check the network, or try again",
        reference.registry()
    );
    Failure::new(Stage::Create, cause).hint(hint)
}
