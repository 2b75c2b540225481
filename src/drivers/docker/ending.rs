//! How a container ended, seen by waiting for it.

use std::sync::Arc;
use std::time::Duration;

use bollard::models::ContainerState;
use futures::StreamExt;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

use super::engine::{Engine, QUICK};
use super::words::Trouble;
use crate::model::Exit;

const PAUSE: Duration = Duration::from_millis(500);

/// Resolves the receiver when the container has ended, however often the engine goes away meanwhile.
pub fn watch(
    engine: &Engine,
    id: &Arc<str>,
) -> (AbortOnDropHandle<()>, watch::Receiver<Option<Exit>>) {
    let (sender, receiver) = watch::channel(None);
    let (engine, id) = (engine.clone(), id.clone());
    let task = tokio::spawn(async move {
        loop {
            match ended(&engine, &id).await {
                Ok(exit) => return drop(sender.send(Some(exit))),
                Err(trouble) if trouble.is_gone() => {
                    let exit = Exit {
                        code: None,
                        signal: None,
                        out_of_memory: false,
                    };
                    return drop(sender.send(Some(exit)));
                }
                Err(_) => sleep(PAUSE).await,
            }
        }
    });
    (AbortOnDropHandle::new(task), receiver)
}

async fn ended(engine: &Engine, id: &str) -> Result<Exit, Trouble> {
    let docker = engine.docker("wait for the container").await?;
    let mut waiting = Box::pin(docker.wait_container(id, None));
    let _ = waiting.next().await;
    let found = engine.ask("look at the container", QUICK, |docker| async move {
        docker.inspect_container(id, None).await
    });
    let state = found.await?.state.unwrap_or_default();
    if state.running == Some(true) {
        return Err(Trouble::lost("wait for the container"));
    }
    Ok(exit(&state))
}

fn exit(state: &ContainerState) -> Exit {
    let code = state.exit_code.and_then(|code| i32::try_from(code).ok());
    let signal = code
        .filter(|code| (129..=192).contains(code))
        .map(|code| code - 128);
    Exit {
        code: code.filter(|_| signal.is_none()),
        signal,
        out_of_memory: state.oom_killed.unwrap_or_default(),
    }
}
