//! A template put into an image: uploaded into a container, which may work on it, and committed.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bollard::errors::Error;
use bollard::models::{ContainerConfig, ContainerCreateBody};
use bollard::query_parameters::{
    CommitContainerOptionsBuilder, ContainerArchiveInfoOptionsBuilder, CreateContainerOptions,
    CreateContainerOptionsBuilder, UploadToContainerOptionsBuilder,
};
use futures::stream;

use super::Site;
use super::archive::{self, Destination, path, segments};
use super::discards::Committed;
use super::owner::Owner;
use super::tree::Tree;
use super::warmup::Warmup;
use super::work::{self, alone, watched};
use crate::drivers::Steps;
use crate::drivers::docker::create::{Creation, Extras, creation};
use crate::drivers::docker::engine::{Engine, USUAL};
use crate::drivers::docker::image::Image;
use crate::drivers::docker::labels::{self, Labels};
use crate::drivers::docker::remover::Footprint;
use crate::drivers::docker::words::Trouble;
use crate::model::{Backend, Failure, InstanceId, LocalDocker, Mode, RunId, Stage};
use crate::stores::logs::LogWriter;

/// The repository of committed templates.
pub const REPOSITORY: &str = "envdeck-template";

/// For a commit of some gigabytes.
const COMMIT: Duration = Duration::from_secs(600);

/// Links in a path of an image, one behind the other.
const MAX_LINKS: usize = 20;

/// What is committed, and how. For the log, the one of the instance that asked first serves.
pub struct Commission {
    pub backend: Arc<Backend>,
    pub image: Image,
    pub tree: Arc<Tree>,
    /// Where the container has it.
    pub target: String,
    pub owner: Owner,
    pub warmup: Option<Warmup>,
    pub run: RunId,
    /// Of the image; unique.
    pub tag: String,
    pub log: LogWriter,
}

impl Commission {
    fn docker(&self) -> Option<&LocalDocker> {
        match &self.backend.mode {
            Mode::LocalDocker(docker) => Some(docker),
            _ => None,
        }
    }

    /// Does it, and returns the image. Dropping the future leaves nothing.
    pub async fn execute(
        self: Arc<Self>,
        site: &Site,
        steps: &Steps,
    ) -> Result<Committed, Failure> {
        self.check_mounts()?;
        steps.tell("create template container");
        let footprint = Footprint::new(self.name(), site.remover.clone());
        let created = footprint.create(self.create(&site.engine)?).await;
        let (footprint, id) = created.map_err(|trouble| trouble.at(Stage::Prepare))?;
        self.upload(site, &id, steps).await?;
        if let Some(warmup) = self.warmup {
            warmup.run(&site.engine, &id, &self, steps).await?;
        }
        steps.tell("commit template");
        let (engine, discards) = (site.engine.clone(), site.discards.clone());
        let committing = async move {
            let image = self.commit(&engine, &id).await?;
            let committed = Committed::new(&image, &self.reference(), discards);
            footprint.remove().await?;
            Ok(committed)
        };
        // So that there is somebody who removes what comes of it.
        let committed = alone(site.discards.tasks(), committing).await;
        committed.unwrap_or_else(|| Err(Failure::other(Stage::Prepare, "the commit was lost")))
    }

    /// What is mounted is no part of an image.
    fn check_mounts(&self) -> Result<(), Failure> {
        let target = segments(&self.target);
        let meets = |other: &str| {
            let other = segments(other);
            other.starts_with(&target) || target.starts_with(&other)
        };
        let volumes = self.image.config.volumes.iter().flatten();
        let storage = self.docker().map(|docker| &docker.options.storage);
        let mounts = storage.into_iter().flat_map(|storage| {
            storage
                .mounts
                .iter()
                .map(|mount| &mount.target)
                .chain(storage.tmpfs.keys())
        });
        match volumes.chain(mounts).find(|other| meets(other)) {
            None => Ok(()),
            Some(volume) => {
                let text = format!(
                    "a template at {} cannot be committed: {volume} is a volume of the container, which is no part \
                     of its image",
                    self.target
                );
                let hint =
                    "choose another container_template_data_path, or leave it out for a copy";
                Err(Failure::other(Stage::Prepare, text).hint(hint))
            }
        }
    }

    /// A request that is complete in itself.
    fn create(
        &self,
        engine: &Engine,
    ) -> Result<impl Future<Output = Result<String, Trouble>> + Send + 'static, Failure> {
        let Some(docker) = self.docker() else {
            return Err(Failure::other(
                Stage::Prepare,
                "only containers have images",
            ));
        };
        let mut labels = labels::of_run(&self.run);
        // By it, the container is found for its removal; those that are made from the image have their own.
        labels.insert(labels::INSTANCE.to_owned(), self.name().to_string());
        let (options, body) = match self.warmup {
            Some(_) => self.creation(docker, labels),
            None => self.bare(docker, labels),
        };
        let engine = engine.clone();
        Ok(async move {
            let created = engine.ask(
                "create the template container",
                USUAL,
                |docker| async move { docker.create_container(Some(options), body).await },
            );
            Ok(created.await?.id)
        })
    }

    /// The one of an instance.
    fn creation(
        &self,
        docker: &LocalDocker,
        labels: Labels,
    ) -> (CreateContainerOptions, ContainerCreateBody) {
        let extras = Extras {
            name: self.name().to_string(),
            labels,
            image: Some(self.image.id.to_string()),
            ..Extras::default()
        };
        let Creation { options, body } = creation(docker, self.backend.transport, &extras);
        (options, body)
    }

    /// It never runs: what only a running one needs, above all secrets, is kept out of the image.
    fn bare(
        &self,
        docker: &LocalDocker,
        labels: Labels,
    ) -> (CreateContainerOptions, ContainerCreateBody) {
        let config = &self.image.config;
        // There is none without a command; of an image with one, it stays as it is.
        let has_one = config.cmd.is_some() || config.entrypoint.is_some();
        let command = || {
            docker
                .command
                .clone()
                .unwrap_or_else(|| vec!["none".into()])
        };
        let body = ContainerCreateBody {
            image: Some(self.image.id.to_string()),
            cmd: (!has_one).then(command),
            labels: Some(labels),
            ..ContainerCreateBody::default()
        };
        let options = CreateContainerOptionsBuilder::new().name(self.name().as_str());
        (options.build(), body)
    }

    async fn upload(&self, site: &Site, id: &str, steps: &Steps) -> Result<(), Failure> {
        const WHAT: &str = "upload the template";
        let engine = &site.engine;
        steps.tell("upload template");
        let destination = destination(engine, id, &self.target, self.tree.is_directory()).await?;
        let options = UploadToContainerOptionsBuilder::new()
            .path(&destination.folder)
            .no_overwrite_dir_non_dir("true")
            .build();
        let (sender, mut parts) = archive::channel();
        let (control, told, cancel) = work::channel();
        let _ends_with_us = cancel.drop_guard();
        let (tree, owner) = (self.tree.clone(), self.owner);
        let writing = site
            .discards
            .tasks()
            .spawn_blocking(move || archive::write(&tree, &destination, owner, &sender, &control));
        let body = bollard::body_try_stream(stream::poll_fn(move |cx| parts.poll_recv(cx)));
        let docker = engine
            .docker(WHAT)
            .await
            .map_err(|trouble| trouble.at(Stage::Prepare))?;
        let uploaded = watched(steps, "upload template", told, async {
            Ok(docker.upload_to_container(id, Some(options), body).await)
        });
        let uploaded = uploaded.await?;
        match (writing.await, uploaded) {
            (Ok(Ok(())), Ok(())) => Ok(()),
            // The engine ends the upload when it refuses it, and then says more.
            (_, Err(error @ Error::DockerResponseServerError { .. })) => {
                Err(engine.trouble(WHAT, error).at(Stage::Prepare))
            }
            (Ok(Err(failure)), _) => Err(failure),
            (_, Err(error)) => Err(engine.trouble(WHAT, error).at(Stage::Prepare)),
            (Err(_), Ok(())) => Err(Failure::other(
                Stage::Prepare,
                "the upload of the template was lost",
            )),
        }
    }

    fn name(&self) -> InstanceId {
        InstanceId::new(format!("{REPOSITORY}-{}", self.tag))
    }

    fn reference(&self) -> String {
        format!("{REPOSITORY}:{}", self.tag)
    }

    async fn commit(&self, engine: &Engine, id: &str) -> Result<String, Failure> {
        let options = CommitContainerOptionsBuilder::new()
            .container(id)
            .repo(REPOSITORY)
            .tag(&self.tag)
            .comment("a template with its image")
            .build();
        let committed = engine.ask("commit the template", COMMIT, |docker| async move {
            docker
                .commit_container(options, ContainerConfig::default())
                .await
        });
        Ok(committed
            .await
            .map_err(|trouble| trouble.at(Stage::Prepare))?
            .id)
    }
}

/// The deepest directory on the way to `target` that there is, and the rest of the way.
async fn destination(
    engine: &Engine,
    id: &str,
    target: &str,
    is_directory: bool,
) -> Result<Destination, Failure> {
    let mut whole = segments(target);
    for _ in 0..MAX_LINKS {
        // The last segment is written anew with the template's mode and owner, so it is looked at, too, but never
        // taken for the folder.
        let (mut there, mut link) = (0, None);
        for length in 1..=whole.len() {
            let Some(to) = look(engine, id, &path(&whole[..length])).await? else {
                break;
            };
            if !to.is_empty() {
                link = Some((length, to));
                break;
            }
            there = length;
        }
        if let Some((length, to)) = link {
            let mut resolved = segments(&to);
            resolved.extend_from_slice(&whole[length..]);
            whole = resolved;
            continue;
        }
        if whole.is_empty() && !is_directory {
            let text = "a template that is a file cannot take the place of /";
            return Err(Failure::other(Stage::Prepare, text));
        }
        let folder = there.min(whole.len().saturating_sub(1));
        return Ok(Destination {
            folder: path(&whole[..folder]),
            names: whole[folder..].to_vec(),
        });
    }
    let text = format!("{target} leads through more than {MAX_LINKS} links in the image");
    Err(Failure::other(Stage::Prepare, text))
}

/// Where a path in the container leads if it is a link, empty for all else; `None` where there is nothing.
async fn look(engine: &Engine, id: &str, path: &str) -> Result<Option<String>, Failure> {
    let options = ContainerArchiveInfoOptionsBuilder::new().path(path).build();
    let found = engine.ask("look into the image", USUAL, |docker| async move {
        docker.get_container_archive_info(id, Some(options)).await
    });
    match found.await {
        Ok(found) => Ok(Some(found.link_target)),
        Err(trouble) if trouble.is_gone() => Ok(None),
        Err(trouble) => Err(trouble.at(Stage::Prepare)),
    }
}
