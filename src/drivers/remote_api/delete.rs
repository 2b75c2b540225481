//! Giving back what an API made: until it is gone, or as long as there is time.

use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use tokio::time::{Instant, timeout_at};

use super::client::{Api, Request, Unanswered};
use super::create;
use super::journal::Debt;
use crate::model::Cause;

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
            is_repeatable: true,
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
    pub async fn pay(&self, debt: &Debt, until: Instant) -> Result<(), Cause> {
        let tell = |text: &str| tracing::debug!("{}: {text}", debt.name());
        if let Some(id) = &debt.id {
            return self.delete(id, until, &tell).await;
        }
        let request = create::request(self, &debt.key, debt.asked.clone().into(), until)?;
        let answer = match self.ask(&request, &tell).await {
            Ok(answer) => answer,
            Err(unanswered) if knows_nothing(&unanswered.cause) => return Ok(()),
            Err(unanswered) => return Err(unanswered.cause),
        };
        for id in create::ids(&answer) {
            self.delete(&id, until, &tell).await?;
        }
        Ok(())
    }
}

/// Whether an API that is asked again refuses for good: then it made nothing the first time.
fn knows_nothing(cause: &Cause) -> bool {
    let Cause::Http { status, .. } = cause else {
        return false;
    };
    (400..500).contains(status) && !matches!(status, 401 | 403 | 407..=409 | 429)
}
