//! `/v1/authz`: whether nginx may hand out a file.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use conductor_protocol::Code;
use conductor_protocol::control::{Browse, EntryKind, Role};
use conductor_web::{Caller, Refusal, Shown};
use url::form_urlencoded::byte_serialize;

use crate::browse::Place;
use crate::server::App;

/// What nginx names the request by that it asks about.
const ORIGINAL: [&str; 2] = ["x-original-uri", "x-original-url"];
/// What nginx names the host by that was asked for.
const HOST: &str = "x-original-host";
/// The status that nginx is to answer with; it knows no other refusals than 401 and 403.
const STATUS: &str = "x-conductor-status";
/// The path that was asked for, as it can stand in the address of the login.
const RETURN: &str = "x-conductor-return";
/// No path is longer that a browser is brought back to.
const MAX_RETURN_BYTES: usize = 2_048;

/// Decides for nginx about the path in `X-Original-URI`: 204, 401 or 403.
///
/// `X-Conductor-Status` says what a 403 stands for: 404 for what is not there or may not be seen, 421 for a foreign
/// `X-Original-Host`, 403 for the logs. With a 401 it says 421 alike, and `X-Conductor-Return` where a login leads back to.
#[utoipa::path(
    get, path = "/v1/authz", tag = "access",
    params(
        ("X-Original-URI" = Option<String>, Header, description = "The path that was asked of nginx."),
        ("X-Original-Host" = Option<String>, Header, description = "The host that was asked for."),
    ),
    responses(
        (status = 204, description = "It may be handed out."),
        (status = "4XX", body = Shown, content_type = "application/problem+json"),
        (status = 503, body = Shown, content_type = "application/problem+json"),
    )
)]
pub(super) async fn authz(
    State(app): State<App>,
    caller: Result<Caller, Refusal>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let uri = ORIGINAL.iter().find_map(|name| headers.get(*name)).and_then(|value| value.to_str().ok());
    let is_misdirected =
        headers.get(HOST).is_some_and(|host| !host.to_str().is_ok_and(|host| app.file_hosts.answer_to(host)));
    // Who asks comes first, as with every route; a foreign host is never sent to the login.
    let caller = match caller {
        Ok(_) if is_misdirected => {
            let detail =
                "the file server does not answer to this name; files.hosts in the configuration adds names";
            return Ok(refused(detail, 421));
        }
        Err(refusal) if is_misdirected => return Ok(marked(refusal, 421)),
        Ok(caller) => caller,
        Err(refusal) => return Ok(log_in_first(refusal, uri)),
    };
    let nothing = "the token may not read what is at this path, or nothing is there";
    let is_admin = caller.identity.role == Role::Admin;
    let call = |id, path| Browse { id, path, limit: None, after: None };
    let call = match uri.map_or(Place::Nothing, Place::of) {
        Place::Front if caller.identity.role >= Role::Viewer => {
            return Ok(StatusCode::NO_CONTENT.into_response());
        }
        Place::Logs(_) if !is_admin => return Ok(refused("the logs are for admins", 403)),
        Place::Front => return Ok(refused("the token may not read runs", 403)),
        Place::Logs(path) => call(None, path),
        Place::Run(task, path) => call(Some(task), path),
        Place::Nothing => return Ok(refused(nothing, 404)),
    };
    let is_logs = call.id.is_none();
    match caller.control(&app.site).await?.browse(call).await.map_err(Refusal::from) {
        Ok(view) => Ok(match view.kind {
            EntryKind::Folder | EntryKind::File => StatusCode::NO_CONTENT.into_response(),
            EntryKind::Linked | EntryKind::Link | EntryKind::Other => refused(nothing, 404),
        }),
        Err(Refusal(problem)) if problem.code == Code::Forbidden && is_logs => Ok(refused(nothing, 403)),
        // What may not be seen is not there.
        Err(Refusal(problem)) if matches!(problem.code, Code::NotFound | Code::Forbidden) => {
            Ok(refused(nothing, 404))
        }
        Err(refusal) => Err(refusal),
    }
}

fn refused(detail: &str, status: u16) -> Response {
    marked(Refusal::new(Code::Forbidden, detail), status)
}

/// A refusal, with the status that nginx is to answer with in its place.
fn marked(refusal: Refusal, status: u16) -> Response {
    let mut response = refusal.into_response();
    response.headers_mut().insert(STATUS, status.into());
    response
}

/// Who is nobody is told where to come back to.
fn log_in_first(refusal: Refusal, uri: Option<&str>) -> Response {
    let back = uri.filter(|uri| uri.len() <= MAX_RETURN_BYTES);
    let back: Option<String> = back.map(|uri| byte_serialize(uri.as_bytes()).collect());
    let mut response = refusal.into_response();
    if let Some(back) = back.and_then(|back| HeaderValue::try_from(back).ok()) {
        response.headers_mut().insert(RETURN, back);
    }
    response
}
