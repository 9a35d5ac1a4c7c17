//! Answers. What the orchestrator wrote is passed on as it came.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use conductor_web::Site;
use serde::Serialize;
use serde_json::value::RawValue;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

fn written(status: StatusCode, body: impl Into<Body>) -> Response {
    let mut response = (status, body.into()).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    response
}

/// An answer of the orchestrator.
pub(crate) fn passed(answer: Box<RawValue>) -> Response {
    let text: Box<str> = answer.into();
    written(StatusCode::OK, Bytes::from(text.into_string()))
}

/// A list of the orchestrator, as an object that may get more fields.
pub(crate) fn items(answer: &RawValue) -> Response {
    written(StatusCode::OK, format!("{{\"items\":{answer}}}"))
}

/// A value.
pub(crate) fn json<T: Serialize>(status: StatusCode, value: &T) -> Response {
    let text = serde_json::to_vec(value).expect("an answer is made of what JSON has");
    written(status, text)
}

/// Something that was made, and where it is.
pub(crate) fn created<T: Serialize>(site: &Site, path: &str, value: &T) -> Response {
    let mut response = json(StatusCode::CREATED, value);
    if let Ok(location) = HeaderValue::try_from(site.path(path)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// Done, with nothing further to say.
pub(crate) fn none<T>(_done: T) -> Response {
    StatusCode::NO_CONTENT.into_response()
}
