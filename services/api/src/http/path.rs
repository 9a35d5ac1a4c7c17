//! What stands in a path.

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use conductor_core::TaskId;
use conductor_protocol::Code;
use conductor_web::Refusal;

/// The task that a path names as `{id}`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Task(pub(crate) TaskId);

/// The tasks that a path names as `{a}` and `{b}`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pair(pub(crate) TaskId, pub(crate) TaskId);

/// What a path names as `{name}`, or as an `{id}` that is not a task's.
#[derive(Debug, Clone)]
pub(crate) struct Named(pub(crate) String);

/// The file of a task that a path names as `{id}` and `{path}`.
#[derive(Debug, Clone)]
pub(crate) struct Within(pub(crate) TaskId, pub(crate) String);

async fn texts(parts: &mut Parts) -> Result<Vec<(String, String)>, Refusal> {
    let params = RawPathParams::from_request_parts(parts, &()).await;
    let params = params.map_err(|_| Refusal::new(Code::InvalidRequest, "the path is not UTF-8"))?;
    Ok(params.iter().map(|(name, text)| (name.to_owned(), text.to_owned())).collect())
}

fn text(texts: &[(String, String)], name: &str) -> String {
    texts.iter().find(|(known, _)| known == name).map(|(_, text)| text.clone()).unwrap_or_default()
}

/// A text that is no id names nothing.
fn task(text: &str) -> Result<TaskId, Refusal> {
    text.parse().map_err(|_| Refusal::new(Code::NotFound, format!("there is no task {text:?}")))
}

impl<S: Sync> FromRequestParts<S> for Task {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        task(&text(&texts(parts).await?, "id")).map(Self)
    }
}

impl<S: Sync> FromRequestParts<S> for Pair {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let texts = texts(parts).await?;
        Ok(Self(task(&text(&texts, "a"))?, task(&text(&texts, "b"))?))
    }
}

impl<S: Sync> FromRequestParts<S> for Named {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let texts = texts(parts).await?;
        let name = texts.into_iter().find(|(name, _)| name == "name" || name == "id");
        Ok(Self(name.map(|(_, text)| text).unwrap_or_default()))
    }
}

impl<S: Sync> FromRequestParts<S> for Within {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let texts = texts(parts).await?;
        Ok(Self(task(&text(&texts, "id"))?, text(&texts, "path")))
    }
}
