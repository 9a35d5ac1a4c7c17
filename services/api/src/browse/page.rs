//! The lists as pages. They look as the dashboard does, and need nothing but themselves.

use askama::Template;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse as _, Response};
use conductor_core::Wall;
use conductor_protocol::control::{EntryKind, EntryView};
use conductor_protocol::{Code, Problem};
use conductor_web::Refusal;
use url::Url;
use url::form_urlencoded::byte_serialize;

use super::view::{Folder, Run, Runs};

/// A page loads nothing, runs nothing and sends nothing.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
const DAY: &str = "%Y-%m-%d";
const TIME: &str = "%H:%M";
const BOTH: &str = "%Y-%m-%d %H:%M:%S";

/// What all pages have.
#[derive(Debug)]
struct Frame {
    title: String,
    /// Where the dashboard is, when that is known; without a slash at its end.
    dashboard: Option<String>,
    /// The ways up, each with its link.
    crumbs: Vec<(String, String)>,
    next: Option<String>,
    /// Whether this is not the first page.
    is_later: bool,
}

#[derive(Debug, Template)]
#[template(path = "runs.html")]
struct RunsPage {
    f: Frame,
    days: Vec<Day>,
    with_logs: bool,
    /// The way from this page to the list of runs.
    up: &'static str,
}

#[derive(Debug)]
struct Day {
    date: String,
    runs: Vec<RunRow>,
}

#[derive(Debug)]
struct RunRow {
    id: String,
    name: String,
    state: &'static str,
    group: String,
    at: String,
}

#[derive(Debug, Template)]
#[template(path = "folder.html")]
struct FolderPage {
    f: Frame,
    run: Option<RunRow>,
    rows: Vec<Row>,
    count: String,
}

#[derive(Debug)]
struct Row {
    name: String,
    /// Nothing for what is not handed out.
    link: Option<String>,
    is_folder: bool,
    note: &'static str,
    size: String,
    at: String,
}

#[derive(Debug, Template)]
#[template(path = "nothing.html")]
struct ProblemPage {
    f: Frame,
    detail: String,
}

/// The runs, by the day on which they were submitted. `up` leads from the page's path to where the runs lie.
pub(crate) fn runs(
    list: Runs,
    dashboard: Option<&Url>,
    with_logs: bool,
    up: &'static str,
    is_later: bool,
) -> Result<Response, Refusal> {
    let next = list.next_cursor.as_deref().map(cursor_link);
    let mut days: Vec<Day> = Vec::new();
    for run in list.items {
        let date = said(run.created_at, DAY);
        let row = run_row(run, TIME);
        match days.last_mut() {
            Some(day) if day.date == date => day.runs.push(row),
            Some(_) | None => days.push(Day { date, runs: vec![row] }),
        }
    }
    let f = frame("Runs".to_owned(), dashboard, Vec::new(), next, is_later);
    page(StatusCode::OK, &RunsPage { f, days, with_logs, up })
}

/// A folder.
pub(crate) fn folder(list: Folder, dashboard: Option<&Url>, is_later: bool) -> Result<Response, Refusal> {
    let names: Vec<&str> = list.path.split('/').filter(|name| !name.is_empty()).collect();
    let top = list.run.as_ref().map_or_else(|| "logs".to_owned(), called);
    let mut crumbs = vec![("Runs".to_owned(), up(names.len() + 1, list.run.is_none()))];
    crumbs.push((top.clone(), up(names.len(), false)));
    let below =
        names.iter().enumerate().map(|(at, name)| ((*name).to_owned(), up(names.len() - at - 1, false)));
    crumbs.extend(below);
    let title = names.last().map_or(top, |name| (*name).to_owned());
    let next = list.next_cursor.as_deref().map(cursor_link);
    let more = if list.more { "more than " } else { "" };
    let count = format!("{more}{} {}", list.total, if list.total == 1 { "entry" } else { "entries" });
    let f = frame(title, dashboard, crumbs, next, is_later);
    let rows = list.items.into_iter().map(row).collect();
    page(StatusCode::OK, &FolderPage { f, run: list.run.map(|run| run_row(run, BOTH)), rows, count })
}

/// What stands in the way, for people.
pub(crate) fn problem(problem: Problem, dashboard: Option<&Url>) -> Response {
    let status = StatusCode::from_u16(problem.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let title = if problem.code == Code::NotFound { "Nothing here" } else { "This did not work" };
    let crumbs = vec![("Runs".to_owned(), "/tasks/".to_owned())];
    let f = frame(title.to_owned(), dashboard, crumbs, None, false);
    page(status, &ProblemPage { f, detail: problem.detail }).unwrap_or_else(|refusal| refusal.into_response())
}

fn frame(
    title: String,
    dashboard: Option<&Url>,
    crumbs: Vec<(String, String)>,
    next: Option<String>,
    is_later: bool,
) -> Frame {
    let dashboard = dashboard.map(|url| url.as_str().trim_end_matches('/').to_owned());
    Frame { title, dashboard, crumbs, next, is_later }
}

fn page(status: StatusCode, template: &impl Template) -> Result<Response, Refusal> {
    let html = template.render().map_err(|error| {
        tracing::error!(%error, "a page cannot be rendered");
        Refusal::new(Code::Internal, "the page cannot be rendered")
    })?;
    let mut response = (status, Html(html)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::VARY, HeaderValue::from_static("accept, authorization, cookie"));
    Ok(response)
}

/// The link so many folders up from a folder's page; from the logs the runs lie beside the last.
fn up(steps: usize, to_runs: bool) -> String {
    let dots = if steps == 0 { "./".to_owned() } else { "../".repeat(steps) };
    if to_runs { format!("{dots}tasks/") } else { dots }
}

fn cursor_link(cursor: &str) -> String {
    format!("?cursor={}", byte_serialize(cursor.as_bytes()).collect::<String>())
}

fn called(run: &Run) -> String {
    run.name.clone().unwrap_or_else(|| run.id.to_string())
}

fn run_row(run: Run, time: &str) -> RunRow {
    let name = called(&run);
    RunRow {
        id: run.id.to_string(),
        name,
        state: run.state.as_str(),
        group: run.group,
        at: said(run.created_at, time),
    }
}

fn row(entry: EntryView) -> Row {
    let EntryView { name, kind, bytes, modified_at } = entry;
    let is_folder = kind == EntryKind::Folder;
    let (linked, note) = match kind {
        EntryKind::Folder | EntryKind::File => (true, ""),
        EntryKind::Linked => (false, "has a second name; not handed out"),
        EntryKind::Link => (false, "link; not followed"),
        EntryKind::Other => (false, "no file"),
    };
    let link = linked.then(|| format!("./{}{}", escaped(&name), if is_folder { "/" } else { "" }));
    let size = if is_folder || kind == EntryKind::Link { String::new() } else { conductor_web::bytes(bytes) };
    Row { name, link, is_folder, note, size, at: said(modified_at, BOTH) }
}

/// A name as it stands in a path.
fn escaped(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'~' => {
                text.push(char::from(byte))
            }
            other => text.push_str(&format!("%{other:02X}")),
        }
    }
    text
}

/// An instant in UTC.
fn said(at: Wall, form: &str) -> String {
    match jiff::Timestamp::from_millisecond(at.0) {
        Ok(at) => at.strftime(form).to_string(),
        Err(_) => "–".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_link() {
        let entry = |name: &str, kind| EntryView { name: name.into(), kind, bytes: 0, modified_at: Wall(0) };
        let link = |name: &str, kind| row(entry(name, kind)).link;
        assert_eq!(link("a b?#%\"<é:", EntryKind::File).unwrap(), "./a%20b%3F%23%25%22%3C%C3%A9%3A");
        assert_eq!(link("javascript:alert(1)", EntryKind::File).unwrap(), "./javascript%3Aalert%281%29");
        assert_eq!(link("x", EntryKind::Folder).unwrap(), "./x/");
        assert_eq!((link("x", EntryKind::Link), link("x", EntryKind::Linked)), (None, None));
    }

    #[test]
    fn the_ways_up_end_at_the_runs() {
        assert_eq!(
            (up(0, false), up(2, false), up(1, true)),
            ("./".into(), "../../".into(), "../tasks/".into())
        );
    }
}
