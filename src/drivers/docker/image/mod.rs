//! Images: found here or pulled, one pull for all who wait.

mod logins;
mod obstacle;
mod progress;
mod pull;
mod reference;

use std::sync::Arc;
use std::time::Duration;

use bollard::models::{ImageConfig, ImageInspect};

pub use self::logins::Logins;
use self::reference::Reference;
use super::engine::{Engine, QUICK};
use super::joint::Joint;
use super::words::Trouble;
use crate::drivers::Steps;
use crate::model::{Failure, Stage};

/// A pull that brings nothing new in this time is given up. Engines give up a silent registry after 15 s, and need
/// a while to check a large layer.
pub const STALL: Duration = Duration::from_secs(90);

/// When an image is pulled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pull {
    Always,
    #[default]
    Missing,
    Never,
}

/// What image somebody wants.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// A name or an id.
    pub reference: Arc<str>,
    /// `os[/architecture[/variant]]`; `None` is the engine's own.
    pub platform: Option<Arc<str>>,
    pub pull: Pull,
}

/// An image that is here.
#[derive(Clone, Debug)]
pub struct Image {
    /// `sha256:…`; unlike its name it always means the same image.
    pub id: Arc<str>,
    pub reference: Arc<str>,
    /// `os/architecture[/variant]`
    pub platform: Arc<str>,
    #[expect(dead_code, reason = "templates come next")]
    pub(super) config: Arc<ImageConfig>,
}

/// The images of an engine. Cheap to clone; clones share the pulls.
#[derive(Clone)]
pub struct Images {
    shared: Arc<Shared>,
}

struct Shared {
    engine: Engine,
    logins: Logins,
    stall: Duration,
    /// By reference and platform.
    pulls: Joint<(Arc<str>, Option<Arc<str>>), ()>,
}

impl Images {
    pub fn new(engine: Engine) -> Self {
        Self::with(engine, Logins::of_user(), STALL)
    }

    /// With other logins than the user's, and another patience with pulls that stand still.
    pub fn with(engine: Engine, logins: Logins, stall: Duration) -> Self {
        let shared = Shared {
            engine,
            logins,
            stall,
            pulls: Joint::default(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Finds the image or pulls it, as wanted. Tells the progress of a pull as steps; dropping the future ends the
    /// pull, unless others wait for it. Takes as long as a pull goes on.
    pub async fn ensure(&self, wanted: &Wanted, steps: &Steps) -> Result<Image, Failure> {
        let reference = Reference::parse(&wanted.reference);
        let found = self.find(wanted).await?;
        let fits = |image: &Image| match &wanted.platform {
            Some(platform) => is_of(&image.platform, platform),
            None => true,
        };
        let may_pull = wanted.pull != Pull::Never && !reference.is_id();
        match found {
            Some(image) if fits(&image) && (wanted.pull != Pull::Always || !may_pull) => Ok(image),
            Some(image) if !may_pull => {
                let platform = wanted.platform.as_deref().unwrap_or_default();
                Err(obstacle::other_platform(
                    &reference,
                    platform,
                    &image.platform,
                ))
            }
            None if !may_pull => Err(obstacle::missing(&reference)),
            _ => {
                self.pull(wanted, steps).await?;
                let pulled = self.find(wanted).await?;
                pulled.ok_or_else(|| obstacle::missing(&reference))
            }
        }
    }

    async fn pull(&self, wanted: &Wanted, steps: &Steps) -> Result<(), Failure> {
        let key = (wanted.reference.clone(), wanted.platform.clone());
        let shared = self.shared.clone();
        let (whole, platform) = key.clone();
        let work = |told: Steps, token: tokio_util::sync::CancellationToken| async move {
            let reference = Reference::parse(&whole);
            let Shared {
                engine,
                logins,
                stall,
                ..
            } = &*shared;
            let pull = pull::pull(
                engine,
                logins,
                &reference,
                platform.as_deref(),
                *stall,
                &told,
            );
            token
                .run_until_cancelled(pull)
                .await
                .unwrap_or_else(|| Err(cancelled(&reference)))
        };
        self.shared.pulls.ask(key, steps, work).await
    }

    async fn find(&self, wanted: &Wanted) -> Result<Option<Image>, Failure> {
        let name = wanted.reference.clone();
        let found = self
            .shared
            .engine
            .ask("look for the image", QUICK, |docker| async move {
                docker.inspect_image(&name).await
            });
        match found.await {
            Ok(found) => Ok(Some(image(wanted.reference.clone(), found))),
            Err(trouble) if trouble.is_gone() => Ok(None),
            Err(trouble) => Err(refused(wanted, &trouble)),
        }
    }

    /// Resolves when no pull goes on.
    pub async fn settle(&self) {
        self.shared.pulls.settle().await;
    }
}

/// The engine refuses what cannot be a name.
fn refused(wanted: &Wanted, trouble: &Trouble) -> Failure {
    match trouble.message() {
        Some(message) => obstacle::failed(&Reference::parse(&wanted.reference), message, None),
        None => trouble.at(Stage::Create),
    }
}

fn cancelled(reference: &Reference) -> Failure {
    Failure::other(
        Stage::Create,
        format!("the pull of {reference} was cancelled"),
    )
}

fn image(reference: Arc<str>, found: ImageInspect) -> Image {
    let parts = [found.os, found.architecture, found.variant]
        .into_iter()
        .flatten();
    let parts: Vec<String> = parts.filter(|part| !part.is_empty()).collect();
    Image {
        id: found.id.unwrap_or_default().into(),
        reference,
        platform: parts.join("/").into(),
        config: Arc::new(found.config.unwrap_or_default()),
    }
}

/// Whether an image for `found` is what `wanted` asks for; what it leaves open, fits.
fn is_of(found: &str, wanted: &str) -> bool {
    let (mut found, mut wanted) = (found.split('/'), wanted.split('/'));
    loop {
        match (found.next(), wanted.next()) {
            (_, None) => return true,
            // arm64 is arm64/v8, whoever says so.
            (None, Some(variant)) => return variant == "v8",
            (Some(found), Some(wanted)) if usual(found) != usual(wanted) => return false,
            _ => {}
        }
    }
}

/// One name of an architecture of the many it has.
fn usual(part: &str) -> String {
    match part.to_lowercase().as_str() {
        "x86_64" | "x86-64" => "amd64".into(),
        "aarch64" => "arm64".into(),
        "i386" => "386".into(),
        "armhf" => "arm".into(),
        other => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_fit_as_far_as_they_are_named() {
        assert!(is_of("linux/amd64", "linux"));
        assert!(is_of("linux/amd64", "linux/amd64"));
        assert!(is_of("linux/amd64", "linux/x86_64"));
        assert!(is_of("linux/arm64", "linux/arm64/v8"));
        assert!(is_of("linux/arm64/v8", "linux/aarch64"));
        assert!(!is_of("linux/amd64", "linux/arm64"));
        assert!(!is_of("linux/arm/v6", "linux/arm/v7"));
        assert!(!is_of("linux/amd64", "windows"));
    }
}
