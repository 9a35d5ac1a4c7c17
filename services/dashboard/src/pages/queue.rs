//! `/queue`: what waits, and for what.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use conductor_client::{Control, Error};
use conductor_core::Wall;
use conductor_protocol::Code;
use conductor_protocol::control::{Filter, LaneState, LaneView, ListRequest, QueueView, Sort};
use conductor_protocol::task::State;
use conductor_web::{Refusal, Whole};
use serde_json::Value;

use super::budgets::Budgets;
use super::overview::{Tile, tiles};
use crate::app::page;
use crate::format;
use crate::frame::{Frame, Section};
use crate::ui::{self, Html, Row};
use crate::visitor::Visitor;
use crate::words::Words;

/// Tasks that are shown of those that wait.
const ROWS: u32 = 10;

#[derive(Debug, Template)]
#[template(path = "queue.html")]
struct View {
    f: Frame,
    w: &'static Words,
    tiles: Vec<Tile>,
    oldest: String,
    by_runner: Vec<Bar>,
    by_group: Vec<Bar>,
    limits: Vec<(String, String)>,
    budgets: Option<Budgets>,
    lanes: Vec<Lane>,
    next: Vec<Row>,
    queue: QueueView,
}

#[derive(Debug)]
struct Bar {
    name: String,
    query: String,
    count: String,
    svg: Html,
}

/// A credential.
#[derive(Debug)]
struct Lane {
    name: String,
    /// The class that gives it its colour.
    class: &'static str,
    state: &'static str,
    until: Option<Html>,
    running: u32,
    runners: String,
    /// Whether a person can have it tried again.
    is_shut: bool,
}

impl Lane {
    fn new(w: &'static Words, now: Wall, lane: LaneView) -> Self {
        let (class, state) = lane_state(w, lane.state);
        let is_shut = matches!(lane.state, LaneState::Resting | LaneState::Closed);
        Self {
            name: lane.name,
            class,
            state,
            until: lane.until.map(|until| ui::ago(w, now, until)),
            running: lane.running,
            runners: lane.runners.join(", "),
            is_shut,
        }
    }
}

/// How a credential stands: the class of its badge, and the word.
pub(super) fn lane_state(w: &'static Words, state: LaneState) -> (&'static str, &'static str) {
    match state {
        LaneState::Open => ("succeeded", w.lane_open),
        LaneState::Recovering => ("running", w.lane_recovering),
        LaneState::Resting => ("scheduled", w.lane_resting),
        LaneState::Closed => ("failed", w.lane_closed),
    }
}

/// `GET /queue`
pub async fn show(visitor: Visitor) -> Response {
    visitor.answer(view(&visitor).await)
}

async fn view(visitor: &Visitor) -> Result<Response, Refusal> {
    let (w, now) = (visitor.words(), visitor.now());
    let control = visitor.control().await?;
    let f = visitor.frame(&control, Section::Queue, w.queue).await?;
    let filter = Filter { state: vec![State::Queued], ..Filter::default() };
    let request = ListRequest { filter, sort: Sort::Oldest, limit: Some(ROWS), ..ListRequest::default() };
    let (queue, stats, next) =
        tokio::try_join!(control.queue(), control.stats(), visitor.list(&control, request))?;
    let limits = if f.may_admin { limits(&control).await? } else { Vec::new() };
    let view = View {
        f,
        w,
        tiles: tiles(&stats.by_state),
        oldest: queue.oldest_seconds.map_or_else(|| "–".to_owned(), format::seconds),
        by_runner: bars(&queue.queued_by_runner),
        by_group: bars(&queue.queued_by_group),
        limits,
        budgets: Budgets::new(w, now, &queue.budgets, Some(stats.today.cost_usd), usize::MAX),
        lanes: queue.lanes.iter().map(|lane| Lane::new(w, now, lane.clone())).collect(),
        next: next.items.iter().map(|task| Row::new(w, now, task)).collect(),
        queue,
    };
    page(StatusCode::OK, &view)
}

fn bars(counts: &[(String, u64)]) -> Vec<Bar> {
    let most = counts.iter().map(|(_, count)| *count).max().unwrap_or(0);
    let bar = |(name, count): &(String, u64)| Bar {
        name: name.clone(),
        query: format::escape_url(name),
        count: format::count(*count),
        svg: ui::bar(*count, most),
    };
    counts.iter().map(bar).collect()
}

/// The limits that the configuration sets.
async fn limits(control: &Control) -> Result<Vec<(String, String)>, Refusal> {
    let config = match control.config().await {
        Ok(config) => config,
        Err(Error::Refused(problem)) if matches!(problem.code, Code::Unavailable | Code::Forbidden) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(error.into()),
    };
    let config: Value = serde_json::from_str(config.get()).unwrap_or_default();
    let mut found = Vec::new();
    for part in ["runners", "groups", "labels"] {
        for (name, limits) in config[part].as_object().into_iter().flatten() {
            for (key, value) in limits.as_object().into_iter().flatten() {
                if let (true, Some(number)) = (key.starts_with("max_"), value.as_u64()) {
                    found.push((format!("{part}.{name}.{key}"), format::count(number)));
                }
            }
        }
    }
    Ok(found)
}

/// `POST /queue`
pub async fn change(visitor: Visitor, body: Whole) -> Response {
    let deed = async {
        let form = visitor.form(&body)?;
        let control = visitor.control().await?;
        match form.text("do") {
            "pause" => control.pause(true).await?,
            "resume" => control.pause(false).await?,
            "open_lane" => control.open_lane(form.text("lane").to_owned()).await?,
            _ => return Err(Refusal::new(Code::InvalidRequest, "the form is not valid")),
        };
        Ok(visitor.see("/queue"))
    };
    visitor.answer(deed.await)
}
