//! A container that does on files of this host what only their owner may: remove what a server wrote as root.
//!
//! Its image is empty and made for it; its programs are the host's own, mounted read-only. So it needs no image
//! from anywhere and works with whatever the servers' images hold. Where the engine runs in a virtual machine,
//! mounted files belong to the user anyway, and nobody needs this.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::models::{ContainerCreateBody, HostConfig, Mount, MountType};
use bollard::query_parameters::{
    CreateContainerOptions, CreateImageOptionsBuilder, LogsOptionsBuilder,
    RemoveContainerOptionsBuilder, RemoveImageOptionsBuilder,
};
use bytes::Bytes;
use futures::StreamExt;
use tokio::time::timeout;

use crate::drivers::docker::engine::{Engine, USUAL};
use crate::drivers::docker::labels::Labels;
use crate::drivers::docker::words::Trouble;
use crate::model::{Cause, Failure, Stage};

/// For a command on some ten thousand files.
const PATIENCE: Duration = Duration::from_secs(120);

/// Where the host's programs and their libraries are, on all sorts of Linux.
const PROGRAMS: [&str; 8] = [
    "/bin", "/sbin", "/usr", "/lib", "/lib32", "/lib64", "/libx32", "/nix",
];

/// An empty archive: two blocks of zeros.
const EMPTY: [u8; 1024] = [0; 1024];

/// Runs a command as root, with `folder` at its own path and no other file of this host writable.
pub async fn run(
    engine: &Engine,
    labels: &Labels,
    folder: &Path,
    command: Vec<String>,
) -> Result<(), Failure> {
    let image = import(engine, labels).await?;
    let ended = run_from(engine, &image, labels, folder, command).await;
    let gone = remove_image(engine, &image).await;
    ended.and(gone)
}

async fn run_from(
    engine: &Engine,
    image: &str,
    labels: &Labels,
    folder: &Path,
    command: Vec<String>,
) -> Result<(), Failure> {
    let body = body(image, labels, folder, command);
    let created = engine.ask("create a container", USUAL, |docker| async move {
        docker
            .create_container(None::<CreateContainerOptions>, body)
            .await
    });
    let id = created.await.map_err(|trouble| at(&trouble))?.id;
    let ended = timeout(PATIENCE, done(engine, &id))
        .await
        .unwrap_or_else(|_| {
            let what = "the removal of a container's files".into();
            Err(Failure::new(
                Stage::Remove,
                Cause::Deadline {
                    what,
                    after: PATIENCE,
                },
            ))
        });
    let options = RemoveContainerOptionsBuilder::new()
        .force(true)
        .v(true)
        .build();
    let removed = engine.ask("remove the container", USUAL, |docker| async move {
        docker.remove_container(&id, Some(options)).await
    });
    ended.and(removed.await.map_err(|trouble| at(&trouble)))
}

async fn done(engine: &Engine, id: &str) -> Result<(), Failure> {
    let started = engine.ask("start a container", USUAL, |docker| async move {
        docker.start_container(id, None).await
    });
    started.await.map_err(|trouble| at(&trouble))?;
    let docker = engine
        .docker("wait for a container")
        .await
        .map_err(|trouble| at(&trouble))?;
    match docker.wait_container(id, None).next().await {
        Some(Ok(answer)) if answer.status_code == 0 => Ok(()),
        None => Ok(()),
        // bollard makes an error of every other status.
        Some(_) => Err(Failure::other(Stage::Remove, said(engine, id).await)),
    }
}

/// Why it failed, in its own words.
async fn said(engine: &Engine, id: &str) -> String {
    let options = LogsOptionsBuilder::new()
        .stderr(true)
        .stdout(true)
        .tail("3")
        .build();
    let read = async {
        let docker = engine.docker("read a log").await.ok()?;
        let lines: Vec<_> = docker.logs(id, Some(options)).collect().await;
        let lines = lines.into_iter().flatten().map(|line| line.to_string());
        Some(lines.collect::<String>().trim().to_owned())
    };
    let said = timeout(USUAL, read)
        .await
        .ok()
        .flatten()
        .filter(|said| !said.is_empty());
    said.unwrap_or_else(|| "a container that was to remove files failed".into())
}

fn body(image: &str, labels: &Labels, folder: &Path, command: Vec<String>) -> ContainerCreateBody {
    let programs = PROGRAMS
        .iter()
        .map(PathBuf::from)
        .filter(|folder| folder.exists());
    let mut mounts: Vec<Mount> = programs.map(|folder| mount(&folder, true)).collect();
    mounts.push(mount(folder, false));
    let capabilities = ["CHOWN", "DAC_OVERRIDE", "FOWNER"].map(str::to_owned);
    ContainerCreateBody {
        image: Some(image.to_owned()),
        cmd: Some(command),
        user: Some("0:0".into()),
        labels: Some(labels.clone()),
        env: Some(vec!["PATH=/bin:/usr/bin:/run/current-system/sw/bin".into()]),
        host_config: Some(HostConfig {
            mounts: Some(mounts),
            network_mode: Some("none".into()),
            cap_drop: Some(vec!["ALL".into()]),
            cap_add: Some(capabilities.into()),
            // Files of the host have other labels than containers may touch.
            security_opt: Some(vec!["no-new-privileges".into(), "label=disable".into()]),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}

fn mount(folder: &Path, read_only: bool) -> Mount {
    let path = folder.to_string_lossy().into_owned();
    Mount {
        target: Some(path.clone()),
        source: Some(path),
        typ: Some(MountType::BIND),
        read_only: Some(read_only),
        ..Mount::default()
    }
}

/// Makes an image without any file.
async fn import(engine: &Engine, labels: &Labels) -> Result<String, Failure> {
    let label = |(name, value): (&String, &String)| format!("LABEL {name}={value:?}");
    let options = CreateImageOptionsBuilder::new()
        .from_src("-")
        .changes(labels.iter().map(label).collect())
        .build();
    let imported = engine.ask("make an empty image", USUAL, |docker| async move {
        let archive = bollard::body_full(Bytes::from_static(&EMPTY));
        let messages = docker.create_image(Some(options), Some(archive), None);
        let messages: Vec<_> = messages.collect().await;
        messages.into_iter().collect::<Result<Vec<_>, _>>()
    });
    let messages = imported.await.map_err(|trouble| at(&trouble))?;
    let mut told = messages.into_iter().filter_map(|message| message.status);
    told.find(|status| status.starts_with("sha256:"))
        .ok_or_else(|| Failure::other(Stage::Remove, "the engine made no empty image"))
}

async fn remove_image(engine: &Engine, id: &str) -> Result<(), Failure> {
    let options = RemoveImageOptionsBuilder::new().noprune(true).build();
    let removed = engine.ask("remove the empty image", USUAL, |docker| async move {
        docker.remove_image(id, Some(options), None).await
    });
    match removed.await {
        Err(trouble) if !trouble.is_gone() => Err(at(&trouble)),
        _ => Ok(()),
    }
}

fn at(trouble: &Trouble) -> Failure {
    trouble.at(Stage::Remove)
}
