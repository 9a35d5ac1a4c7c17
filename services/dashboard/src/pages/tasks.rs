//! `/tasks`: a page of tasks by a filter, and what can be done to all that match.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use conductor_protocol::Code;
use conductor_protocol::control::{ListRequest, Sort};
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

/// Rows of a page.
const ROWS: u32 = 100;

#[derive(Debug, Template)]
#[template(path = "tasks.html")]
struct View {
    f: Frame,
    w: &'static Words,
    filter: FilterForm,
    chips: Vec<Chip>,
    sorts: Vec<(&'static str, &'static str, bool)>,
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

async fn view(visitor: &Visitor) -> Result<Response, Refusal> {
    let (w, now) = (visitor.words(), visitor.now());
    let filter = FilterForm::new(w, visitor.query());
    let sort = sort_of(visitor.query())?;
    let control = visitor.control().await?;
    let f = visitor.frame(&control, Section::Tasks, w.tasks).await?;
    let request = ListRequest {
        filter: filter.parse()?,
        sort,
        limit: Some(ROWS),
        cursor: visitor.query().get("cursor").map(str::to_owned),
        // What the frame tells of is on the page too.
        at_least_seq: Some(f.seq),
    };
    let is_later_page = request.cursor.is_some();
    let list = visitor.list(&control, request).await?;
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
    let filter = FilterForm::new(visitor.words(), &query).parse()?;
    let control = visitor.control().await?;
    let (what, affected) = match deed {
        Deed::Cancel => ("cancel", control.cancel_matching(filter).await?),
        Deed::Retry => ("retry", control.retry_matching(filter).await?),
    };
    let query = query.query(&["cursor", "did"]);
    let path = if query.is_empty() { "/tasks".to_owned() } else { format!("/tasks?{query}") };
    Ok(visitor.done(&path, &format!("{what}:{}", affected.ids.len())))
}
