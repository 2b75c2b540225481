//! Removal of what killed runs left: containers, images and networks whose owner is dead.

use std::collections::HashMap;

use bollard::models::ImageSummary;
use bollard::query_parameters::{
    ListImagesOptionsBuilder, ListNetworksOptionsBuilder, RemoveImageOptions,
};
use futures::StreamExt;

use super::engine::{Engine, USUAL};
use super::labels::{self, Labels, Life};
use super::remover::{list, remove_container};
use super::words::Trouble;
use crate::model::{Failure, RunId, Stage};

/// Removals at the same time.
const ABREAST: usize = 16;

/// Removes what nobody owns any more, and returns how many things that were. What cannot be removed does not
/// keep the rest from going.
pub async fn reap(engine: &Engine, run: &RunId) -> Result<usize, Failure> {
    let left = containers(engine, run)
        .await
        .map_err(|trouble| removing(&trouble))?;
    let left = remove_all(
        left,
        |id| async move { remove_container(engine, &id).await },
    );
    let mut outcome = left.await;
    let left = images(engine, run)
        .await
        .map_err(|trouble| removing(&trouble))?;
    outcome.add(remove_all(left, |id| remove_image(engine, id)).await);
    let left = networks(engine, run)
        .await
        .map_err(|trouble| removing(&trouble))?;
    outcome.add(remove_all(left, |id| remove_network(engine, id)).await);
    match outcome.failed {
        None => Ok(outcome.removed),
        Some(failure) => Err(failure),
    }
}

fn removing(trouble: &Trouble) -> Failure {
    trouble.at(Stage::Remove)
}

#[derive(Default)]
struct Outcome {
    removed: usize,
    failed: Option<Failure>,
}

impl Outcome {
    fn add(&mut self, other: Self) {
        self.removed += other.removed;
        self.failed = self.failed.take().or(other.failed);
    }
}

async fn remove_all<F>(left: Vec<String>, remove: impl Fn(String) -> F) -> Outcome
where
    F: Future<Output = Result<(), Trouble>>,
{
    let mut outcome = Outcome::default();
    let mut ends = futures::stream::iter(left)
        .map(remove)
        .buffer_unordered(ABREAST);
    while let Some(end) = ends.next().await {
        outcome.add(match end {
            Ok(()) => Outcome {
                removed: 1,
                failed: None,
            },
            Err(trouble) => Outcome {
                removed: 0,
                failed: Some(removing(&trouble)),
            },
        });
    }
    outcome
}

/// Whether nobody will remove it but us.
fn is_orphan(labels: Option<&Labels>, run: &RunId) -> bool {
    labels.is_some_and(|labels| {
        labels::run(labels).as_ref() != Some(run) && labels::life(labels) == Life::Dead
    })
}

async fn containers(engine: &Engine, run: &RunId) -> Result<Vec<String>, Trouble> {
    let found = list(engine, labels::managed()).await?;
    let orphans = found
        .into_iter()
        .filter(|one| is_orphan(one.labels.as_ref(), run));
    Ok(orphans.filter_map(|one| one.id).collect())
}

async fn images(engine: &Engine, run: &RunId) -> Result<Vec<String>, Trouble> {
    let filters: HashMap<_, _> = labels::managed();
    let options = ListImagesOptionsBuilder::new().filters(&filters).build();
    let found = engine.ask("list images", USUAL, |docker| async move {
        docker.list_images(Some(options)).await
    });
    let orphans = found
        .await?
        .into_iter()
        .filter(|one| is_orphan(Some(&one.labels), run));
    // By name where there is one: an image that somebody else has given another name stays.
    let names = |one: ImageSummary| {
        if one.repo_tags.is_empty() {
            vec![one.id]
        } else {
            one.repo_tags
        }
    };
    Ok(orphans.flat_map(names).collect())
}

async fn remove_image(engine: &Engine, name: String) -> Result<(), Trouble> {
    let removed = engine.ask("remove the image", USUAL, |docker| async move {
        docker
            .remove_image(&name, None::<RemoveImageOptions>, None)
            .await
    });
    match removed.await {
        Err(trouble) if !trouble.is_gone() => Err(trouble),
        _ => Ok(()),
    }
}

async fn networks(engine: &Engine, run: &RunId) -> Result<Vec<String>, Trouble> {
    let filters: HashMap<_, _> = labels::managed();
    let options = ListNetworksOptionsBuilder::new().filters(&filters).build();
    let found = engine.ask("list networks", USUAL, |docker| async move {
        docker.list_networks(Some(options)).await
    });
    let orphans = found
        .await?
        .into_iter()
        .filter(|one| is_orphan(one.labels.as_ref(), run));
    Ok(orphans.filter_map(|one| one.id).collect())
}

async fn remove_network(engine: &Engine, id: String) -> Result<(), Trouble> {
    let removed = engine.ask("remove the network", USUAL, |docker| async move {
        docker.remove_network(&id).await
    });
    match removed.await {
        Err(trouble) if !trouble.is_gone() => Err(trouble),
        _ => Ok(()),
    }
}
