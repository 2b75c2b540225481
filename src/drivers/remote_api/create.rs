//! Asking an API for instances: those that are wanted at the same moment in one request, each answer to one of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use super::answer::{self, Item};
use super::client::{Answer, Api, Request, Unanswered, failure};
use super::delete::Unpaid;
use super::journal::{Debt, Place};
use super::owned::{Owned, World};
use crate::drivers::{Order, Steps, journal};
use crate::model::{Cause, Failure, InstanceId, RemoteHttpApi, Stage};
use crate::stores::logs::{LogWriter, Source};

/// How long a request waits for others to join it: instances of one session start within a few milliseconds.
const GATHERING: Duration = Duration::from_millis(25);
/// Of an answer, bytes: a description of an instance takes a few hundred.
const LIMIT: usize = 4 << 20;
/// How often a request is sent.
const ATTEMPTS: u32 = 4;
/// Before a request without an answer is sent again to learn what it made, and for doing so.
const AFTERWARDS: Duration = Duration::from_secs(2);
const UNDOING: Duration = Duration::from_secs(20);

/// Instances of one group can be asked for in one request.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Group {
    place: String,
    resource: String,
    session: String,
    scope: String,
    details: String,
}

/// Somebody who wants an instance.
struct Waiter {
    instance: InstanceId,
    steps: Steps,
    log: LogWriter,
    reply: oneshot::Sender<Result<Owned, Failure>>,
}

impl Waiter {
    fn is_there(&self) -> bool {
        !self.reply.is_closed()
    }

    fn tell(&self, text: &str) {
        self.steps.tell(text);
        self.log.line(Source::Envdeck, text);
    }

    /// Whoever went away meanwhile gets nothing, and what comes back is deleted as it is dropped.
    fn answer(self, result: Result<Owned, Failure>) {
        let _ = self.reply.send(result);
    }
}

/// Requests that still gather.
#[derive(Default)]
pub(super) struct Creates(Arc<Mutex<HashMap<Group, Vec<Waiter>>>>);

impl Creates {
    /// Gets an instance. Dropping the future gives back what comes too late.
    pub async fn create(
        &self,
        world: &Arc<World>,
        api: &Arc<Api>,
        remote: &RemoteHttpApi,
        order: &Order,
    ) -> Result<Owned, Failure> {
        let details = remote.template_details.clone().unwrap_or_default();
        let group = Group {
            // The same URL with other credentials is another API.
            place: format!("{:p}", Arc::as_ptr(api)),
            resource: remote.resource_type.clone(),
            session: order.session.to_string(),
            scope: order.backend.scope.to_string(),
            details: details.to_string(),
        };
        let (reply, answer) = oneshot::channel();
        let waiter = Waiter {
            instance: order.instance.clone(),
            steps: order.steps.clone(),
            log: order.log.clone(),
            reply,
        };
        order.steps.tell(format!("create at {}", api.place()));
        let is_first = {
            let mut gathering = self.0.lock();
            let waiters = gathering.entry(group.clone()).or_default();
            waiters.push(waiter);
            waiters.len() == 1
        };
        if is_first {
            let gathering = self.0.clone();
            let (world, api) = (world.clone(), api.clone());
            let until = Instant::now() + order.backend.start_timeout;
            // A task of its own: a request that is under way is seen through, whoever gives up.
            world.clone().tasks.spawn(async move {
                sleep(GATHERING).await;
                let waiters = gathering.lock().remove(&group).unwrap_or_default();
                commit(&world, &api, &group, details, waiters, until).await;
            });
        }
        answer.await.unwrap_or_else(|_| {
            let cause = Cause::Panic("the request for instances was lost".to_owned());
            Err(Failure::new(Stage::Create, cause))
        })
    }
}

/// One request for all who still wait.
async fn commit(
    world: &Arc<World>,
    api: &Arc<Api>,
    group: &Group,
    details: Value,
    mut waiters: Vec<Waiter>,
    until: Instant,
) {
    waiters.retain(Waiter::is_there);
    if waiters.is_empty() {
        return;
    }
    let body = json!({
        "resource_type_identifier": group.resource,
        "num_instances": waiters.len(),
        "session_id": group.session,
        "instance_scoping": group.scope,
        "template_details": details,
    });
    let debt = Debt {
        key: format!("{:032x}", rand::random::<u128>()),
        id: None,
        api: Place::of(&api.config),
        resource: group.resource.clone(),
        session: group.session.clone(),
        instance: None,
        is_lost: false,
        asked: body.to_string(),
        since: journal::since(),
    };
    // What cannot be remembered is not made.
    if let Err(error) = world.journal.owe(debt.clone()) {
        return refuse(waiters, &journal::unwritten(Stage::Create, error));
    }
    match ask(api, &debt, &waiters, until).await {
        Ok(Answer { body, is_only }) => {
            let is_only = is_only || api.knows_keys();
            let logs = waiters.iter().map(|waiter| waiter.log.clone()).collect();
            share(world, api, &debt, &body, is_only, waiters);
            if !is_only {
                let (world, api) = (world.clone(), api.clone());
                let others = find_others(world.clone(), api, debt, ids(&body), logs);
                world.tasks.spawn(others);
            }
        }
        Err(Unanswered { cause, is_certain }) => {
            refuse(waiters, &failure(Stage::Create, cause));
            if is_certain {
                world.paid(&debt);
            } else {
                world.tasks.spawn(undo(world.clone(), api.clone(), debt));
            }
        }
    }
}

fn refuse(waiters: Vec<Waiter>, failure: &Failure) {
    for waiter in waiters {
        waiter.answer(Err(failure.clone()));
    }
}

async fn ask(
    api: &Api,
    debt: &Debt,
    waiters: &[Waiter],
    until: Instant,
) -> Result<Answer, Unanswered> {
    let request = request(api, &debt.key, debt.asked.clone().into(), until);
    let request = request.map_err(|cause| Unanswered {
        cause,
        is_certain: true,
    })?;
    let tell = |text: &str| {
        for waiter in waiters {
            waiter.tell(&format!("create {text}"));
        }
    };
    api.ask(&request, &tell).await
}

/// The request that has this key.
pub(super) fn request<'a>(
    api: &Api,
    key: &'a str,
    body: Bytes,
    until: Instant,
) -> Result<Request<'a>, Cause> {
    Ok(Request {
        method: Method::POST,
        url: api.endpoint(&api.config.create_instance_endpoint, None)?,
        body,
        key: Some(key),
        // Until it has shown that it knows keys, an answer may be lost once.
        repeats: if api.knows_keys() { ATTEMPTS } else { 1 },
        limit: Some(LIMIT),
        timeout: Some(api.config.timeout),
        until,
        attempts: ATTEMPTS,
    })
}

/// Learns what a request without an answer made, and removes it.
async fn undo(world: Arc<World>, api: Arc<Api>, debt: Debt) {
    sleep(AFTERWARDS).await;
    match api.pay(&debt, Instant::now() + UNDOING).await {
        Ok(()) => world.paid(&debt),
        // The journal keeps it.
        Err(Unpaid { cause, left }) => {
            world.settle(&debt, left);
            tracing::warn!("instances that were asked for may be there: {cause}");
        }
    }
}

/// Finds out whether a request that was answered with `known` instances had been taken before, in an attempt whose
/// answer was lost; tells of what cannot be found.
async fn find_others(
    world: Arc<World>,
    api: Arc<Api>,
    debt: Debt,
    known: Vec<String>,
    logs: Vec<LogWriter>,
) {
    let until = Instant::now() + UNDOING;
    let others = match api.others(&debt, &known, until).await {
        Ok(others) if others.is_empty() => return world.paid(&debt),
        Ok(others) => others,
        // The journal keeps it.
        Err(cause) => return tracing::warn!("instances may have been made twice: {cause}"),
    };
    let text = api.lost(&debt).to_string();
    tracing::warn!("{text}");
    for log in logs {
        log.line(Source::Envdeck, &text);
    }
    let made = || others.iter().map(|id| debt.made(id));
    world.settle(&debt, made().chain([debt.lost()]).collect());
    for other in made() {
        match api.pay(&other, until).await {
            Ok(()) => world.paid(&other),
            Err(unpaid) => {
                tracing::warn!("remote instance {} stays: {}", other.name(), unpaid.cause);
            }
        }
    }
}

/// The ids in an answer, as far as there are any.
pub(super) fn ids(answer: &[u8]) -> Vec<String> {
    let items = answer::items(answer, &|text| text).unwrap_or_default();
    items.into_iter().filter_map(|item| item.id).collect()
}

/// Gives each waiter an instance of the answer. What is too much is deleted, what is missing is told.
fn share(
    world: &Arc<World>,
    api: &Arc<Api>,
    debt: &Debt,
    answer: &[u8],
    is_only: bool,
    waiters: Vec<Waiter>,
) {
    let items = match answer::items(answer, &|text| api.scrubbed(text)) {
        Ok(items) => items,
        Err(why) => {
            world.paid(debt);
            let text = format!("{} answered, but {why}", api.place());
            let cause = Cause::Protocol(text);
            return refuse(waiters, &failure(Stage::Create, cause));
        }
    };
    let asked = waiters.len();
    let (mut made, problems) = take(world, api, debt, items, is_only, &waiters);
    let count = made.len();
    // The first come first.
    let mut made = made.drain(..);
    for waiter in waiters {
        if !waiter.is_there() {
            continue;
        }
        match made.next() {
            Some(owned) => waiter.answer(Ok(owned)),
            None => waiter.answer(Err(missing(api, count, asked, &problems))),
        }
    }
    let extra = made.len();
    if extra > 0 {
        tracing::warn!("{} made {extra} more than asked for: deleted", api.place());
    }
}

fn missing(api: &Api, count: usize, asked: usize, problems: &[String]) -> Failure {
    let place = api.place();
    let mut text = format!("{place} made {count} of the {asked} instances asked for");
    for problem in problems {
        text.push_str(": ");
        text.push_str(problem);
    }
    Failure::new(Stage::Create, Cause::Protocol(api.scrubbed(text)))
        .hint("start it again to ask once more")
}

/// Writes down what was made and takes what can be used of it; the rest is deleted. Also returns what is wrong with
/// the rest.
fn take(
    world: &Arc<World>,
    api: &Arc<Api>,
    debt: &Debt,
    items: Vec<Item>,
    is_only: bool,
    waiters: &[Waiter],
) -> (Vec<Owned>, Vec<String>) {
    let mut problems = vec![];
    let mut taken: Vec<(Debt, Item)> = vec![];
    for item in items {
        let Some(id) = item.id.clone() else {
            problems.push("one of them has no remote_instance_id".to_owned());
            continue;
        };
        let waiter = waiters.get(taken.len());
        let made = Debt {
            instance: waiter.map(|waiter| waiter.instance.to_string()),
            ..debt.made(&id)
        };
        let is_twice = taken.iter().any(|(debt, _)| debt.id == made.id);
        if is_twice || world.holds(&made) {
            problems.push(format!("{id} was given twice"));
            continue;
        }
        taken.push((made, item));
    }
    let debts = taken.iter().map(|(debt, _)| debt.clone());
    // It stays as long as it may have made others.
    let request = (!is_only).then(|| debt.clone());
    world.settle(debt, debts.chain(request).collect());
    let mut made = vec![];
    for (debt, item) in taken {
        let url = item.url.as_deref().and_then(|url| api.join(url));
        let is_usable = url.is_some();
        let id = debt.name().to_owned();
        // Even what cannot be used must be deleted.
        let url = url.unwrap_or_else(|| api.base());
        let owned = Owned::new(world, api, debt, url, item.details);
        if is_usable {
            made.push(owned);
        } else {
            problems.push(format!("{id} has no usable mcp_endpoint_url"));
        }
    }
    (made, problems)
}
