//! `/schedules`: what is submitted by itself.

use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use conductor_client::Control;
use conductor_core::Wall;
use conductor_protocol::control::{AddSchedule, CatchUp, Overlap, ScheduleView};
use conductor_protocol::submit::SubmitTask;
use conductor_protocol::{Code, Problem};
use conductor_web::{Refusal, Whole};
use serde_json::value::to_raw_value;

use crate::app::page;
use crate::format;
use crate::frame::{Frame, Section};
use crate::params::Params;
use crate::ui::{self, Html};
use crate::visitor::Visitor;
use crate::words::Words;

#[derive(Debug, Template)]
#[template(path = "schedules.html")]
struct View {
    f: Frame,
    w: &'static Words,
    problem: Option<String>,
    schedules: Vec<Row>,
    form: Form,
}

#[derive(Debug, Default)]
struct Form {
    cron: String,
    time_zone: String,
    name: String,
    runner: String,
    group: String,
    prompt: String,
}

#[derive(Debug)]
struct Row {
    id: String,
    title: String,
    what: String,
    cron: String,
    time_zone: String,
    overlap: &'static str,
    catch_up: &'static str,
    next: Html,
    last: Option<(String, String)>,
    /// How the last task stands.
    stands: &'static str,
    paused: Option<String>,
}

/// `GET /schedules`
pub async fn show(visitor: Visitor) -> Response {
    let answer = async {
        let control = visitor.control().await?;
        view(&visitor, &control, StatusCode::OK, Form::default(), None).await
    };
    visitor.answer(answer.await)
}

async fn view(
    visitor: &Visitor,
    control: &Control,
    status: StatusCode,
    form: Form,
    problem: Option<String>,
) -> Result<Response, Refusal> {
    let (w, now) = (visitor.words(), visitor.now());
    let f = visitor.frame(control, Section::Schedules, w.schedules).await?;
    let schedules = control.schedules().await?.into_iter().map(|it| row(w, now, it)).collect();
    page(status, &View { f, w, problem, schedules, form })
}

fn row(w: &'static Words, now: Wall, it: ScheduleView) -> Row {
    let task: SubmitTask = serde_json::from_str(it.task.get()).unwrap_or_default();
    let what = match (&task.prompt, &task.command) {
        (Some(prompt), _) => prompt.clone(),
        (None, Some(command)) => super::new::command_line(command),
        (None, None) => String::new(),
    };
    let what = format::cut(what.lines().next().unwrap_or_default(), 120);
    Row {
        id: it.id.to_string(),
        title: it.name.or(task.name).unwrap_or_else(|| what.clone()),
        what,
        cron: it.cron,
        time_zone: it.time_zone,
        overlap: w.overlap(it.overlap),
        catch_up: w.catch_up(it.catch_up),
        next: ui::ago(w, now, it.next_at),
        last: it.last_task.map(|id| (id.to_string(), format::short_id(&id))),
        stands: it.last.map_or("", |last| w.state(last.state)),
        paused: it.paused,
    }
}

/// `POST /schedules`
pub async fn add(visitor: Visitor, body: Whole) -> Response {
    let deed = async {
        let form = visitor.form(&body)?;
        let control = visitor.control().await?;
        let added = match schedule(&form) {
            Ok(schedule) => control.add_schedule(schedule).await.map_err(Refusal::from),
            Err(refusal) => Err(refusal),
        };
        match added {
            Ok(_) => Ok(visitor.done("/schedules", "change")),
            Err(Refusal(Problem { code: Code::InvalidRequest, detail, .. })) => {
                view(&visitor, &control, StatusCode::BAD_REQUEST, typed(&form), Some(detail)).await
            }
            Err(refusal) => Err(refusal),
        }
    };
    visitor.answer(deed.await)
}

fn schedule(form: &Params) -> Result<AddSchedule, Refusal> {
    let bad = |what: &str| Refusal::new(Code::InvalidRequest, format!("{what} is not valid"));
    let text = |name: &str| form.get(name).map(str::to_owned);
    let task = SubmitTask {
        prompt: Some(form.text("prompt").replace("\r\n", "\n")),
        runner: text("runner"),
        group: text("group"),
        ..SubmitTask::default()
    };
    Ok(AddSchedule {
        name: text("name"),
        cron: form.text("cron").to_owned(),
        time_zone: text("time_zone"),
        overlap: match form.text("overlap") {
            "" | "skip" => Overlap::Skip,
            "queue" => Overlap::Queue,
            "cancel" => Overlap::Cancel,
            _ => return Err(bad("overlap")),
        },
        catch_up: match form.text("catch_up") {
            "" | "none" => CatchUp::None,
            "one" => CatchUp::One,
            _ => return Err(bad("catch_up")),
        },
        task: to_raw_value(&task).expect("a task is texts and numbers"),
    })
}

fn typed(form: &Params) -> Form {
    let text = |name: &str| form.text(name).to_owned();
    Form {
        cron: text("cron"),
        time_zone: text("time_zone"),
        name: text("name"),
        runner: text("runner"),
        group: text("group"),
        prompt: text("prompt"),
    }
}

/// `POST /schedules/{id}/remove`
pub async fn remove(visitor: Visitor, Path(id): Path<String>, body: Whole) -> Response {
    let deed = async {
        visitor.form(&body)?;
        let id = id
            .parse()
            .map_err(|_| Refusal::new(Code::NotFound, format!("{id:?} is not the id of a schedule")))?;
        visitor.control().await?.remove_schedule(id).await?;
        Ok(visitor.done("/schedules", "change"))
    };
    visitor.answer(deed.await)
}
