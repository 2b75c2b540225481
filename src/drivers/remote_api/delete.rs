//! Giving back what an API made: until it is gone, or as long as there is time.

use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use reqwest::Method;
use tokio::time::{Instant, timeout_at};

use super::client::{Api, Request, Unanswered};
use super::create;
use super::journal::Debt;
use crate::model::Cause;

/// What is still owed, and why.
pub(super) struct Unpaid {
    pub cause: Cause,
    pub left: Vec<Debt>,
}

impl Api {
    /// Has it delete an instance; what is not there any more is deleted, too.
    pub async fn delete(
        &self,
        id: &str,
        until: Instant,
        tell: &(dyn Fn(&str) + Sync),
    ) -> Result<(), Cause> {
        let template = &self.config.delete_instance_endpoint_template;
        let request = Request {
            method: Method::DELETE,
            url: self.endpoint(template, Some(id))?,
            body: Bytes::new(),
            key: None,
            repeats: u32::MAX,
            limit: None,
            timeout: Some(self.config.timeout),
            until,
            attempts: u32::MAX,
        };
        let began = Instant::now();
        let asked = timeout_at(until, self.ask(&request, tell)).await;
        let asked = asked.unwrap_or_else(|_| {
            let millis = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            let cause = Cause::Deadline {
                what: format!("DELETE of {id} by {}", self.place()).into(),
                after: Duration::from_millis(millis),
            };
            Err(Unanswered {
                cause,
                is_certain: false,
            })
        });
        match asked.map_err(|unanswered| unanswered.cause) {
            Ok(_)
            | Err(Cause::Http {
                status: 404 | 410, ..
            }) => Ok(()),
            Err(cause) => Err(cause),
        }
    }

    /// Removes whatever a debt stands for. A request that was not answered is sent again with its key: the API then
    /// tells what it made, and all of that goes.
    pub async fn pay(&self, debt: &Debt, until: Instant) -> Result<(), Unpaid> {
        if debt.is_lost {
            let (cause, left) = (self.lost(debt), vec![debt.clone()]);
            return Err(Unpaid { cause, left });
        }
        if debt.id.is_some() {
            return self.pay_all(vec![debt.clone()], until).await;
        }
        let made = match self.made(debt, until).await {
            Ok(ids) => ids,
            Err(cause) if knows_nothing(&cause) => return Ok(()),
            Err(cause) => {
                let left = vec![debt.clone()];
                return Err(Unpaid { cause, left });
            }
        };
        let others = self.others(debt, &made, until).await;
        let strangers = others.as_deref().unwrap_or_default();
        let ids = made.iter().chain(strangers);
        let paid = self
            .pay_all(ids.map(|id| debt.made(id)).collect(), until)
            .await;
        let (cause, request) = match others {
            Ok(others) if others.is_empty() => return paid,
            Ok(_) => (self.lost(debt), debt.lost()),
            Err(cause) => (cause, debt.clone()),
        };
        let mut left = paid.err().map_or(vec![], |unpaid| unpaid.left);
        left.push(request);
        Err(Unpaid { cause, left })
    }

    /// Deletes the instances of these debts.
    async fn pay_all(&self, debts: Vec<Debt>, until: Instant) -> Result<(), Unpaid> {
        let tell = |text: &str| tracing::debug!("delete {text}");
        let requests = debts
            .iter()
            .map(|debt| self.delete(debt.name(), until, &tell));
        let deleted = join_all(requests).await;
        let (mut first, mut left) = (None, vec![]);
        for (debt, deleted) in debts.into_iter().zip(deleted) {
            if let Err(cause) = deleted {
                first.get_or_insert(cause);
                left.push(debt);
            }
        }
        first.map_or(Ok(()), |cause| Err(Unpaid { cause, left }))
    }

    /// Sends a request again; the ids that it is answered with.
    async fn made(&self, debt: &Debt, until: Instant) -> Result<Vec<String>, Cause> {
        let tell = |text: &str| tracing::debug!("{}: {text}", debt.name());
        let request = Request {
            // Each time may make more, where the key means nothing.
            repeats: 0,
            ..create::request(self, &debt.key, debt.asked.clone().into(), until)?
        };
        let answer = self.ask(&request, &tell).await;
        let answer = answer.map_err(|unanswered| unanswered.cause)?;
        Ok(create::ids(&answer.body))
    }

    /// Instances that the same request makes once more: none with an API that knows keys. Where there are some,
    /// those of an answer that was lost cannot be found out.
    pub async fn others(
        &self,
        debt: &Debt,
        known: &[String],
        until: Instant,
    ) -> Result<Vec<String>, Cause> {
        if self.knows_keys() {
            return Ok(vec![]);
        }
        let mut ids = self.made(debt, until).await?;
        let count = ids.len();
        ids.retain(|id| !known.contains(id));
        if ids.len() < count {
            self.has_known_a_key();
        }
        Ok(ids)
    }

    /// What to tell of a request whose instances nobody can find.
    pub fn lost(&self, debt: &Debt) -> Cause {
        Cause::Other(format!(
            "{} does not know Idempotency-Key: a request for {} whose answer was lost, of session {} at {}, \
             may have made instances that envdeck cannot find",
            self.place(),
            debt.resource,
            debt.session,
            debt.since
        ))
    }
}

/// Whether an API that is asked again refuses for good: then it made nothing the first time.
fn knows_nothing(cause: &Cause) -> bool {
    let Cause::Http { status, .. } = cause else {
        return false;
    };
    (400..500).contains(status) && !matches!(status, 401 | 403 | 407..=409 | 429)
}
