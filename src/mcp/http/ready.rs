//! Waiting until something answers HTTP: for a server that is being started.

use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::HeaderMap;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::client::{Ask, Client};
use crate::drivers::HttpEndpoint;
use crate::model::{Cause, Failure, Reach, Stage};

/// Between two attempts; doubles up to the second.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// What forwards a published port may take a connection long before there is anybody to pass it on to.
const ATTEMPT: Duration = Duration::from_secs(2);

/// Resolves when the server answers an HTTP request, whatever it answers. A connection that is refused, reset or
/// closed, a silence, and a proxy's "bad gateway" mean "not yet", and so does a name without an address: that of a
/// new instance takes a while to be known. A certificate that is not trusted ends the wait.
///
/// # Errors
/// At `deadline` with what happened last, at [`Stage::Connect`].
pub async fn ready(endpoint: &HttpEndpoint, deadline: Instant) -> Result<(), Failure> {
    let client = Client::new(&endpoint.server)?;
    let began = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        let Err(why) = answers(&client, deadline.min(Instant::now() + ATTEMPT)).await else {
            return Ok(());
        };
        let is_final = matches!(
            &why,
            Cause::Protocol(_)
                | Cause::Unreachable {
                    reach: Reach::Tls | Reach::Proxy,
                    ..
                }
        );
        let next = Instant::now() + pause;
        if is_final || next >= deadline {
            let waited = Duration::from_millis(
                u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            );
            let hint = match &why {
                _ if is_final => None,
                Cause::Unreachable {
                    reach: Reach::Dns, ..
                } => Some(format!("its name had no address for {waited:?}")),
                _ => Some(format!("nothing answered at its port within {waited:?}")),
            };
            let failure = Failure::new(Stage::Connect, why);
            return Err(match hint {
                Some(hint) => failure.hint(hint),
                None => failure,
            });
        }
        sleep_until(next).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Asks for what the server can do there, which changes nothing.
async fn answers(client: &Client, until: Instant) -> Result<(), Cause> {
    let ask = Ask {
        method: Method::OPTIONS,
        url: &client.url,
        headers: HeaderMap::new(),
        body: Bytes::new(),
    };
    let began = Instant::now();
    let answer = timeout_at(until, client.send(ask)).await.map_err(|_| {
        let (server, reach) = (client.server.clone(), Reach::TimedOut);
        Cause::Unreachable {
            server,
            reach,
            detail: format!("silent for {:?}", began.elapsed()),
        }
    })?;
    match answer {
        Ok(answer) if matches!(answer.status().as_u16(), 502..=504) => Err(Cause::Http {
            server: client.server.clone(),
            status: answer.status().as_u16(),
            said: String::new(),
            retry_after: None,
        }),
        // It answered, if only to send us away.
        Ok(_) | Err(Cause::Http { .. }) => Ok(()),
        Err(cause) => Err(cause),
    }
}
