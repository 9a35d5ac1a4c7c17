//! `/agents`: who works, and on what.

use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use conductor_core::Wall;
use conductor_protocol::Code;
use conductor_protocol::agent::{Egress, SandboxMode, SandboxView};
use conductor_protocol::control::{AgentRunner, AgentView};
use conductor_web::{Refusal, Whole};

use super::overview::boxes;
use super::queue::lane_state;
use crate::app::page;
use crate::format;
use crate::frame::{Frame, Section};
use crate::ui::{self, Html};
use crate::visitor::Visitor;
use crate::words::Words;

#[derive(Debug, Template)]
#[template(path = "agents.html")]
struct View {
    f: Frame,
    w: &'static Words,
    agents: Vec<Agent>,
}

#[derive(Debug)]
struct Agent {
    name: String,
    /// The name as a part of an address.
    path: String,
    state: String,
    state_text: String,
    disk_full: bool,
    used: u32,
    slots: u32,
    boxes: Vec<bool>,
    host: String,
    version: String,
    joined: Html,
    labels: Vec<String>,
    /// What holds for all its runs that are confined; none where that differs.
    held: Option<Held>,
    runners: Vec<Runner>,
    /// Ids, whole and short.
    tasks: Vec<(String, String)>,
}

/// Something that an agent can run.
#[derive(Debug)]
struct Runner {
    name: String,
    version: Option<String>,
    /// What is missing when it cannot run now.
    missing: Option<String>,
    credential: Option<Credential>,
    gateway: Option<Gateway>,
    sandbox: Option<Sandbox>,
}

/// Whether a gateway stands between the runs and their model.
#[derive(Debug)]
struct Gateway {
    class: &'static str,
    text: &'static str,
    hint: &'static str,
}

/// How the credential of a runner stands.
#[derive(Debug)]
struct Credential {
    class: &'static str,
    state: &'static str,
    until: Option<Html>,
    lane: Option<String>,
}

/// How runs are confined.
#[derive(Debug)]
struct Sandbox {
    mode: &'static str,
    is_confined: bool,
    /// What holds, where the agent's other runners differ.
    own: Option<Held>,
}

/// What a sandbox holds and lacks.
#[derive(Debug)]
struct Held {
    holds: Vec<String>,
    lacks: Vec<String>,
    /// What a run may take, and where it may connect to.
    limits: String,
}

impl Held {
    fn of(w: &Words, it: &SandboxView) -> Self {
        let told = |names: &[String]| names.iter().map(|name| w.held(name)).collect();
        let egress = it.egress.map(|egress| match egress {
            Egress::Model => w.egress_model.to_owned(),
            Egress::Allowlist => w.egress_allowlist.to_owned(),
            Egress::Open => w.egress_open.to_owned(),
        });
        let limits = it.limits.map(|it| {
            let processes = format!("{} {}", format::count(it.processes), w.processes);
            [
                format::bytes(it.memory_bytes),
                processes,
                format!("{} {}", format::bytes(it.disk_bytes), w.disk),
            ]
        });
        let limits: Vec<String> = limits.into_iter().flatten().chain(egress).collect();
        Self { holds: told(&it.holds), lacks: told(&it.lacks), limits: limits.join(" · ") }
    }
}

/// What all runners that are confined have in common; none where they differ.
fn in_common(runners: &[AgentRunner]) -> Option<&SandboxView> {
    let mut all = runners.iter().filter_map(|it| it.sandbox.as_ref()).filter(|it| !it.holds.is_empty());
    let first = all.next()?;
    let alike = |it: &SandboxView| SandboxView { mode: first.mode, ..it.clone() } == *first;
    all.all(alike).then_some(first)
}

/// `GET /agents`
pub async fn show(visitor: Visitor) -> Response {
    visitor.answer(view(&visitor).await)
}

async fn view(visitor: &Visitor) -> Result<Response, Refusal> {
    let (w, now) = (visitor.words(), visitor.now());
    let control = visitor.control().await?;
    let f = visitor.frame(&control, Section::Agents, w.agents).await?;
    let mut agents = control.agents().await?;
    let order = |state: &str| ["connected", "draining", "gone", "revoked"].iter().position(|it| *it == state);
    agents.sort_by(|a, b| (order(&a.state), &a.name).cmp(&(order(&b.state), &b.name)));
    let agents = agents.into_iter().map(|it| agent(w, now, it)).collect();
    page(StatusCode::OK, &View { f, w, agents })
}

fn agent(w: &'static Words, now: Wall, it: AgentView) -> Agent {
    let used = it.slots.saturating_sub(it.free);
    let held = in_common(&it.runners).map(|it| Held::of(w, it));
    Agent {
        path: format::escape_url(&it.name),
        state_text: w.agent_state(&it.state).to_owned(),
        disk_full: it.disk_full,
        used,
        boxes: boxes(used, it.slots),
        slots: it.slots,
        joined: ui::ago(w, now, it.joined_at),
        tasks: it.tasks.iter().map(|id| (id.to_string(), format::short_id(id))).collect(),
        name: it.name,
        state: it.state,
        host: it.host,
        version: it.version,
        labels: it.labels,
        runners: it.runners.into_iter().map(|it| runner(w, now, it, held.is_none())).collect(),
        held,
    }
}

fn runner(w: &'static Words, now: Wall, it: AgentRunner, is_own: bool) -> Runner {
    let credential = match (it.lane_state, it.credential) {
        (Some(lane), _) => {
            let (class, state) = lane_state(w, lane);
            Some(Credential {
                class,
                state,
                until: it.lane_until.map(|at| ui::ago(w, now, at)),
                lane: it.lane,
            })
        }
        (None, Some(true)) => {
            Some(Credential { class: "succeeded", state: w.lane_open, until: None, lane: None })
        }
        (None, Some(false)) => {
            Some(Credential { class: "failed", state: w.credential_missing, until: None, lane: None })
        }
        (None, None) => None,
    };
    Runner {
        name: it.name,
        version: it.version,
        missing: (!it.ready).then(|| {
            it.missing.map_or_else(|| w.not_ready.to_owned(), |missing| w.told(&missing).into_owned())
        }),
        credential,
        gateway: it.gateway.map(|is_on| match is_on {
            true => Gateway { class: "succeeded", text: w.gateway_on, hint: w.gateway_on_hint },
            false => Gateway { class: "waiting", text: w.gateway_off, hint: w.gateway_off_hint },
        }),
        sandbox: it.sandbox.map(|it| sandbox(w, &it, is_own)),
    }
}

fn sandbox(w: &Words, it: &SandboxView, is_own: bool) -> Sandbox {
    let mode = match it.mode {
        SandboxMode::Off => w.sandbox_off,
        SandboxMode::BestEffort => w.sandbox_best_effort,
        SandboxMode::Required => w.sandbox_required,
    };
    Sandbox { mode, is_confined: !it.holds.is_empty(), own: is_own.then(|| Held::of(w, it)) }
}

/// `POST /agents/{name}`
pub async fn change(visitor: Visitor, Path(name): Path<String>, body: Whole) -> Response {
    let deed = async {
        let form = visitor.form(&body)?;
        let control = visitor.control().await?;
        match form.text("do") {
            "drain" => control.drain_agent(name, true).await?,
            "resume" => control.drain_agent(name, false).await?,
            "revoke" => control.revoke_agent(name).await?,
            _ => return Err(Refusal::new(Code::InvalidRequest, "the form is not valid")),
        };
        Ok(visitor.done("/agents", "change"))
    };
    visitor.answer(deed.await)
}
