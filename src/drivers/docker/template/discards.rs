//! What templates make outside of this process, and its removal on every path.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bollard::query_parameters::RemoveImageOptionsBuilder;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;

use super::helper;
use super::remove::Sweeper;
use super::work::alone;
use crate::drivers::docker::engine::{Engine, USUAL};
use crate::drivers::docker::labels;
use crate::model::{Failure, RunId, Stage};

/// Between two attempts: it doubles from the first to the last.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(5)];
/// An image is in use until the last of its containers is gone.
const ATTEMPTS: u32 = 12;
/// How long the end of everything waits for what is on its way out.
const SETTLE: Duration = Duration::from_secs(30);

/// Removes in the background what was dropped. Cheap to clone.
#[derive(Clone)]
pub struct Discards {
    shared: Arc<Shared>,
}

struct Shared {
    engine: Engine,
    sweeper: Sweeper,
    tasks: TaskTracker,
    /// Why what is left is left.
    left: Mutex<HashMap<Thing, Failure>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Thing {
    Image { id: Arc<str> },
    Copy { path: PathBuf, run: RunId },
}

impl fmt::Display for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Thing::Image { id } => write!(f, "the template's image {id}"),
            Thing::Copy { path, .. } => write!(f, "the copy {}", path.display()),
        }
    }
}

impl Discards {
    pub fn new(engine: Engine) -> Self {
        let tasks = TaskTracker::new();
        // Closed trackers take tasks, too; only then waiting ends when there are none.
        tasks.close();
        let shared = Shared {
            sweeper: Sweeper::new(engine.clone()),
            engine,
            tasks,
            left: Mutex::default(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// For work that must end before the end of everything.
    pub fn tasks(&self) -> &TaskTracker {
        &self.shared.tasks
    }

    /// Resolves when all that was dropped is gone, or with what of it stays.
    pub async fn settle(&self) -> Result<(), Failure> {
        let is_idle = timeout(SETTLE, self.shared.tasks.wait()).await.is_ok();
        let left = self.shared.left.lock();
        match left.iter().next() {
            Some((thing, failure)) => {
                let text = format!("{thing} may be left: {}", failure.cause);
                Err(Failure::other(Stage::Remove, text).hint("`envdeck gc` removes it"))
            }
            None if is_idle => Ok(()),
            None => Err(Failure::other(
                Stage::Remove,
                "templates are still being removed",
            )),
        }
    }

    /// Removes a directory with what containers wrote there.
    pub async fn sweep(&self, run: &RunId, path: &Path) -> Result<(), Failure> {
        self.shared.sweeper.remove(run, path.to_owned()).await
    }

    /// Tries until it succeeds, or has failed often enough.
    async fn insist(self, thing: Thing) {
        let [mut pause, longest] = PAUSES;
        for _ in 0..ATTEMPTS {
            match self.remove(&thing).await {
                Ok(()) => return drop(self.shared.left.lock().remove(&thing)),
                Err(failure) => drop(self.shared.left.lock().insert(thing.clone(), failure)),
            }
            sleep(pause).await;
            pause = (pause * 2).min(longest);
        }
        tracing::warn!("given up: the removal of {thing}");
    }

    async fn remove(&self, thing: &Thing) -> Result<(), Failure> {
        match thing {
            Thing::Image { id } => remove_image(&self.shared.engine, id).await,
            Thing::Copy { path, run } => self.shared.sweeper.remove(run, path.clone()).await,
        }
    }
}

/// Fine if it is gone already.
async fn remove_image(engine: &Engine, id: &str) -> Result<(), Failure> {
    // Otherwise the engine would remove a nameless image below it as well, which is not ours.
    let options = RemoveImageOptionsBuilder::new().noprune(true).build();
    let removed = engine.ask("remove the template's image", USUAL, |docker| async move {
        docker.remove_image(id, Some(options), None).await
    });
    match removed.await {
        Err(trouble) if !trouble.is_gone() => Err(trouble.at(Stage::Remove)),
        _ => Ok(()),
    }
}

/// Something that is removed when this is dropped.
struct Held {
    thing: Thing,
    discards: Discards,
    runtime: Handle,
    is_gone: bool,
}

impl Held {
    fn new(thing: Thing, discards: Discards) -> Self {
        Self {
            thing,
            discards,
            runtime: Handle::current(),
            is_gone: false,
        }
    }

    /// Removes it now. Nobody needs to wait for it: it goes on alone.
    async fn remove(mut self) -> Result<(), Failure> {
        let (discards, thing) = (self.discards.clone(), self.thing.clone());
        let removing = async move { discards.remove(&thing).await };
        let removed = alone(self.discards.tasks(), removing).await;
        let lost = || Err(Failure::other(Stage::Remove, "the removal was lost"));
        let removed = removed.unwrap_or_else(lost);
        self.is_gone = removed.is_ok();
        removed
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.is_gone {
            let insist = self.discards.clone().insist(self.thing.clone());
            self.discards.tasks().spawn_on(insist, &self.runtime);
        }
    }
}

/// An image that holds a template. Dropping the last clone removes it, once no container needs it any more.
#[derive(Clone)]
pub struct Committed(Arc<CommittedImage>);

pub(super) struct CommittedImage {
    id: Arc<str>,
    reference: Arc<str>,
    _held: Held,
}

impl Committed {
    /// Inside a runtime only.
    pub(super) fn new(id: &str, reference: &str, discards: Discards) -> Self {
        let id: Arc<str> = id.into();
        let thing = Thing::Image { id: id.clone() };
        Self(Arc::new(CommittedImage {
            id,
            reference: reference.into(),
            _held: Held::new(thing, discards),
        }))
    }

    /// `sha256:…`
    pub fn id(&self) -> &Arc<str> {
        &self.0.id
    }

    /// `envdeck-template:…`
    pub fn reference(&self) -> &Arc<str> {
        &self.0.reference
    }

    pub(super) fn downgrade(&self) -> std::sync::Weak<CommittedImage> {
        Arc::downgrade(&self.0)
    }

    pub(super) fn upgrade(weak: &std::sync::Weak<CommittedImage>) -> Option<Self> {
        weak.upgrade().map(Self)
    }
}

/// A copy of a template, for one instance. Dropping it removes it.
pub struct Copy {
    path: PathBuf,
    held: Held,
}

impl Copy {
    /// Of what is to be made at this path. Inside a runtime only.
    pub(super) fn new(path: PathBuf, run: RunId, discards: Discards) -> Self {
        let thing = Thing::Copy {
            path: path.clone(),
            run,
        };
        Self {
            path,
            held: Held::new(thing, discards),
        }
    }

    /// What is to be mounted.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes it belong to a user whom we are not.
    pub(super) async fn give(self, (user, group): (u32, u32)) -> Result<Self, Failure> {
        let Thing::Copy { path, run } = &self.held.thing else {
            return Ok(self);
        };
        let folder = path.parent().unwrap_or(path).to_owned();
        let path = path.to_string_lossy().into_owned();
        let command = ["chown", "-hR", &format!("{user}:{group}"), "--", &path].map(str::to_owned);
        let (discards, labels) = (self.held.discards.clone(), labels::of_run(run));
        let tasks = discards.tasks().clone();
        // It goes on alone, so that the container that does it is removed.
        let giving = async move {
            helper::run(&discards.shared.engine, &labels, &folder, command.into())
                .await
                .map(|()| self)
        };
        let given = alone(&tasks, giving).await;
        given.unwrap_or_else(|| Err(Failure::other(Stage::Prepare, "the copy was lost")))
    }

    /// Removes it now, with all that its container wrote; the container must have ended. When it cannot be
    /// removed now, it is tried again in the background.
    pub async fn remove(self) -> Result<(), Failure> {
        self.held.remove().await
    }
}
