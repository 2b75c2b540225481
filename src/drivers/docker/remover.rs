//! What an instance has outside of this process, and its removal on every path.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bollard::query_parameters::{ListContainersOptionsBuilder, RemoveContainerOptionsBuilder};
use futures::future::join_all;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::task::TaskTracker;

use super::engine::{Engine, QUICK, USUAL};
use super::labels;
use super::words::Trouble;
use crate::model::{Failure, InstanceId, Stage};

/// Between two attempts: it doubles from the first to the last.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(5)];
/// Attempts that the engine itself refuses; while it is away, there is no end to them.
const ATTEMPTS: u32 = 6;
/// Without any removal in this time, nobody waits for more of them.
const STANDSTILL: Duration = Duration::from_secs(5);

/// Removes in the background what was dropped. Cheap to clone.
#[derive(Clone)]
pub struct Remover {
    shared: Arc<Shared>,
}

struct Shared {
    engine: Engine,
    /// One tracker an instance, so that its next start can wait for its own.
    tasks: Mutex<HashMap<InstanceId, TaskTracker>>,
    removed: AtomicU64,
    /// Why what is left is left.
    left: Mutex<HashMap<InstanceId, Failure>>,
}

/// Outside things of one instance. Dropping it removes them in the background.
pub struct Footprint {
    instance: InstanceId,
    container: Container,
    remover: Remover,
    runtime: Handle,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Container {
    None,
    /// A creation was asked for and not answered: there may be one that carries the label of the instance.
    Unsure,
    Id(Arc<str>),
}

impl Footprint {
    /// Of an instance that has nothing yet. Inside a runtime only.
    pub fn new(instance: InstanceId, remover: Remover) -> Self {
        Self {
            instance,
            container: Container::None,
            remover,
            runtime: Handle::current(),
        }
    }

    /// Asks for a container: `create` answers with its id. Nobody needs to wait for the answer: it goes on
    /// alone and what comes of it is removed.
    pub async fn create(
        mut self,
        create: impl Future<Output = Result<String, Trouble>> + Send + 'static,
    ) -> Result<(Self, Arc<str>), Trouble> {
        let (remover, instance) = (self.remover.clone(), self.instance.clone());
        let runtime = self.runtime.clone();
        let created = remover.spawn(&runtime, &instance, async move {
            self.container = Container::Unsure;
            let created = create
                .await
                .inspect_err(|trouble| self.settle_for_none(trouble))?;
            let id: Arc<str> = created.into();
            self.container = Container::Id(id.clone());
            Ok((self, id))
        });
        // It can only be lost with the runtime.
        created
            .await
            .unwrap_or_else(|_| Err(Trouble::lost("create the container")))
    }

    /// After a refusal there is nothing; after an outage there may be.
    fn settle_for_none(&mut self, trouble: &Trouble) {
        if !trouble.is_outage() {
            self.container = Container::None;
        }
    }

    /// Removes all of it now.
    pub async fn remove(mut self) -> Result<(), Trouble> {
        let result = self.remover.remove(&self.instance, &self.container).await;
        if result.is_ok() {
            self.container = Container::None;
        }
        result
    }
}

impl Drop for Footprint {
    fn drop(&mut self) {
        let container = std::mem::replace(&mut self.container, Container::None);
        if container != Container::None {
            let insist = self
                .remover
                .clone()
                .insist(self.instance.clone(), container);
            self.remover.spawn(&self.runtime, &self.instance, insist);
        }
    }
}

impl Remover {
    pub fn new(engine: Engine) -> Self {
        Self {
            shared: Arc::new(Shared {
                engine,
                tasks: Mutex::default(),
                removed: AtomicU64::default(),
                left: Mutex::default(),
            }),
        }
    }

    fn spawn<T: Send + 'static>(
        &self,
        runtime: &Handle,
        instance: &InstanceId,
        task: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        let mut tasks = self.shared.tasks.lock();
        tasks.retain(|_, tracker| !tracker.is_empty());
        let tracker = tasks.entry(instance.clone()).or_default();
        // Closed trackers take tasks, too; only then waiting ends when there are none.
        tracker.close();
        tracker.spawn_on(task, runtime)
    }

    /// Resolves when nothing of an earlier start of this instance is on its way out any more.
    pub async fn cleared(&self, instance: &InstanceId) {
        let tracker = self.shared.tasks.lock().get(instance).cloned();
        if let Some(tracker) = tracker {
            tracker.wait().await;
        }
    }

    /// Resolves when all that was dropped is gone, or with what of it stays.
    pub async fn settle(&self) -> Result<(), Failure> {
        let tasks: Vec<_> = self.shared.tasks.lock().values().cloned().collect();
        let gone = join_all(tasks.iter().map(TaskTracker::wait));
        tokio::select! {
            _ = gone => {}
            () = self.standstill() => {}
        }
        let waiting: Vec<_> = {
            let tasks = self.shared.tasks.lock();
            let busy = tasks.iter().filter(|(_, tracker)| !tracker.is_empty());
            busy.map(|(instance, _)| instance.clone()).collect()
        };
        let left = self.shared.left.lock();
        let why = left.values().next();
        match waiting.len().max(left.len()) {
            0 => Ok(()),
            count => {
                let why = why.map_or_else(
                    || "the engine is slow".to_owned(),
                    |failure| failure.cause.to_string(),
                );
                let text = format!("containers of {count} instances may be left: {why}");
                Err(Failure::other(Stage::Remove, text).hint("`envdeck gc` removes them"))
            }
        }
    }

    async fn standstill(&self) {
        let mut before = None;
        loop {
            let now = self.shared.removed.load(Ordering::Relaxed);
            if before.replace(now) == Some(now) {
                return;
            }
            sleep(STANDSTILL).await;
        }
    }

    /// Tries until it succeeds, or the engine has refused often enough.
    async fn insist(self, instance: InstanceId, container: Container) {
        let [mut pause, longest] = PAUSES;
        let mut refusals = 0;
        loop {
            let trouble = match self.remove(&instance, &container).await {
                Ok(()) => {
                    self.shared.left.lock().remove(&instance);
                    return;
                }
                Err(trouble) => trouble,
            };
            let failure = trouble.at(Stage::Remove);
            refusals += u32::from(!trouble.is_outage());
            self.shared
                .left
                .lock()
                .insert(instance.clone(), failure.clone());
            if refusals == ATTEMPTS {
                tracing::warn!(%instance, "given up: {failure}");
                return;
            }
            sleep(pause).await;
            pause = (pause * 2).min(longest);
        }
    }

    async fn remove(&self, instance: &InstanceId, container: &Container) -> Result<(), Trouble> {
        let engine = &self.shared.engine;
        match container {
            Container::None => {}
            Container::Id(id) => remove_container(engine, id).await?,
            Container::Unsure => {
                let filters = labels::by_instance(instance);
                for container in list(engine, filters).await? {
                    remove_container(engine, &container.id.unwrap_or_default()).await?;
                }
            }
        }
        self.shared.removed.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// All containers, running or not, that carry these labels.
pub async fn list(
    engine: &Engine,
    filters: HashMap<String, Vec<String>>,
) -> Result<Vec<bollard::models::ContainerSummary>, Trouble> {
    let options = ListContainersOptionsBuilder::new()
        .all(true)
        .filters(&filters)
        .build();
    engine
        .ask("list containers", USUAL, |docker| async move {
            docker.list_containers(Some(options)).await
        })
        .await
}

/// Kills it and removes it with its anonymous volumes; fine if it is gone already. Returns when it is.
pub async fn remove_container(engine: &Engine, id: &str) -> Result<(), Trouble> {
    let options = RemoveContainerOptionsBuilder::new()
        .force(true)
        .v(true)
        .build();
    let asked = engine.ask("remove the container", USUAL, |docker| async move {
        docker.remove_container(id, Some(options)).await
    });
    match asked.await {
        Err(trouble) if trouble.is_gone() => Ok(()),
        // Somebody else removes it, or it starts in this moment.
        Err(trouble) if trouble.status() == Some(409) => {
            if gone(engine, id).await {
                Ok(())
            } else {
                Err(trouble)
            }
        }
        result => result,
    }
}

/// Whether it disappears soon.
async fn gone(engine: &Engine, id: &str) -> bool {
    for _ in 0..20 {
        let asked = engine.ask("look at the container", QUICK, |docker| async move {
            docker.inspect_container(id, None).await
        });
        if asked.await.is_err_and(|trouble| trouble.is_gone()) {
            return true;
        }
        sleep(PAUSES[0]).await;
    }
    false
}
