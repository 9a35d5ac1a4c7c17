//! `/v1/tokens`: who may come in.

use axum::Json as Answer;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use conductor_protocol::control::{CreateToken, NewToken, TokenView};
use conductor_web::{Caller, Refusal, Shown, Site};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::Json;

/// All tokens.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Tokens {
    items: Vec<TokenView>,
}

/// Lists the tokens, without their secrets.
#[utoipa::path(
    get, path = "/v1/tokens", tag = "access", operation_id = "list_tokens",
    responses(
        (status = 200, body = Tokens),
        (status = "4XX", body = Shown, content_type = "application/problem+json"),
        (status = 503, body = Shown, content_type = "application/problem+json"),
    )
)]
pub(super) async fn list(State(site): State<Site>, caller: Caller) -> Result<Answer<Tokens>, Refusal> {
    let items = caller.control(&site).await?.tokens().await?;
    Ok(Answer(Tokens { items }))
}

/// Makes a token. Its secret is told this once.
#[utoipa::path(
    post, path = "/v1/tokens", tag = "access", operation_id = "create_token", request_body = CreateToken,
    responses(
        (status = 201, body = NewToken),
        (status = "4XX", body = Shown, content_type = "application/problem+json"),
        (status = 503, body = Shown, content_type = "application/problem+json"),
    )
)]
pub(super) async fn create(
    State(site): State<Site>,
    caller: Caller,
    Json(token): Json<CreateToken>,
) -> Result<Response, Refusal> {
    let made = caller.control(&site).await?.create_token(token).await?;
    let location = site.path(&format!("/v1/tokens/{}", made.token.name));
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Answer(made)).into_response())
}

/// Takes a token, and every session that it opened. It is in force within a second.
#[utoipa::path(
    delete, path = "/v1/tokens/{name}", tag = "access", operation_id = "revoke_token",
    params(("name" = String, Path, description = "The token's name.")),
    responses(
        (status = 204, description = "It is taken."),
        (status = "4XX", body = Shown, content_type = "application/problem+json"),
        (status = 503, body = Shown, content_type = "application/problem+json"),
    )
)]
pub(super) async fn revoke(
    State(site): State<Site>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<StatusCode, Refusal> {
    caller.control(&site).await?.revoke_token(name).await?;
    site.forget_all();
    Ok(StatusCode::NO_CONTENT)
}
