//! `/v1/authz`: whether nginx may hand out a file.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use conductor_core::TaskId;
use conductor_protocol::Code;
use conductor_protocol::control::Role;
use conductor_web::{Caller, Refusal, Shown, Site};

/// What nginx names the request by that it asks about.
const ORIGINAL: [&str; 2] = ["x-original-uri", "x-original-url"];

/// What a path of nginx leads to.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    /// What a task left.
    Task(TaskId),
    /// The logs of the programs.
    Logs,
    /// The list of what there is, without its content.
    Front,
    /// Nothing that is ever handed out.
    Nothing,
}

/// Decides for nginx about the path in `X-Original-URI`: 204, 401 or 403.
#[utoipa::path(
    get, path = "/v1/authz", tag = "access",
    params(("X-Original-URI" = Option<String>, Header, description = "The path that was asked of nginx.")),
    responses(
        (status = 204, description = "It may be handed out."),
        (status = "4XX", body = Shown, content_type = "application/problem+json"),
        (status = 503, body = Shown, content_type = "application/problem+json"),
    )
)]
pub(super) async fn authz(
    State(site): State<Site>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<StatusCode, Refusal> {
    let said = ORIGINAL.iter().find_map(|name| headers.get(*name));
    let place = said.and_then(|value| value.to_str().ok()).map_or(Place::Nothing, place_of);
    let refused = || Refusal::new(Code::Forbidden, "the token may not read what is at this path");
    let may = match place {
        Place::Task(id) => match caller.control(&site).await?.get(id).await.map_err(Refusal::from) {
            Ok(_) => true,
            // nginx knows no other answers; the two are the same to who asks.
            Err(Refusal(problem)) if matches!(problem.code, Code::NotFound | Code::Forbidden) => false,
            Err(refusal) => return Err(refusal),
        },
        Place::Logs => caller.identity.role == Role::Admin,
        Place::Front => caller.identity.role >= Role::Viewer,
        Place::Nothing => false,
    };
    if may { Ok(StatusCode::NO_CONTENT) } else { Err(refused()) }
}

/// Tells where a path leads. What does not have the one form that nginx uses leads nowhere, so that both always mean
/// the same file.
fn place_of(uri: &str) -> Place {
    let path = uri.split(['?', '#']).next().unwrap_or_default();
    let Some(path) = decoded(path) else { return Place::Nothing };
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let strange = |segment: &&str| matches!(*segment, "." | "..") || segment.contains(['\\', '\0']);
    let last_is_empty = segments.last().is_some_and(|last| last.is_empty());
    let inner = &segments[..segments.len() - usize::from(last_is_empty)];
    if !path.starts_with('/') || inner.iter().any(|segment| strange(segment) || segment.is_empty()) {
        return Place::Nothing;
    }
    match inner {
        [] | ["tasks"] => Place::Front,
        ["tasks", id, ..] => id.parse().map_or(Place::Nothing, Place::Task),
        ["logs", ..] => Place::Logs,
        [_, ..] => Place::Nothing,
    }
}

/// Resolves `%..`; nothing when that is malformed, or would hide a slash or a percent sign.
fn decoded(path: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        let value = u8::try_from(digit()? * 16 + digit()?).ok()?;
        if matches!(value, b'/' | b'%' | b'\0') {
            return None;
        }
        bytes.push(value);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "01920000-0000-7000-8000-000000000001";

    #[test]
    fn paths_of_a_task_lead_to_it() {
        let task = Place::Task(ID.parse().unwrap());
        for path in
            ["", "/", "/work/a.txt", "/attempts/1/output.log?x=/private", "/work/a%20b", "/work/%2e%2ex"]
        {
            assert_eq!(place_of(&format!("/tasks/{ID}{path}")), task, "{path}");
        }
    }

    #[test]
    fn paths_that_could_mean_another_file_lead_nowhere() {
        for path in [
            "/private/x",
            "/tasks/x/..",
            &format!("/tasks/{ID}/../other"),
            &format!("/tasks/{ID}/%2e%2e/other"),
            &format!("/tasks/{ID}/..%2fother"),
            &format!("/tasks/{ID}//x"),
            &format!("//tasks/{ID}"),
            &format!("/tasks/{ID}/%zz"),
            &format!("/tasks/{ID}/%"),
            &format!("/tasks/{ID}/a\\b"),
            "/../logs/x",
            "/logs/../tasks",
            "/etc/passwd",
            "",
            "tasks",
        ] {
            assert_eq!(place_of(path), Place::Nothing, "{path}");
        }
        assert_eq!(place_of("/logs/api.log"), Place::Logs);
        assert_eq!((place_of("/"), place_of("/tasks/")), (Place::Front, Place::Front));
    }
}
