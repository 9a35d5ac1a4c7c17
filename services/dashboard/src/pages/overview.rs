//! `/`: how things stand.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use conductor_client::Control;
use conductor_core::Wall;
use conductor_protocol::Code;
use conductor_protocol::control::{AgentView, Filter, ListRequest, QueueView, StatsView, TrendsCall};
use conductor_protocol::task::{State, TaskView, reason_text};
use conductor_web::Refusal;

use super::budgets::{self, Budgets};
use super::task::tokens;
use crate::app::page;
use crate::frame::{Frame, Section};
use crate::ui::{self, Html, Row};
use crate::visitor::Visitor;
use crate::words::Words;
use crate::{chart, format};

/// Rows in each short list.
const ROWS: u32 = 8;
/// Questions that are shown.
const QUESTIONS: usize = 8;
/// Boxes that an agent's slots are drawn as, at most.
const BOXES: u32 = 24;

/// The ranges of the charts: how they are called, how long they are and how long each step is, in seconds.
const RANGES: [(&str, u64, u64); 4] =
    [("1h", 3_600, 60), ("6h", 21_600, 300), ("24h", 86_400, 1_200), ("7d", 604_800, 7_200)];

#[derive(Debug, Template)]
#[template(path = "overview.html")]
struct View {
    f: Frame,
    w: &'static Words,
    is_paused: bool,
    tiles: Vec<Tile>,
    waiting: Vec<Waiting>,
    ranges: Vec<Range>,
    charts: Option<Charts>,
    running: Vec<Row>,
    day: Day,
    budgets: Option<Budgets>,
    agents: Vec<Agent>,
    slots_text: String,
    failures: Vec<Failure>,
}

/// How many tasks are in a state.
#[derive(Debug)]
pub struct Tile {
    /// The state.
    pub state: State,
    /// How many.
    pub count: u64,
    /// The same for people.
    pub text: String,
}

/// The count of each state.
#[must_use]
pub fn tiles(by_state: &[(State, u64)]) -> Vec<Tile> {
    let count = |state| by_state.iter().find(|(known, _)| *known == state).map_or(0, |(_, count)| *count);
    let tile = |state| Tile { state, count: count(state), text: format::count(count(state)) };
    State::ALL.into_iter().map(tile).collect()
}

#[derive(Debug)]
struct Waiting {
    id: String,
    title: String,
    question: String,
    since: Html,
}

#[derive(Debug)]
struct Range {
    key: &'static str,
    is_current: bool,
}

#[derive(Debug)]
struct Charts {
    throughput: Html,
    queue_wait: Html,
    /// None where nothing cost anything.
    cost: Option<Html>,
}

#[derive(Debug)]
struct Day {
    cost: String,
    /// What of that failures cost.
    lost: Option<String>,
    /// What runs has cost and used so far, beside all that is over.
    running_cost: Option<String>,
    running_tokens: Option<String>,
    tokens: String,
    finished: String,
    failed: String,
    wait: String,
    run: String,
}

#[derive(Debug)]
struct Agent {
    name: String,
    state: String,
    used: u32,
    slots: u32,
    boxes: Vec<bool>,
}

#[derive(Debug)]
struct Failure {
    id: String,
    title: String,
    reason: &'static str,
    message: String,
    time: Html,
    simulated: Html,
}

/// `GET /`
pub async fn show(visitor: Visitor) -> Response {
    visitor.answer(view(&visitor).await)
}

async fn view(visitor: &Visitor) -> Result<Response, Refusal> {
    let (w, now) = (visitor.words(), visitor.now());
    let control = visitor.control().await?;
    let f = visitor.frame(&control, Section::Overview, w.overview).await?;
    let asked = visitor.query().text("range");
    let range = RANGES.iter().find(|range| range.0 == asked).unwrap_or(&RANGES[1]);
    let (stats, queue, agents, questions) =
        tokio::try_join!(control.stats(), control.queue(), control.agents(), control.questions())?;
    let (running, failed, charts) = tokio::try_join!(
        newest(visitor, &control, State::Running),
        newest(visitor, &control, State::Failed),
        charts(&control, w, range.1, range.2)
    )?;
    let view = View {
        f,
        w,
        is_paused: queue.paused,
        tiles: tiles(&stats.by_state),
        waiting: questions.iter().take(QUESTIONS).filter_map(|task| waiting(w, now, task)).collect(),
        ranges: RANGES.iter().map(|it| Range { key: it.0, is_current: it.0 == range.0 }).collect(),
        charts,
        running: running.iter().map(|task| Row::new(w, now, task)).collect(),
        day: day(&stats),
        budgets: budgets(w, now, &queue, &stats),
        slots_text: slots_text(w, &queue),
        agents: agents.iter().filter(|agent| is_there(agent)).map(agent).collect(),
        failures: failed.iter().filter_map(|task| failure(w, now, task)).collect(),
    };
    page(StatusCode::OK, &view)
}

async fn newest(
    visitor: &Visitor,
    control: &Control,
    state: State,
) -> Result<Vec<TaskView>, conductor_client::Error> {
    let filter = Filter { state: vec![state], ..Filter::default() };
    let request = ListRequest { filter, limit: Some(ROWS), ..ListRequest::default() };
    Ok(visitor.list(control, request).await?.items)
}

/// The charts; none when nothing is counted yet.
async fn charts(
    control: &Control,
    words: &Words,
    seconds: u64,
    step_seconds: u64,
) -> Result<Option<Charts>, conductor_client::Error> {
    let trends = match control.trends(TrendsCall { seconds, step_seconds }).await {
        Ok(trends) => trends,
        Err(conductor_client::Error::Refused(problem)) if problem.code == Code::Unavailable => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let charts = Charts {
        throughput: Html::made(chart::throughput(words, &trends.steps)),
        queue_wait: Html::made(chart::queue_wait(words, &trends.steps)),
        cost: chart::cost(words, &trends.steps).map(Html::made),
    };
    Ok((!trends.steps.is_empty()).then_some(charts))
}

fn waiting(w: &Words, now: Wall, task: &TaskView) -> Option<Waiting> {
    let question = task.waiting.as_ref()?;
    Some(Waiting {
        id: task.id.to_string(),
        title: format::title(task),
        question: format::cut(&question.text, 200),
        since: ui::ago(w, now, question.since),
    })
}

fn day(stats: &StatsView) -> Day {
    let today = &stats.today;
    let running_cost = today.running.cost_usd.filter(|cost| *cost > 0.0);
    let seconds = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), format::seconds);
    Day {
        cost: format::dollars(today.cost_usd),
        lost: (today.failed_cost_usd > 0.0).then(|| format::dollars(today.failed_cost_usd)),
        running_cost: running_cost.map(format::dollars),
        running_tokens: tokens(&today.running),
        tokens: format::short_number(today.tokens as f64),
        finished: format::count(today.finished),
        failed: format::count(today.failed),
        wait: seconds(today.mean_wait_seconds),
        run: seconds(today.mean_run_seconds),
    }
}

/// Everybody's budget is told only to those who see everything, and so do the numbers of the day that stand beside it.
fn budgets(w: &'static Words, now: Wall, queue: &QueueView, stats: &StatsView) -> Option<Budgets> {
    Budgets::new(w, now, &queue.budgets, Some(stats.today.cost_usd), budgets::SHOWN)
}

/// Whether an agent is worth a row: those that left are on their own page.
fn is_there(agent: &AgentView) -> bool {
    matches!(agent.state.as_str(), "connected" | "draining")
}

fn agent(agent: &AgentView) -> Agent {
    let used = agent.slots.saturating_sub(agent.free);
    Agent {
        name: agent.name.clone(),
        state: agent.state.clone(),
        used,
        slots: agent.slots,
        boxes: boxes(used, agent.slots),
    }
}

/// The slots of an agent as boxes: which of them are busy.
#[must_use]
pub fn boxes(used: u32, slots: u32) -> Vec<bool> {
    let drawn = slots.min(BOXES);
    let busy = if slots > BOXES { (used * BOXES).div_ceil(slots) } else { used };
    (0..drawn).map(|index| index < busy).collect()
}

fn slots_text(w: &Words, queue: &QueueView) -> String {
    let used = queue.slots.saturating_sub(queue.free);
    format!("{used}/{} {}", queue.slots, w.slots)
}

fn failure(w: &Words, now: Wall, task: &TaskView) -> Option<Failure> {
    let failure = task.failure.as_ref()?;
    Some(Failure {
        id: task.id.to_string(),
        title: format::title(task),
        reason: reason_text(failure.reason),
        message: format::cut(&w.told(&failure.message), 160),
        time: ui::ago(w, now, task.finished_at.unwrap_or(task.created_at)),
        simulated: ui::simulated(w, task.simulated),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_slots_are_drawn_in_proportion() {
        assert_eq!(boxes(1, 3), [true, false, false]);
        let many = boxes(1, 100);
        assert_eq!((many.len(), many.iter().filter(|busy| **busy).count()), (24, 1), "one of many is seen");
        assert!(boxes(0, 0).is_empty());
    }

    #[test]
    fn every_state_has_its_tile() {
        let tiles = tiles(&[(State::Queued, 1_200)]);
        assert_eq!(tiles.len(), State::ALL.len());
        assert_eq!(tiles.iter().find(|tile| tile.state == State::Queued).unwrap().text, "1,200");
    }
}
