//! What runs of envdeck have on an engine, and the removal of what killed ones left.

use bollard::query_parameters::{
    ListImagesOptionsBuilder, ListNetworksOptionsBuilder, RemoveImageOptions,
};
use futures::StreamExt;

use super::container::short;
use super::engine::{Engine, USUAL};
use super::labels::{self, Labels};
use super::remover::{list, remove_container};
use super::words::Trouble;
use crate::drivers::{Life, Trace};
use crate::model::{Failure, RunId, Stage};

/// Removals at the same time.
const ABREAST: usize = 16;

const CONTAINER: &str = "container";
const IMAGE: &str = "image";
const NETWORK: &str = "network";

/// All containers, images and networks that carry our labels, in the order in which they can be removed.
pub async fn traces(engine: &Engine) -> Result<Vec<Trace>, Trouble> {
    let mut traces = containers(engine).await?;
    traces.extend(images(engine).await?);
    traces.extend(networks(engine).await?);
    Ok(traces)
}

/// Removes what nobody owns any more, and returns how many things that were. What cannot be removed does not
/// keep the rest from going.
pub async fn reap(engine: &Engine, run: &RunId) -> Result<usize, Failure> {
    let traces = traces(engine).await.map_err(|trouble| removing(&trouble))?;
    let is_left = |trace: &Trace| trace.life == Life::Dead && trace.run.as_ref() != Some(run);
    let left: Vec<_> = traces.into_iter().filter(is_left).collect();
    let mut outcome = Outcome::default();
    // An image goes when no container uses it, a network when none is in it.
    for kind in [CONTAINER, IMAGE, NETWORK] {
        let of_kind = left.iter().filter(|trace| trace.kind == kind);
        let ids = of_kind.map(|trace| trace.id.clone()).collect();
        let remove = |id: String| async move {
            match kind {
                CONTAINER => remove_container(engine, &id).await,
                IMAGE => remove_image(engine, id).await,
                _ => remove_network(engine, id).await,
            }
        };
        outcome.add(remove_all(ids, remove).await);
    }
    match outcome.failed {
        None => Ok(outcome.removed),
        Some(failure) => Err(failure),
    }
}

fn removing(trouble: &Trouble) -> Failure {
    trouble.at(Stage::Remove)
}

fn trace(kind: &'static str, id: String, what: String, labels: &Labels) -> Trace {
    Trace {
        kind,
        id,
        what,
        run: labels::run(labels),
        instance: labels::instance(labels),
        life: labels::life(labels),
    }
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

async fn containers(engine: &Engine) -> Result<Vec<Trace>, Trouble> {
    let found = list(engine, labels::managed()).await?;
    let told = |one: bollard::models::ContainerSummary| {
        let what = one.image.unwrap_or_default();
        Some(trace(CONTAINER, one.id?, what, &one.labels?))
    };
    Ok(found.into_iter().filter_map(told).collect())
}

async fn images(engine: &Engine) -> Result<Vec<Trace>, Trouble> {
    let filters = labels::managed();
    let options = ListImagesOptionsBuilder::new().filters(&filters).build();
    let found = engine.ask("list images", USUAL, |docker| async move {
        docker.list_images(Some(options)).await
    });
    let mut traces = Vec::new();
    for one in found.await? {
        // By name where there is one: an image that somebody else has given another name stays.
        let names = if one.repo_tags.is_empty() {
            vec![one.id.clone()]
        } else {
            one.repo_tags
        };
        let what = short(&one.id);
        let told = |name| trace(IMAGE, name, what.to_string(), &one.labels);
        traces.extend(names.into_iter().map(told));
    }
    Ok(traces)
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

async fn networks(engine: &Engine) -> Result<Vec<Trace>, Trouble> {
    let filters = labels::managed();
    let options = ListNetworksOptionsBuilder::new().filters(&filters).build();
    let found = engine.ask("list networks", USUAL, |docker| async move {
        docker.list_networks(Some(options)).await
    });
    let told = |one: bollard::models::Network| {
        let what = one.name.unwrap_or_default();
        Some(trace(NETWORK, one.id?, what, &one.labels?))
    };
    Ok(found.await?.into_iter().filter_map(told).collect())
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
