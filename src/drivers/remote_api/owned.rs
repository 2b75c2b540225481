//! An instance that an API made for us: whoever has it has to give it back, or dropping it does.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use reqwest::Url;
use tokio::runtime::Handle;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::client::{Api, failure};
use super::journal::Debt;
use crate::drivers::journal::Journal;
use crate::model::{Failure, Stage};

/// For deleting what was dropped instead of stopped.
const DROPPED: Duration = Duration::from_secs(20);

/// What all instances of a run share.
pub(super) struct World {
    pub journal: Journal<Debt>,
    /// What goes on behind everybody's back: requests whose instances may come to nobody, deletes.
    pub tasks: TaskTracker,
    /// Instances that somebody has, by the names of their debts.
    held: Mutex<HashSet<String>>,
}

impl World {
    pub fn new(journal: Journal<Debt>) -> Self {
        Self {
            journal,
            tasks: TaskTracker::new(),
            held: Mutex::default(),
        }
    }

    /// The debts of nobody.
    pub fn unheld(&self) -> Vec<Debt> {
        let held = self.held.lock();
        let mut debts = self.journal.debts();
        debts.retain(|debt| !held.contains(&name(debt)));
        debts
    }

    /// Whether somebody has the instance of this debt.
    pub fn holds(&self, debt: &Debt) -> bool {
        self.held.lock().contains(&name(debt))
    }

    /// Strikes it out.
    pub fn paid(&self, debt: &Debt) {
        self.settle(debt, vec![]);
    }

    /// Replaces it by what is still owed.
    pub fn settle(&self, debt: &Debt, left: Vec<Debt>) {
        self.journal.settle(debt, left);
    }
}

fn name(debt: &Debt) -> String {
    format!("{}\n{}", debt.api.url, debt.name())
}

/// An instance that exists for us.
pub(super) struct Owned {
    pub api: Arc<Api>,
    pub debt: Debt,
    /// Where it speaks MCP.
    pub url: Url,
    /// More that the API told of it, by name.
    pub details: Vec<(String, String)>,
    world: Arc<World>,
    runtime: Handle,
    is_settled: bool,
}

impl Owned {
    /// Must be called in a runtime, where it is deleted if it is dropped.
    pub fn new(
        world: &Arc<World>,
        api: &Arc<Api>,
        debt: Debt,
        url: Url,
        details: Vec<(String, String)>,
    ) -> Self {
        world.held.lock().insert(name(&debt));
        Self {
            api: api.clone(),
            debt,
            url,
            details,
            world: world.clone(),
            runtime: Handle::current(),
            is_settled: false,
        }
    }

    /// The API's own id of it.
    pub fn id(&self) -> &str {
        self.debt.name()
    }

    /// Has the API delete it; tries until `until`.
    ///
    /// # Errors
    /// It is still there, or may be: the journal keeps it.
    pub async fn delete(
        mut self,
        until: Instant,
        tell: &(dyn Fn(&str) + Sync),
    ) -> Result<(), Failure> {
        let deleted = self.api.delete(self.id(), until, tell).await;
        // Given up here, it is nobody's: what settles the run tries once more.
        self.is_settled = true;
        if deleted.is_ok() {
            self.world.paid(&self.debt);
        }
        deleted.map_err(|cause| {
            let mut failure = failure(Stage::Remove, cause);
            failure.hint.get_or_insert(
                "`envdeck gc` and the next start try again to delete the remote instance".into(),
            );
            failure
        })
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        self.world.held.lock().remove(&name(&self.debt));
        if self.is_settled {
            return;
        }
        let (world, api, debt) = (self.world.clone(), self.api.clone(), self.debt.clone());
        let delete = async move {
            let until = Instant::now() + DROPPED;
            let tell = |text: &str| tracing::debug!("remote instance {}: {text}", debt.name());
            match api.delete(debt.name(), until, &tell).await {
                Ok(()) => world.paid(&debt),
                Err(cause) => tracing::warn!("remote instance {} stays: {cause}", debt.name()),
            }
        };
        self.world.tasks.spawn_on(delete, &self.runtime);
    }
}
