//! `/v1/browse`: the lists of the file server.

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::Response;
use conductor_core::TaskId;
use conductor_protocol::control::{Browse, BrowseView, EntryKind, ListRequest, Role};
use conductor_protocol::{Code, Problem, limits};
use conductor_web::{Caller, Refusal};
use url::Url;

use crate::browse::{self, Folder, Place, Run, Runs};
use crate::http::{Params, json};
use crate::server::App;

/// Where the dashboard is, as nginx was told.
const DASHBOARD: &str = "x-dashboard-url";
/// Runs on a page where nothing is said.
const RUNS: u32 = 100;

/// Lists the runs for the file server, newest first, as HTML or as JSON.
#[utoipa::path(
    get, path = "/v1/browse/", tag = "runs", operation_id = "browse_runs",
    params(
        ("format" = Option<String>, Query, description = "`html` or `json`; as `Accept` says when none is given."),
        ("group" = Option<String>, Query, description = "Of this group."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before."),
    ),
    responses((status = 200, description = "The runs.", content((Runs = "application/json"), (String = "text/html")))),
)]
pub(crate) async fn front(
    caller: Caller,
    State(app): State<App>,
    uri: Uri,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    answer(&app, &caller, uri.path(), query.as_deref(), &headers).await
}

/// Lists a folder of a run, or of the logs, for the file server, as HTML or as JSON.
#[utoipa::path(
    get, path = "/v1/browse/{*path}", tag = "runs", operation_id = "browse_folder",
    params(
        ("path" = String, Path, description = "A path of the file server: `tasks/`, `tasks/<id>/...` or `logs/...`."),
        ("format" = Option<String>, Query, description = "`html` or `json`; as `Accept` says when none is given."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before."),
    ),
    responses((status = 200, description = "The folder.", content((Folder = "application/json"), (String = "text/html")))),
)]
pub(crate) async fn below(
    caller: Caller,
    State(app): State<App>,
    uri: Uri,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    answer(&app, &caller, uri.path(), query.as_deref(), &headers).await
}

async fn answer(
    app: &App,
    caller: &Caller,
    path: &str,
    query: Option<&str>,
    headers: &HeaderMap,
) -> Result<Response, Refusal> {
    let params = Params::read(query, &["format", "group", "limit", "cursor"])?;
    let as_json = wants_json(&params, headers)?;
    let dashboard = dashboard(app, headers);
    let asked = Asked { app, caller, params, as_json, dashboard: dashboard.as_ref() };
    let path = path.split_once("/v1/browse").map_or("", |(_, path)| path);
    let answered = match Place::of(path) {
        Place::Front => asked.runs(if path == "/" { "./" } else { "../" }).await,
        Place::Run(task, path) => asked.folder(Some(task), path).await,
        Place::Logs(path) => asked.folder(None, path).await,
        Place::Nothing => Err(nothing()),
    };
    match answered {
        Err(Refusal(problem)) if !as_json => Ok(browse::problem(problem, dashboard.as_ref())),
        other => other,
    }
}

struct Asked<'a> {
    app: &'a App,
    caller: &'a Caller,
    params: Params,
    as_json: bool,
    dashboard: Option<&'a Url>,
}

impl Asked<'_> {
    async fn runs(&self, up: &'static str) -> Result<Response, Refusal> {
        let params = &self.params;
        let mut request = ListRequest {
            limit: Some(params.number("limit", 1..=limits::MAX_PAGE)?.unwrap_or(RUNS)),
            cursor: params.text("cursor")?,
            ..ListRequest::default()
        };
        request.filter.group = params.text("group")?;
        let is_later = request.cursor.is_some();
        let page = self.caller.control(&self.app.site).await?.list(request).await?;
        let items = page.items.into_iter().map(Run::from).collect();
        let list = Runs { items, next_cursor: page.next_cursor };
        if self.as_json {
            return Ok(json(StatusCode::OK, &list));
        }
        browse::runs(list, self.dashboard, self.caller.identity.role == Role::Admin, up, is_later)
    }

    async fn folder(&self, task: Option<TaskId>, path: String) -> Result<Response, Refusal> {
        let limit = self.params.number("limit", 1..=limits::MAX_PAGE)?.unwrap_or(limits::MAX_PAGE);
        let after = self.params.text("cursor")?;
        let is_later = after.is_some();
        let control = self.caller.control(&self.app.site).await?;
        let call = Browse { id: task, path: path.clone(), limit: Some(limit), after };
        let view: BrowseView = control.browse(call).await?;
        if view.kind != EntryKind::Folder {
            return Err(nothing());
        }
        let run = match task {
            Some(task) => Some(Run::from(control.get(task).await?)),
            None => None,
        };
        let BrowseView { kind: _, items, total, more, next } = view;
        let list = Folder { run, path, items, total, more, next_cursor: next };
        if self.as_json {
            return Ok(json(StatusCode::OK, &list));
        }
        browse::folder(list, self.dashboard, is_later)
    }
}

fn nothing() -> Refusal {
    Problem::new(Code::NotFound, "there is no such folder").into()
}

/// Whether JSON is asked for: by the query, else by what is accepted.
fn wants_json(params: &Params, headers: &HeaderMap) -> Result<bool, Problem> {
    match params.one("format")? {
        Some("json") => Ok(true),
        Some("html") => Ok(false),
        Some(_) => Err(Problem::at("/format", "it may be html or json")),
        None => {
            let accepted =
                headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
            Ok(accepted.contains("json") && !accepted.contains("text/html"))
        }
    }
}

/// Where the dashboard is: as nginx says, else as configured.
fn dashboard(app: &App, headers: &HeaderMap) -> Option<Url> {
    let said = headers.get(DASHBOARD).and_then(|value| value.to_str().ok()?.parse::<Url>().ok());
    said.filter(|url| matches!(url.scheme(), "http" | "https")).or_else(|| app.site.public_url().cloned())
}
