//! Templates: data that every new instance begins with, as a copy on this host or inside an image.
//!
//! Links in a template are kept as they are written, and never followed here: what one points to is not copied
//! unless it is in the template itself. In a container a link leads wherever its text leads *there*, never to a
//! file of the host. Named pipes, sockets and devices are refused by name.

mod archive;
mod commit;
mod copy;
mod discards;
mod helper;
mod owner;
mod probe;
mod remove;
mod tree;
mod warmup;
mod work;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use nix::unistd::geteuid;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use self::commit::Commission;
pub use self::discards::{Committed, Copy};
use self::discards::{CommittedImage, Discards};
use self::owner::{Owner, Owners, ROOT};
use self::tree::Tree;
use self::warmup::Warmup;
use super::engine::Engine;
use super::image::Image;
use super::joint::Joint;
use super::labels;
use super::remover::Remover;
use crate::drivers::{Order, Steps};
use crate::model::{
    BackendName, Failure, InstanceId, LocalDocker, Mount, RunId, Stage, Template, TemplateWay,
};
use crate::paths::private_directory;
use crate::runs;

/// What an instance has of its template, for as long as it exists. Dropping it removes what nobody else needs;
/// the container must be gone by then.
pub enum Applied {
    Copy { copy: Copy, target: String },
    Image(Committed),
}

impl Applied {
    /// What is mounted into the container.
    pub fn mount(&self) -> Option<Mount> {
        match self {
            Applied::Copy { copy, target } => {
                Some(Mount::of_host(copy.path().to_string_lossy(), target))
            }
            Applied::Image(_) => None,
        }
    }

    /// What the container is made from, instead of the configured image.
    pub fn image(&self) -> Option<&Committed> {
        match self {
            Applied::Copy { .. } => None,
            Applied::Image(committed) => Some(committed),
        }
    }

    /// Removes what nobody else needs, and waits for it where it takes time.
    pub async fn remove(self) -> Result<(), Failure> {
        match self {
            Applied::Copy { copy, .. } => copy.remove().await,
            Applied::Image(committed) => {
                drop(committed);
                Ok(())
            }
        }
    }
}

/// The templates of an engine's containers. Cheap to clone; clones share their work.
#[derive(Clone)]
pub struct Templates {
    site: Arc<Site>,
}

/// What all templates share.
struct Site {
    engine: Engine,
    remover: Remover,
    discards: Discards,
    /// Where copies are made.
    copies: PathBuf,
    owners: Owners,
    reads: Joint<PathBuf, Content>,
    commits: Joint<Key, Committed>,
    /// Those that somebody uses.
    committed: Mutex<HashMap<Key, Weak<CommittedImage>>>,
    /// Makes names unique.
    count: AtomicU64,
}

/// A template that was read, and the digest of all that is in it.
#[derive(Clone)]
struct Content {
    tree: Arc<Tree>,
    digest: Arc<str>,
}

/// What makes two committed templates the same.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    image: Arc<str>,
    digest: Arc<str>,
    target: String,
    owner: Owner,
    /// Whose container has run on it: everything that is configured of it has a part in what it does.
    ran: Option<BackendName>,
}

impl Templates {
    /// `copies` belongs to this run alone; it need not exist yet.
    pub fn new(engine: Engine, copies: PathBuf) -> Self {
        let site = Site {
            remover: Remover::new(engine.clone()),
            discards: Discards::new(engine.clone()),
            engine,
            copies,
            owners: Owners::default(),
            reads: Joint::default(),
            commits: Joint::default(),
            committed: Mutex::default(),
            count: AtomicU64::default(),
        };
        Self {
            site: Arc::new(site),
        }
    }

    /// Gives an instance its template. Takes as long as it makes progress; dropping the future leaves nothing.
    pub async fn apply(
        &self,
        template: &Template,
        docker: &LocalDocker,
        image: &Image,
        order: &Order,
    ) -> Result<Applied, Failure> {
        let labels = labels::of_run(&order.run);
        let user = docker.options.user.as_deref();
        let owner = self
            .site
            .owners
            .of(&self.site.engine, &labels, image, user)
            .await?;
        match template.way {
            TemplateWay::Copy => {
                let copy = self.copy(
                    &template.source,
                    &order.instance,
                    &order.run,
                    owner,
                    &order.steps,
                );
                Ok(Applied::Copy {
                    copy: copy.await?,
                    target: template.target.clone(),
                })
            }
            TemplateWay::Image => {
                let committed = self.commit(template, docker, image, order, owner);
                Ok(Applied::Image(committed.await?))
            }
        }
    }

    /// A true copy for one instance; all of it belongs to `owner`, unless that is root, who needs nothing.
    async fn copy(
        &self,
        source: &Path,
        instance: &InstanceId,
        run: &RunId,
        owner: Owner,
        steps: &Steps,
    ) -> Result<Copy, Failure> {
        let site = &self.site;
        if !site.engine.is_local() {
            let text = format!(
                "a copy on this host cannot be mounted by the engine at {}",
                site.engine.address()
            );
            return Err(Failure::other(Stage::Prepare, text)
                .hint("set container_template_data_path: then the template is put into an image"));
        }
        let path = site
            .copies
            .join(format!("{instance}-{}", site.next_number()));
        // From here on, whatever there is of it is removed.
        let copy = Copy::new(path, run.clone(), site.discards.clone());
        let (source, folder) = (source.to_owned(), site.copies.clone());
        let to = (owner != ROOT).then_some(owner);
        let work = move |control: &work::Control| {
            private_directory(&folder).map_err(|error| tree::problem("make", &folder, error))?;
            let tree = Tree::read(&source, control)?;
            copy::copy(&tree, copy.path(), to, control)?;
            Ok(copy)
        };
        let copy = work::blocking(site.discards.tasks(), steps, "copy template", work).await?;
        let we = geteuid();
        if owner == ROOT || we.is_root() || we.as_raw() == owner.0 {
            return Ok(copy);
        }
        steps.tell(format!("give the copy to user {}", owner.0));
        copy.give(owner).await
    }

    /// An image with the template in it, the same for all who need the same.
    async fn commit(
        &self,
        template: &Template,
        docker: &LocalDocker,
        image: &Image,
        order: &Order,
        owner: Owner,
    ) -> Result<Committed, Failure> {
        let site = self.site.clone();
        let Content { tree, digest } = self.read(&template.source, &order.steps).await?;
        let warmup = Warmup::of(&order.backend, docker, image);
        let key = Key {
            image: image.id.clone(),
            digest,
            target: template.target.clone(),
            owner,
            ran: warmup.map(|_| order.backend.name.clone()),
        };
        let commission = Commission {
            backend: order.backend.clone(),
            image: image.clone(),
            tree,
            target: template.target.clone(),
            owner,
            warmup,
            tag: format!("{}-{}", order.run.short(), site.next_number()),
            run: order.run.clone(),
            log: order.log.clone(),
        };
        let own = key.clone();
        let work = |told: Steps, token: CancellationToken| async move {
            // Only one works on the same at a time, so that this cannot change meanwhile.
            if let Some(known) = site.known(&own) {
                return Ok(known);
            }
            let executed = Box::pin(Arc::new(commission).execute(&site, &told));
            let done = token.run_until_cancelled(executed).await;
            let committed = done.unwrap_or_else(|| Err(given_up()))?;
            site.keep(own, &committed);
            Ok(committed)
        };
        self.site.commits.ask(key, &order.steps, work).await
    }

    /// What is in a template now; read once for all who ask meanwhile.
    async fn read(&self, source: &Path, steps: &Steps) -> Result<Content, Failure> {
        let (site, path) = (self.site.clone(), source.to_owned());
        let work = |told: Steps, token: CancellationToken| async move {
            let work = move |control: &work::Control| {
                let tree = Tree::read(&path, control)?;
                let digest = tree.digest(control)?.into();
                let tree = Arc::new(tree);
                Ok(Content { tree, digest })
            };
            let read = work::blocking(site.discards.tasks(), &told, "read template", work);
            token
                .run_until_cancelled(read)
                .await
                .unwrap_or_else(|| Err(given_up()))
        };
        self.site.reads.ask(source.to_owned(), steps, work).await
    }

    /// Removes what containers of killed runs wrote into their copies as root, and returns how many runs that were.
    /// These containers must be gone, and their runs' directories set aside.
    pub async fn reap(&self, run: &RunId) -> Result<usize, Failure> {
        // COPIES is in the directory of the run, which is beside those of all other runs.
        let Some(cache) = self.site.copies.parent().and_then(runs::beside) else {
            return Ok(0);
        };
        let unreadable =
            |error| Failure::caused_by(Stage::Remove, cache.display().to_string(), error);
        let before = runs::gone(cache).len();
        let swept = runs::sweep(cache).map_err(unreadable)?;
        for path in runs::gone(cache) {
            self.site.discards.sweep(run, &path).await?;
        }
        Ok(before + swept.len())
    }

    /// Resolves when all that was dropped is gone, or with what of it stays.
    pub async fn settle(&self) -> Result<(), Failure> {
        self.site.reads.settle().await;
        self.site.commits.settle().await;
        self.site.remover.settle().await?;
        self.site.discards.settle().await
    }
}

impl Site {
    fn next_number(&self) -> u64 {
        self.count.fetch_add(1, Ordering::Relaxed)
    }

    fn known(&self, key: &Key) -> Option<Committed> {
        self.committed.lock().get(key).and_then(Committed::upgrade)
    }

    fn keep(&self, key: Key, committed: &Committed) {
        let mut all = self.committed.lock();
        all.retain(|_, known| known.strong_count() > 0);
        all.insert(key, committed.downgrade());
    }
}

fn given_up() -> Failure {
    Failure::other(Stage::Prepare, "the template was given up")
}
