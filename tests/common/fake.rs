//! A driver whose instances follow a script: MCP servers inside the test, over an in-memory pipe.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use envdeck::drivers::{Driver, Drivers, Endpoint, Facts, Order, Running, Shell, Task, Usage};
use envdeck::model::{Exit, Failure, InstanceId, Mode, RunId, Stage, WindowSize};
use envdeck::stores::logs::{LogWriter, Source};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex, split};
use tokio::sync::watch;
use tokio::time::sleep;

use super::server;

/// How the instances of one backend behave.
#[derive(Clone, Default)]
pub struct Script {
    /// Time the driver takes to start one.
    pub start_delay: Duration,
    pub start: Start,
    /// Written to stderr when it starts.
    pub stderr: Vec<&'static str>,
    /// Written to stderr when its log is asked to be up to date.
    pub last_words: Option<&'static str>,
    /// Why its silence is no death.
    pub excuse: Option<&'static str>,
    /// Never returns from `stop`.
    pub stubborn: bool,
    /// Its driver never sees the end of one that was dropped.
    pub undead: bool,
    pub inside: Inside,
    /// What `inspect` tells.
    pub inspect: Option<&'static str>,
    pub server: server::Manners,
}

#[derive(Clone, Copy, Default, PartialEq)]
pub enum Start {
    #[default]
    Works,
    /// The driver cannot start it.
    Fails,
    /// It starts and exits at once with this status.
    Exits(i32),
    Panics,
    /// It starts, and waiting for its end panics.
    WaitPanics,
}

/// The shell inside an instance.
#[derive(Clone, Copy, Default, PartialEq)]
pub enum Inside {
    #[default]
    Nothing,
    /// One that repeats what is typed and the size it gets, and ends at a full stop.
    Echo,
    /// One that never opens.
    Hangs,
}

/// All fake instances of a test, and what they were seen to do.
#[derive(Default)]
pub struct World {
    scripts: Mutex<HashMap<String, Script>>,
    instances: Mutex<HashMap<InstanceId, Life>>,
    started: AtomicUsize,
    alive: AtomicUsize,
    starting: AtomicUsize,
    undead: AtomicUsize,
    most_starting: AtomicUsize,
    shells: Arc<AtomicUsize>,
}

#[derive(Clone)]
struct Life {
    exit: Arc<watch::Sender<Option<Exit>>>,
    hang_up: Arc<watch::Sender<bool>>,
}

impl World {
    pub fn script(&self, backend: &str, script: Script) {
        self.scripts
            .lock()
            .unwrap()
            .insert(backend.to_owned(), script);
    }

    /// Instances that exist now.
    pub fn alive(&self) -> usize {
        self.alive.load(Ordering::SeqCst)
    }

    pub fn started(&self) -> usize {
        self.started.load(Ordering::SeqCst)
    }

    /// Shells that are open now.
    pub fn shells(&self) -> usize {
        self.shells.load(Ordering::SeqCst)
    }

    /// The most instances that were ever starting at the same time.
    pub fn most_starting(&self) -> usize {
        self.most_starting.load(Ordering::SeqCst)
    }

    /// Ends an instance as a crash would.
    pub fn crash(&self, instance: &InstanceId, code: i32) {
        self.life(instance).exit.send_replace(Some(status(code)));
    }

    /// Closes its pipe and lets it live.
    pub fn hang_up(&self, instance: &InstanceId) {
        self.life(instance).hang_up.send_replace(true);
    }

    fn life(&self, instance: &InstanceId) -> Life {
        self.instances.lock().unwrap()[instance].clone()
    }

    fn script_of(&self, order: &Order) -> Script {
        let scripts = self.scripts.lock().unwrap();
        scripts
            .get(&*order.backend.name)
            .cloned()
            .unwrap_or_default()
    }
}

pub fn status(code: i32) -> Exit {
    Exit {
        code: Some(code),
        signal: None,
        out_of_memory: false,
    }
}

pub struct FakeDrivers(pub Arc<World>);

impl Drivers for FakeDrivers {
    fn driver(&self, _: &Mode) -> Arc<dyn Driver> {
        Arc::new(Fake(self.0.clone()))
    }
}

struct Fake(Arc<World>);

/// Counts what exists, whatever way it goes.
struct Counted(Arc<World>, fn(&World) -> &AtomicUsize);

impl Counted {
    fn new(world: &Arc<World>, which: fn(&World) -> &AtomicUsize) -> Self {
        which(world).fetch_add(1, Ordering::SeqCst);
        Self(world.clone(), which)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        (self.1)(&self.0).fetch_sub(1, Ordering::SeqCst);
    }
}

impl Driver for Fake {
    fn kind(&self) -> &'static str {
        "embedded"
    }

    fn check(&self) -> Task<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn start(&self, order: Order) -> Task<'_, Box<dyn Running>> {
        Box::pin(async move {
            let world = &self.0;
            let script = world.script_of(&order);
            world.started.fetch_add(1, Ordering::SeqCst);
            let _starting = Counted::new(world, |world| &world.starting);
            let now = world.starting.load(Ordering::SeqCst);
            world.most_starting.fetch_max(now, Ordering::SeqCst);
            sleep(script.start_delay).await;
            match script.start {
                Start::Panics => panic!("the driver lost its mind"),
                Start::Fails => return Err(Failure::other(Stage::Create, "no such image")),
                Start::Works | Start::Exits(_) | Start::WaitPanics => {}
            }
            Ok(Box::new(FakeInstance::new(world, &order, script)) as Box<dyn Running>)
        })
    }

    fn reap(&self, _run: &RunId) -> Task<'_, usize> {
        Box::pin(async { Ok(0) })
    }

    fn settle(&self) -> Task<'_, ()> {
        Box::pin(async {
            match self.0.undead.load(Ordering::SeqCst) {
                0 => Ok(()),
                _ => std::future::pending().await,
            }
        })
    }
}

struct FakeInstance {
    world: Arc<World>,
    script: Script,
    pipe: Option<DuplexStream>,
    life: Life,
    log: LogWriter,
    shells: Arc<AtomicUsize>,
    _alive: Counted,
}

impl FakeInstance {
    fn new(world: &Arc<World>, order: &Order, script: Script) -> Self {
        for line in &script.stderr {
            order.log.line(Source::Stderr, line);
        }
        let exit = match script.start {
            Start::Exits(code) => Some(status(code)),
            _ => None,
        };
        let life = Life {
            exit: Arc::new(watch::Sender::new(exit)),
            hang_up: Arc::new(watch::Sender::new(false)),
        };
        let mut instances = world.instances.lock().unwrap();
        instances.insert(order.instance.clone(), life.clone());
        let (ours, theirs) = duplex(1 << 16);
        let end = ended(life.exit.subscribe(), life.hang_up.subscribe());
        let manners = script.server.clone();
        tokio::spawn(server::serve(theirs, manners, life.exit.clone(), end));
        Self {
            world: world.clone(),
            script,
            pipe: Some(ours),
            life,
            log: order.log.clone(),
            shells: world.shells.clone(),
            _alive: Counted::new(world, |world| &world.alive),
        }
    }
}

/// Counted for as long as its end is waited for.
fn echo(size: WindowSize, shells: Arc<AtomicUsize>) -> Shell {
    let (ours, theirs) = duplex(1 << 10);
    let (read, write) = split(ours);
    let (mut typed, mut shown) = split(theirs);
    let (resized, mut sizes) = tokio::sync::mpsc::unbounded_channel();
    resized.send(size).unwrap();
    shells.fetch_add(1, Ordering::SeqCst);
    let open = Open(shells);
    let work = tokio::spawn(async move {
        let mut buffer = [0; 64];
        loop {
            tokio::select! {
                biased;
                Some(size) = sizes.recv() => {
                    let WindowSize { columns, rows } = size;
                    shown.write_all(format!("[{columns}x{rows}]").as_bytes()).await.unwrap();
                }
                count = typed.read(&mut buffer) => {
                    let Ok(count @ 1..) = count else { return };
                    shown.write_all(&buffer[..count]).await.unwrap();
                    if buffer[..count].contains(&b'.') {
                        return;
                    }
                }
            }
        }
    });
    Shell {
        read: Box::new(read),
        write: Box::new(write),
        resize: Box::new(move |size| resized.send(size).unwrap()),
        ended: Box::pin(async move {
            let _open = open;
            work.await.unwrap();
            Ok(status(0))
        }),
    }
}

struct Open(Arc<AtomicUsize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn ended(mut exit: watch::Receiver<Option<Exit>>, mut hang_up: watch::Receiver<bool>) {
    tokio::select! {
        _ = exit.wait_for(Option::is_some) => {}
        Ok(_) = hang_up.wait_for(|hung| *hung) => {}
    }
}

impl Running for FakeInstance {
    fn endpoint(&mut self) -> Endpoint {
        let (read, write) = split(self.pipe.take().expect("taken once"));
        Endpoint::Stdio {
            read: Box::new(read),
            write: Box::new(write),
        }
    }

    fn facts(&self) -> Facts {
        vec![("command".into(), "fake --scripted".into())]
    }

    fn wait(&mut self) -> Task<'_, Exit> {
        let mut exit = self.life.exit.subscribe();
        let panics = self.script.start == Start::WaitPanics;
        Box::pin(async move {
            assert!(!panics, "waiting went wrong");
            let exit = exit.wait_for(Option::is_some).await;
            Ok(exit.unwrap().clone().expect("waited for"))
        })
    }

    fn excuse(&self) -> Option<&'static str> {
        self.script.excuse
    }

    fn flush_log(&mut self) -> Task<'_, ()> {
        if let Some(words) = self.script.last_words {
            self.log.line(Source::Stderr, words);
        }
        Box::pin(async { Ok(()) })
    }

    fn usage(&mut self) -> Task<'_, Option<Usage>> {
        let usage = Usage {
            cpu: 1.5,
            memory: 1 << 20,
            memory_limit: None,
            processes: 1,
            network: None,
            disk: None,
        };
        Box::pin(async move { Ok(Some(usage)) })
    }

    fn inspect(&self) -> Task<'static, Option<String>> {
        let text = self.script.inspect.map(str::to_owned);
        Box::pin(async { Ok(text) })
    }

    fn shell(&self, size: WindowSize) -> Task<'static, Shell> {
        let (inside, shells) = (self.script.inside, self.shells.clone());
        Box::pin(async move {
            match inside {
                Inside::Nothing => Err(Failure::other(Stage::Run, "no shell in here")),
                Inside::Echo => Ok(echo(size, shells)),
                Inside::Hangs => std::future::pending().await,
            }
        })
    }

    fn stop(self: Box<Self>, _grace: Duration) -> Task<'static, ()> {
        Box::pin(async move {
            if self.script.stubborn {
                std::future::pending::<()>().await;
            }
            Ok(())
        })
    }
}

impl Drop for FakeInstance {
    fn drop(&mut self) {
        self.world
            .undead
            .fetch_add(usize::from(self.script.undead), Ordering::SeqCst);
        let killed = Exit {
            code: None,
            signal: Some(9),
            out_of_memory: false,
        };
        self.life
            .exit
            .send_if_modified(|exit| exit.is_none() && exit.replace(killed).is_none());
    }
}
