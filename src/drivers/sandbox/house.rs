//! Which sandbox a server gets: one for each distinct profile and trust domain, made for the first who needs it and
//! removed with the last.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use parking_lot::Mutex;
use rand::Rng;
use sha2::{Digest, Sha256};
use tokio_util::task::TaskTracker;

use super::cell::Cell;
use super::container;
use super::usage::Population;
use crate::drivers::Order;
use crate::drivers::docker::Containers;
use crate::drivers::docker::room::Room;
use crate::model::{Failure, InstanceId, Sandbox, SandboxPhase, Sharing};

/// Users that images do not know, and that a remapped engine can still make.
const USERS: std::ops::Range<u32> = 20_000..60_000;

/// All sandboxes of a run.
pub struct House {
    docker: Arc<Containers>,
    lots: Mutex<HashMap<Arc<str>, Arc<Lot>>>,
    /// Removals that nobody waits for.
    tasks: TaskTracker,
}

/// The place of one sandbox, which may have to be made again.
pub struct Lot {
    /// What those who share it see: `box-1a2b`.
    pub name: Arc<str>,
    key: Arc<str>,
    /// Instances that will need it until they are released.
    tenants: Mutex<HashSet<InstanceId>>,
    /// Locked while one is made, so that it is made once.
    room: tokio::sync::Mutex<Option<Arc<Room>>>,
    /// By instance; of the room that is there now.
    cells: Mutex<BTreeMap<InstanceId, Cell>>,
}

impl House {
    pub fn new(docker: Arc<Containers>) -> Self {
        let tasks = TaskTracker::new();
        tasks.close();
        Self {
            docker,
            lots: Mutex::default(),
            tasks,
        }
    }

    /// The sandbox of this order, and the place in it that is its own until it is released.
    pub async fn enter(&self, spec: &Sandbox, order: &Order) -> Result<(Arc<Lot>, Cell), Failure> {
        if spec.runtime.is_some() {
            let text = "a sandbox of a runtime elsewhere cannot be made here";
            return Err(SandboxPhase::SessionCreate.refused(text));
        }
        let lot = self.lot(spec, order);
        let room = self.room(&lot, spec, order).await;
        let room = room.map_err(|failure| failure.or_at(SandboxPhase::SessionCreate))?;
        let cell = lot.cell(room, &order.instance)?;
        Ok((lot, cell))
    }

    /// From now on it counts as a tenant.
    fn lot(&self, spec: &Sandbox, order: &Order) -> Arc<Lot> {
        let key = key(spec, order);
        let mut lots = self.lots.lock();
        let names: Vec<_> = lots.values().map(|lot| lot.name.clone()).collect();
        let lot = lots
            .entry(key.clone())
            .or_insert_with(|| Arc::new(Lot::new(key, &names)));
        lot.tenants.lock().insert(order.instance.clone());
        lot.clone()
    }

    async fn room(&self, lot: &Lot, spec: &Sandbox, order: &Order) -> Result<Arc<Room>, Failure> {
        order.steps.tell(format!("wait for sandbox {}", lot.name));
        let mut slot = lot.room.lock().await;
        if let Some(room) = slot.as_ref().filter(|room| room.is_open()) {
            return Ok(room.clone());
        }
        // What is broken is not mended; all who were in it begin anew.
        if let Some(broken) = slot.take() {
            let _ = broken.remove().await;
        }
        let holder = lot.holder();
        let name = format!("envdeck-{holder}");
        let spec = container::spec(&spec.profile);
        let room = self.docker.room(&spec, name, &holder, order).await?;
        Ok(slot.insert(Arc::new(room)).clone())
    }

    /// It will not be started again: what it had is removed, and the sandbox with its last tenant. The removal begins
    /// at once; the future waits for it.
    pub fn release(
        &self,
        instance: &InstanceId,
    ) -> impl Future<Output = Result<(), Failure>> + use<> {
        let mut lots = self.lots.lock();
        let lot = lots
            .values()
            .find(|lot| lot.tenants.lock().remove(instance));
        let lot = lot.cloned();
        let is_last = lot
            .as_ref()
            .is_some_and(|lot| lot.tenants.lock().is_empty());
        if let Some(lot) = lot.as_ref().filter(|_| is_last) {
            lots.remove(&lot.key);
        }
        drop(lots);
        let instance = instance.clone();
        let removal = lot.map(|lot| self.tasks.spawn(remove(lot, instance, is_last)));
        async move {
            match removal {
                // It only fails to end with the runtime.
                Some(removal) => removal.await.unwrap_or(Ok(())),
                None => Ok(()),
            }
        }
    }

    /// Does something that goes on when nobody waits for it.
    pub fn see_to(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(work);
    }

    /// Resolves when nothing is being removed any more.
    pub async fn settle(&self) {
        self.tasks.wait().await;
    }
}

async fn remove(lot: Arc<Lot>, instance: InstanceId, is_last: bool) -> Result<(), Failure> {
    let cell = lot.cells.lock().remove(&instance);
    if is_last {
        // Whoever makes it now will be done soon, and it is his last act.
        let room = lot.room.lock().await.take();
        return match room {
            Some(room) => room.remove().await,
            None => Ok(()),
        };
    }
    let Some(cell) = cell.filter(|cell| cell.room.is_open()) else {
        return Ok(());
    };
    match cell.clear().await {
        // It has gone with the whole sandbox meanwhile.
        Err(_) if !cell.room.is_open() => Ok(()),
        cleared => cleared,
    }
}

impl Lot {
    /// With a name that none of the others has.
    fn new(key: Arc<str>, others: &[Arc<str>]) -> Self {
        let mut names = std::iter::repeat_with(|| format!("box-{:04x}", rand::random::<u16>()));
        let name = names.find(|name| others.iter().all(|other| **other != **name));
        let name = name.unwrap_or_default();
        Self {
            name: name.into(),
            key,
            tenants: Mutex::default(),
            room: tokio::sync::Mutex::default(),
            cells: Mutex::default(),
        }
    }

    /// What the engine has a sandbox by, also if it does not tell what it has made. Of each its own: the last one may
    /// still be there while the engine is away.
    fn holder(&self) -> InstanceId {
        InstanceId::new(format!("{}-{:016x}", self.name, rand::random::<u64>()))
    }

    /// The one that it had, if the sandbox is still the same.
    fn cell(&self, room: Arc<Room>, instance: &InstanceId) -> Result<Cell, Failure> {
        let mut cells = self.cells.lock();
        cells.retain(|_, cell| Arc::ptr_eq(&cell.room, &room));
        if let Some(cell) = cells.get(instance) {
            return Ok(cell.clone());
        }
        let is_free = |user: &u32| cells.values().all(|cell| cell.user != *user);
        let mut users = std::iter::repeat_with(|| rand::rng().random_range(USERS));
        let user = users.find(is_free).unwrap_or(USERS.start);
        let cell = Cell::new(room, user, instance)?;
        cells.insert(instance.clone(), cell.clone());
        Ok(cell)
    }

    /// Who has a place in it.
    pub fn population(&self) -> Population {
        let cells = self.cells.lock();
        Population {
            servers: cells.len(),
            filled: cells.values().filter_map(Cell::filled).sum(),
        }
    }

    /// It cannot be trusted any more: removed with all that is in it, and made again for who needs it next.
    pub async fn condemn(&self, room: &Room) -> Result<(), Failure> {
        room.remove().await
    }
}

/// Those with the same key share a sandbox.
fn key(spec: &Sandbox, order: &Order) -> Arc<str> {
    let domain = match spec.sharing {
        Sharing::Session => format!("session {}", order.session),
        Sharing::Shared => "shared".to_owned(),
    };
    let profile = format!("{:?}", spec.profile);
    let digest = Sha256::digest(format!("{domain}\0{profile}"));
    format!("{digest:x}").into()
}
