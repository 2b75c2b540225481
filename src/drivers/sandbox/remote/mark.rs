//! By what all processes of one instance are found, so that they can be ended: users they share, and groups they may
//! leave.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::job::{self, Work};
use super::sites::{Site, Sites};
use crate::model::{Failure, Stage};

const END_MARKED: &str = include_str!("../scripts/end_marked.sh");
/// For a server that ends when its input does, tenths of a second.
const GOODBYE: u128 = 3;
/// For the end of what is killed, tenths of a second.
const KILLING: u128 = 50;
/// For what the runtime does around that.
const MARGIN: Duration = Duration::from_secs(8);

/// By which all that was started for one instance is found. Dropping it ends what is left, unless that was done.
pub struct Mark {
    pub text: String,
    sites: Arc<Sites>,
    site: Arc<Site>,
    is_done: bool,
}

impl Mark {
    pub fn new(sites: &Arc<Sites>, site: &Arc<Site>) -> Self {
        Self {
            text: format!("{:032x}", rand::random::<u128>()),
            sites: sites.clone(),
            site: site.clone(),
            is_done: false,
        }
    }

    /// Asks all of it to end, and kills it after `grace`.
    pub async fn end(&self, grace: Duration) -> Result<(), Failure> {
        end(&self.site, &self.text, grace).await
    }

    /// The same for good. What cannot be ended takes the sandbox along.
    pub async fn finish(mut self, grace: Duration) -> Result<(), Failure> {
        let ended = self.end(grace).await;
        self.is_done = true;
        match ended {
            Err(failure) if !self.site.has_others() => {
                self.site.delete().await.map_err(|_| failure)
            }
            ended => ended,
        }
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        if !self.is_done {
            let (site, text) = (self.site.clone(), std::mem::take(&mut self.text));
            self.sites.see_to(async move {
                if let Err(failure) = end(&site, &text, Duration::ZERO).await {
                    tracing::warn!("{}: {failure}", site.spec.session_id);
                }
            });
        }
    }
}

async fn end(site: &Site, mark: &str, grace: Duration) -> Result<(), Failure> {
    let tenths = grace.as_millis() / 100;
    let times = [GOODBYE.min(tenths), tenths, KILLING].map(|time| time.to_string());
    let [goodbye, asked, killed] = &times;
    let work = Work::new("end", END_MARKED, &[mark, goodbye, asked, killed]);
    let ended = timeout(grace + MARGIN, job::run(site, work, None, None)).await;
    let text = match ended {
        Ok(Ok(done)) if done.succeeded() => return Ok(()),
        // With the sandbox all that was in it is gone.
        Ok(Err(trouble)) if trouble.is_not_found() => return Ok(()),
        Ok(Ok(done)) if done.exit.code == Some(127) => {
            "it may still run: the image has no grep and tr, by which its processes are found"
                .to_owned()
        }
        Ok(Ok(done)) => format!("its processes cannot be killed: {}", done.said),
        Ok(Err(trouble)) => return Err(trouble.at(Stage::Stop).hint("it may still run")),
        Err(_) => "its end was not seen in time".to_owned(),
    };
    Err(Failure::other(Stage::Stop, text))
}
