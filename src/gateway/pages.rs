//! What a browser wants to hear before it lets a page of another origin ask, and read the answer (CORS, WHATWG Fetch
//! 3.2). Whether the page may, `guard` has decided.

use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderValue, ORIGIN, VARY,
};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};

use super::body::Answer;
use super::endpoint::{METHODS, respond};

/// How long a browser need not ask again, seconds: as long as the most patient ones remember.
const REMEMBER: HeaderValue = HeaderValue::from_static("7200");
/// Headers of answers that pages need.
const READABLE: HeaderValue = HeaderValue::from_static("mcp-session-id, www-authenticate");

/// Whether a browser asks on behalf of a page. It cannot know a token then.
pub(super) fn is_question(head: &Parts) -> bool {
    head.method == Method::OPTIONS
        && head.headers.contains_key(ORIGIN)
        && head.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// The page may ask, with whatever headers it wants to.
pub(super) fn answer(question: &HeaderMap) -> Response<Answer> {
    let mut response = respond(StatusCode::NO_CONTENT, Answer::empty());
    let headers = response.headers_mut();
    headers.insert(
        ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static(METHODS),
    );
    if let Some(wanted) = question.get(ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
    }
    headers.insert(ACCESS_CONTROL_MAX_AGE, REMEMBER);
    response
}

/// Lets pages of `origin` read the response.
pub(super) fn show(response: &mut Response<Answer>, origin: HeaderValue) {
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, READABLE);
    headers.append(VARY, HeaderValue::from_static("origin"));
}
