//! The requests of a login: on our own connections, so that proxies, authorities and limits hold for them, too.

use std::time::Duration;

use hyper::http;
use reqwest::header::LOCATION;
use reqwest::{Client, Url};
use rmcp::transport::auth::{
    OAuthHttpClient, OAuthHttpClientError, OAuthHttpClientFuture, OAuthHttpRedirectPolicy,
    OAuthHttpRequest,
};
use tokio::time::timeout;

use crate::mcp::http::client::builder;
use crate::mcp::http::words;
use crate::model::{Failure, HttpServer, place};

/// Of an answer, bytes.
const LIMIT: usize = 1 << 20;
/// For one request.
const PATIENCE: Duration = Duration::from_secs(30);
/// More is a loop.
const REDIRECTS: usize = 5;

/// Sends what a login needs sent.
pub(super) struct Wire(Client);

impl Wire {
    /// As the server is spoken to, but without its headers: the one to log in at is another.
    pub fn new(server: &HttpServer) -> Result<Self, Failure> {
        // It may be encrypted even where the server is not.
        Ok(Self(builder(server, true)?))
    }
}

impl OAuthHttpClient for Wire {
    fn execute(&self, request: OAuthHttpRequest) -> OAuthHttpClientFuture<'_> {
        Box::pin(async move {
            let limit = request.timeout.unwrap_or(PATIENCE).min(PATIENCE);
            timeout(limit, exchange(&self.0, request)).await?
        })
    }
}

async fn exchange(
    client: &Client,
    request: OAuthHttpRequest,
) -> Result<http::Response<Vec<u8>>, OAuthHttpClientError> {
    let follows = request.redirect_policy == OAuthHttpRedirectPolicy::Follow;
    let (parts, body) = request.request.into_parts();
    let mut url = Url::parse(&parts.uri.to_string())?;
    for _ in 0..=REDIRECTS {
        let sent = client.request(parts.method.clone(), url.clone());
        let sent = sent.headers(parts.headers.clone()).body(body.clone());
        let sent = sent.send().await;
        let mut answer =
            sent.map_err(|error| words::unreachable(&place(&url), &error, PATIENCE))?;
        let next = answer.headers().get(LOCATION);
        let next = next.and_then(|next| url.join(next.to_str().ok()?).ok());
        if let Some(next) = next.filter(|_| follows && answer.status().is_redirection()) {
            url = next;
            continue;
        }
        let mut response = http::Response::builder().status(answer.status());
        if let Some(headers) = response.headers_mut() {
            headers.clone_from(answer.headers());
        }
        let mut whole = Vec::new();
        let broken = |error| words::broken(&place(&url), &error);
        while let Some(chunk) = answer.chunk().await.map_err(broken)? {
            whole.extend_from_slice(&chunk);
            if whole.len() > LIMIT {
                return Err(format!("the answer is over the limit of {LIMIT} bytes").into());
            }
        }
        return Ok(response.body(whole)?);
    }
    Err("it redirects in a circle".into())
}
