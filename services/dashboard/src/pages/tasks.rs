//! `/tasks`: a page of tasks by a filter, and what can be done to all that match.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use conductor_client::{Control, Error};
use conductor_protocol::Code;
use conductor_protocol::control::{ListRequest, Page, Sort};
use conductor_protocol::limits::MAX_PAGE;
use conductor_protocol::task::State;
use conductor_web::{Refusal, Whole};

use crate::app::page;
use crate::frame::{Frame, Section};
use crate::params::Params;
use crate::ui::Row;
use crate::visitor::Visitor;
use crate::words::Words;

mod filter;

pub use filter::FilterForm;

/// How many rows a page may have; the first where nothing is said.
const ROWS: [u32; 3] = [100, 500, 2_000];

#[derive(Debug, Template)]
#[template(path = "tasks.html")]
struct View {
    f: Frame,
    w: &'static Words,
    filter: FilterForm,
    chips: Vec<Chip>,
    sorts: Vec<(&'static str, &'static str, bool)>,
    sizes: Vec<(u32, bool)>,
    rows: Vec<Row>,
    as_of: u64,
    is_later_page: bool,
    first_link: String,
    next_link: Option<String>,
    shown: String,
    bulks: Vec<Bulk>,
}

#[derive(Debug)]
struct Chip {
    state: State,
    is_on: bool,
}

/// Something that is done to all tasks that match.
#[derive(Debug)]
struct Bulk {
    id: &'static str,
    action: &'static str,
    title: &'static str,
    text: &'static str,
}

/// `GET /tasks`
pub async fn show(visitor: Visitor) -> Response {
    visitor.answer(view(&visitor).await)
}

fn sort_of(params: &Params) -> Result<Sort, Refusal> {
    match params.text("sort") {
        "" | "created" => Ok(Sort::Created),
        "oldest" => Ok(Sort::Oldest),
        "cost" => Ok(Sort::Cost),
        _ => Err(Refusal::new(Code::InvalidRequest, "sort is not valid")),
    }
}

fn rows_of(params: &Params) -> Result<u32, Refusal> {
    let asked = params.parsed("rows")?.unwrap_or(ROWS[0]);
    let bad = || Refusal::new(Code::InvalidRequest, "rows is not valid");
    ROWS.into_iter().find(|rows| *rows == asked).ok_or_else(bad)
}

/// A page of tasks, which is longer than a page of the orchestrator.
async fn list(
    visitor: &Visitor,
    control: &Control,
    mut request: ListRequest,
    rows: u32,
) -> Result<Page, Refusal> {
    request.limit = Some(rows.min(MAX_PAGE));
    let mut list = visitor.list(control, request.clone()).await?;
    while let Some(cursor) = list.next_cursor.take() {
        let left = rows.saturating_sub(u32::try_from(list.items.len()).unwrap_or(u32::MAX));
        if left == 0 {
            list.next_cursor = Some(cursor);
            break;
        }
        (request.cursor, request.limit) = (Some(cursor), Some(left.min(MAX_PAGE)));
        let next = visitor.list(control, request.clone()).await?;
        list.items.extend(next.items);
        list.next_cursor = next.next_cursor;
    }
    Ok(list)
}

async fn view(visitor: &Visitor) -> Result<Response, Refusal> {
    let (w, now) = (visitor.words(), visitor.now());
    let filter = FilterForm::new(w, visitor.query());
    let (sort, rows) = (sort_of(visitor.query())?, rows_of(visitor.query())?);
    let control = visitor.control().await?;
    let f = visitor.frame(&control, Section::Tasks, w.tasks).await?;
    let request = ListRequest {
        filter: filter.parse()?,
        sort,
        limit: None,
        cursor: visitor.query().get("cursor").map(str::to_owned),
        // What the frame tells of is on the page too.
        at_least_seq: Some(f.seq),
    };
    let is_later_page = request.cursor.is_some();
    let list = list(visitor, &control, request, rows).await?;
    let link = |query: String| f.url(&format!("/tasks{}{query}", if query.is_empty() { "" } else { "?" }));
    let first = visitor.query().query(&["cursor", "did"]);
    let next_link = list.next_cursor.map(|cursor| {
        let mut params = Params::parse(first.as_bytes());
        params.push("cursor", cursor);
        link(params.query(&[]))
    });
    let view = View {
        chips: State::ALL.into_iter().map(|state| Chip { state, is_on: filter.has_state(state) }).collect(),
        sorts: [
            ("created", w.newest_first, Sort::Created),
            ("oldest", w.oldest_first, Sort::Oldest),
            ("cost", w.most_expensive, Sort::Cost),
        ]
        .map(|(key, label, one)| (key, label, one == sort))
        .to_vec(),
        sizes: ROWS.map(|count| (count, count == rows)).to_vec(),
        rows: list.items.iter().map(|task| Row::new(w, now, task)).collect(),
        as_of: list.as_of_seq,
        is_later_page,
        first_link: link(first.clone()),
        next_link,
        shown: w.counted(list.items.len() as u64, w.on_this_page),
        bulks: bulks(w),
        filter,
        w,
        f,
    };
    page(StatusCode::OK, &view)
}

fn bulks(w: &'static Words) -> Vec<Bulk> {
    vec![
        Bulk { id: "cancel-all", action: "/tasks/cancel", title: w.cancel_all, text: w.cancel_all_text },
        Bulk { id: "retry-all", action: "/tasks/retry", title: w.retry_all, text: w.retry_all_text },
    ]
}

/// What is done to all that match.
enum Deed {
    Cancel,
    Retry,
}

/// `POST /tasks/cancel`
pub async fn cancel(visitor: Visitor, body: Whole) -> Response {
    visitor.answer(do_all(&visitor, &body, Deed::Cancel).await)
}

/// `POST /tasks/retry`
pub async fn retry(visitor: Visitor, body: Whole) -> Response {
    visitor.answer(do_all(&visitor, &body, Deed::Retry).await)
}

async fn do_all(visitor: &Visitor, body: &Whole, deed: Deed) -> Result<Response, Refusal> {
    let form = visitor.form(body)?;
    let query = Params::parse(form.text("filter").as_bytes());
    let control = visitor.control().await?;
    let picked = form.list("ids");
    let affected = if form.has("ids") {
        do_each(&control, &picked, &deed).await?
    } else {
        let filter = FilterForm::new(visitor.words(), &query).parse()?;
        let affected = match deed {
            Deed::Cancel => control.cancel_matching(filter).await?,
            Deed::Retry => control.retry_matching(filter).await?,
        };
        affected.ids.len()
    };
    let what = match deed {
        Deed::Cancel => "cancel",
        Deed::Retry => "retry",
    };
    let query = query.query(&["cursor", "did"]);
    let path = if query.is_empty() { "/tasks".to_owned() } else { format!("/tasks?{query}") };
    Ok(visitor.done(&path, &format!("{what}:{affected}")))
}

/// Does it to those that were picked. One that has ended meanwhile, or lives still, or is gone, is passed over.
async fn do_each(control: &Control, picked: &[String], deed: &Deed) -> Result<usize, Refusal> {
    let mut affected = 0;
    for id in picked.iter().take(ROWS[ROWS.len() - 1] as usize) {
        let id = super::task::id_of(id)?;
        let done = match deed {
            Deed::Cancel => control.cancel(id, None).await.map(|affected| affected.ids.len()),
            Deed::Retry => control.retry(id).await.map(|submitted| submitted.ids.len()),
        };
        match done {
            Ok(count) => affected += count,
            Err(Error::Refused(problem)) if matches!(problem.code, Code::Conflict | Code::NotFound) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(affected)
}
