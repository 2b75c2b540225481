//! `initialize_session`: provisions what is asked for, all at once, and reports all of it.

use std::sync::Arc;

use rand::Rng;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::arguments::{Fields, Mistake, count, kind};
use super::progress::Listener;
use super::{Asker, Outcome, Tools, short, template};
use crate::model::{
    Ask, Backend, Fleet, Instance, InstanceId, Mode, Phase, Progress, Scope, SessionId,
};
use crate::nearest::nearest;
use crate::orchestrator::Reply;

const FIELDS: [&str; 3] = ["backend_name_ref", "num_instances", "template_details"];

/// One entry of `backends`.
struct Wanted {
    backend: String,
    count: usize,
    /// What to ask for, or why that makes no sense.
    ask: Result<Ask, String>,
    is_shared: bool,
}

impl Tools {
    pub(super) async fn initialize_session(
        &self,
        fields: &Fields<'_>,
        asker: Asker,
    ) -> Result<Outcome, Mistake> {
        let wanted = self.wanted(fields).await?;
        let asks = wanted.iter().filter_map(|wanted| wanted.ask.clone().ok());
        let id = SessionId::new(format!("{:032x}", rand::rng().random::<u128>()));
        let caller = asker.caller();
        let opening = self
            .handle
            .open(id.clone(), caller, asks.collect(), asker.gone);
        let opened = match asker.listener {
            None => opening.await,
            Some(listener) => tokio::select! {
                biased;
                opened = opening => opened,
                () = report_progress(self.handle.fleet(), &id, &listener) => unreachable!("it never ends"),
            },
        };
        match opened {
            Ok(Reply::Opened(session, groups)) => Ok(self.opened(&session, &wanted, groups)),
            Ok(_) => Err("the orchestrator gave an answer to something else".to_owned()),
            Err(failure) => Err(failure.to_string()),
        }
    }

    fn opened(
        &self,
        session: &SessionId,
        wanted: &[Wanted],
        groups: Vec<Vec<InstanceId>>,
    ) -> Outcome {
        let fleet = self.fleet();
        let mut groups = groups.into_iter();
        let mut shared = vec![];
        let mut backends = vec![];
        for wanted in wanted {
            if let Err(why) = &wanted.ask {
                backends.push(result(wanted, &[], Some(why)));
                continue;
            }
            let ids = groups.next().unwrap_or_default();
            backends.push(self.backend(&fleet, wanted, &ids));
            if wanted.is_shared {
                shared.extend(ids);
            }
        }
        if !shared.is_empty() {
            self.shared.lock().insert(session.clone(), shared);
        }
        Outcome::Ours(json!({
            "rk_session_id": session.as_str(),
            "initialized_backends": backends,
        }))
    }

    fn backend(&self, fleet: &Fleet, wanted: &Wanted, ids: &[InstanceId]) -> Value {
        let mut ready = vec![];
        let mut reasons = vec![];
        for id in ids {
            match fleet.instance(id) {
                Some(instance) if instance.phase == Phase::Ready => ready.push(self.info(instance)),
                Some(instance) => reasons.push(reason(instance)),
                None => reasons.push("it was removed while it was starting".to_owned()),
            }
        }
        if wanted.is_shared && ready.len() == 1 {
            ready = vec![ready.remove(0); wanted.count];
        }
        let why = error_message(&reasons, wanted.count);
        result(wanted, &ready, why.as_ref())
    }

    async fn wanted(&self, fields: &Fields<'_>) -> Result<Vec<Wanted>, Mistake> {
        let raw = fields
            .get("backends")
            .ok_or_else(|| fields.missing("backends"))?;
        let entries: Vec<&RawValue> = serde_json::from_str(raw.get())
            .map_err(|_| format!("`backends` must be a list, not {}", kind(raw)))?;
        let mut wanted = vec![];
        let most = self.config.gateway.max_instances;
        let (mut total, mut entry) = (0_usize, 0);
        // Backends that do not exist count, too: they cost an answer.
        for raw in &entries {
            let one = self.entry(raw, &format!("backends[{entry}]")).await?;
            total = total.saturating_add(if one.is_shared { 1 } else { one.count });
            if total > most || one.count > most {
                let count = one.count.max(total);
                return Err(format!(
                    "{count} instances are more than one session may ask for: the limit is {most} \
                     (gateway.max_instances)"
                ));
            }
            wanted.push(one);
            entry += 1;
        }
        Ok(wanted)
    }

    async fn entry(&self, raw: &RawValue, place: &str) -> Result<Wanted, Mistake> {
        let fields = Fields::of(Some(raw), place)?;
        fields.only(&FIELDS, place)?;
        let in_place = |mistake: Mistake| format!("{place}: {mistake}");
        let backend = fields
            .text("backend_name_ref")
            .map_err(in_place)?
            .into_owned();
        let count = match fields.get("num_instances") {
            Some(raw) => count(raw, "num_instances").map_err(in_place)?,
            None => 1,
        };
        let configured = self.config.backends.iter();
        let configured = configured.clone().find(|known| *known.name == *backend);
        let details = fields.get("template_details");
        let ask = match configured {
            None => Err(self.unknown(&backend)),
            Some(known) => {
                let ask = Ask::new(known.name.clone(), count);
                self.seeded(known, ask, details).await
            }
        };
        Ok(Wanted {
            backend,
            count,
            ask,
            is_shared: configured.is_some_and(|known| known.scope == Scope::SharedGlobal),
        })
    }

    fn unknown(&self, backend: &str) -> String {
        let names = self.config.backends.iter().map(|known| &*known.name);
        let backend = short(backend);
        match nearest(&backend, names) {
            Some(near) => format!("there is no backend `{backend}`; did you mean `{near}`?"),
            None => format!("there is no backend `{backend}`"),
        }
    }

    /// `template_details` mean a path of this host, but to a remote API whatever it wants.
    async fn seeded(
        &self,
        backend: &Arc<Backend>,
        mut ask: Ask,
        details: Option<&RawValue>,
    ) -> Result<Ask, Mistake> {
        let Some(details) = details else {
            return Ok(ask);
        };
        if backend.scope == Scope::SharedGlobal {
            return Err(
                "a shared instance takes no `template_details`: it is there already".to_owned(),
            );
        }
        if matches!(backend.mode, Mode::RemoteHttpApi(_)) {
            ask.details = Some(details.get().into());
        } else {
            let usual = match &backend.mode {
                Mode::LocalDocker(docker) => docker.template.as_ref(),
                _ => None,
            };
            let usual = usual.map(|template| &*template.source);
            let roots = &self.config.gateway.template_roots;
            let template = template::resolve(details, roots, usual).await?;
            if usual.is_none() {
                return Err(format!(
                    "`{}` has no template that could be replaced: it has no template_data_path_host",
                    backend.name
                ));
            }
            ask.template = Some(template);
        }
        Ok(ask)
    }
}

fn result(wanted: &Wanted, instances: &[Value], why: Option<&String>) -> Value {
    let mut result = json!({
        "backend_name_ref": wanted.backend,
        "instances": instances,
    });
    if let Some(why) = why {
        result["error_message"] = why.as_str().into();
    }
    result
}

/// Why an instance is not ready, in words.
fn reason(instance: &Instance) -> String {
    match &instance.death {
        Some(death) => death.failure.to_string(),
        None => format!("it is {}", instance.phase),
    }
}

/// All reasons, each once.
fn error_message(reasons: &[String], of: usize) -> Option<String> {
    let mut different: Vec<(&str, usize)> = vec![];
    for reason in reasons {
        match different.iter_mut().find(|(known, _)| known == reason) {
            Some((_, times)) => *times += 1,
            None => different.push((reason, 1)),
        }
    }
    match (&different[..], of) {
        ([], _) => None,
        ([(reason, _)], 1) => Some((*reason).to_owned()),
        (different, of) => {
            let said: Vec<_> = different
                .iter()
                .map(|(reason, times)| match times {
                    1 => (*reason).to_owned(),
                    times => format!("{reason} ({times} times)"),
                })
                .collect();
            let failed = reasons.len();
            Some(format!(
                "{failed} of {of} instances failed: {}",
                said.join("; ")
            ))
        }
    }
}

/// Tells how many instances are ready; never ends.
async fn report_progress(
    mut fleet: watch::Receiver<Arc<Fleet>>,
    id: &SessionId,
    listener: &Listener,
) {
    let mut told = None;
    loop {
        let counts = fleet.borrow_and_update().sessions.get(id).map(|session| {
            let instances = session.instances.values();
            let ready = instances.filter(|instance| instance.phase == Phase::Ready);
            (ready.count(), session.instances.len())
        });
        if let Some((ready, of)) = counts
            && of > 0
            && told.replace((ready, of)) != counts
        {
            #[allow(clippy::cast_precision_loss, reason = "counts are small")]
            listener.hear(&Progress {
                done: ready as f64,
                total: Some(of as f64),
                message: Some(format!("{ready} of {of} instances are ready").into()),
            });
        }
        if fleet.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_reason_is_told_once() {
        let reasons = |texts: &[&str]| {
            texts
                .iter()
                .map(|text| (*text).to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(error_message(&[], 3), None);
        assert_eq!(error_message(&reasons(&["a"]), 1).as_deref(), Some("a"));
        assert_eq!(
            error_message(&reasons(&["a", "b", "a"]), 4).as_deref(),
            Some("3 of 4 instances failed: a (2 times); b")
        );
    }
}
