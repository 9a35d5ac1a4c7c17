//! A task as people read it: the record that History keeps, the body it was submitted with, and, while it lives, what the
//! machine says.

use conductor_core::{FailureReason, MOCK, Name, Outcome, Pending, StageImage, TaskImage, Usage, Wall, Work};
use conductor_protocol::agent::Asked;
use conductor_protocol::submit::{OnDependencyFailure, Retry, SubmitTask};
use conductor_protocol::task::{AttemptView, Resultant, State, TaskView, UsageView, WaitingView};
use conductor_store::history::{self, AttemptRecord, AttemptState, TaskRecord};

use super::pending::pending_view;
use super::{cancel_view, created_by, failure_view};

/// The runners whose attempts are simulated.
const ASKING_NO_MODEL: [&str; 2] = [MOCK, "replay"];

/// What the machine says of a live task.
#[derive(Debug)]
pub(crate) struct Live {
    /// The task as it stands.
    pub(crate) image: TaskImage,
    /// Why it does not run.
    pub(crate) pending: Option<Pending>,
    /// The name of the agent that has it.
    pub(crate) agent: Option<Name>,
    /// What its run told that it used so far.
    pub(crate) used: Option<Usage>,
}

/// Puts a task together. What the machine says of a live one goes before what History has taken in so far, unless that is the
/// newer of the two: History was read after the machine, and the task may have gone on in between.
pub(crate) fn task_view(
    record: Option<&TaskRecord>,
    live: Option<&Live>,
    body: Option<SubmitTask>,
) -> Option<TaskView> {
    let mut view = match (record, live) {
        (Some(record), _) => from_record(record),
        (None, Some(live)) => from_image(&live.image),
        (None, None) => return None,
    };
    if let Some(live) = live
        && record.is_none_or(|record| record.seq <= live.image.seq)
    {
        overlay(&mut view, live);
        if let Some(used) = &live.used {
            add_used(&mut view, record, used);
        }
    }
    if let Some(body) = body {
        view.add_body(body);
    }
    Some(view)
}

fn from_record(record: &TaskRecord) -> TaskView {
    let task = &record.task;
    let failure = match &record.outcome {
        Some(Outcome::Failed(failure)) => Some(failure_view(failure)),
        Some(Outcome::Cancelled(reason)) => cancel_view(reason),
        Some(Outcome::Succeeded) | None => None,
    };
    let left = record.result_json.as_deref().and_then(result);
    let verify_failed = failure.as_ref().is_some_and(|failure| failure.reason == FailureReason::VerifyFailed);
    TaskView {
        id: task.id,
        state: state(record.state),
        pending_reason: None,
        pending: None,
        prompt: None,
        command: None,
        runner: record.ran_on.as_ref().unwrap_or(&task.runner).to_string(),
        task_type: task.task_type.to_string(),
        name: task.name.as_deref().map(ToOwned::to_owned),
        group: task.group.to_string(),
        input_files: Vec::new(),
        priority: task.priority.get(),
        timeout_seconds: task.timeout_ms / 1_000,
        retry: Retry {
            max_attempts: Some(task.max_attempts),
            backoff_seconds: Some(task.backoff_ms / 1_000),
        },
        requires: task.requires.iter().map(ToString::to_string).collect(),
        labels: task.labels.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect(),
        depends_on: Vec::new(),
        on_dependency_failure: Some(on_dependency_failure(task.on_dependency_failure)),
        run_at: task.run_at,
        env: Vec::new(),
        workspace: None,
        verify: None,
        model: None,
        max_turns: None,
        permission: None,
        may_submit: false,
        created_at: record.created_at,
        queued_at: record.queued_at,
        started_at: record.started_at,
        finished_at: record.finished_at,
        agent: record.attempts.last().map(|attempt| attempt.agent.to_string()),
        attempt: record.attempts.last().map_or(0, |attempt| attempt.number),
        attempts: record.attempts.iter().map(attempt_view).collect(),
        failure,
        verified: if verify_failed { Some(false) } else { left.as_ref().and_then(|left| left.verified) },
        simulated: record.simulated,
        pinned: false,
        result: left,
        usage: usage_view(&record.usage),
        budget_usd: None,
        budget_tokens: None,
        waiting: record.waiting.as_ref().and_then(|waiting| {
            waiting_view(&waiting.question.detail_json, waiting.since, waiting.expires_at)
        }),
        created_by: Some(created_by(&record.created_by)),
        parent: task.parent,
        retry_of: task.retry_of,
        continues: task.continues,
        seq: record.seq.0,
    }
}

fn from_image(image: &TaskImage) -> TaskView {
    TaskView {
        id: image.id,
        state: State::Queued,
        pending_reason: None,
        pending: None,
        prompt: None,
        command: None,
        runner: image.runner.to_string(),
        task_type: "generic".to_owned(),
        name: None,
        group: image.group.to_string(),
        input_files: Vec::new(),
        priority: image.priority.get(),
        timeout_seconds: image.timeout_ms / 1_000,
        retry: Retry {
            max_attempts: Some(image.max_attempts),
            backoff_seconds: Some(image.backoff_ms / 1_000),
        },
        requires: image.requires.iter().map(ToString::to_string).collect(),
        labels: image.labels.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect(),
        depends_on: Vec::new(),
        on_dependency_failure: Some(on_dependency_failure(image.on_dependency_failure)),
        run_at: image.run_at,
        env: Vec::new(),
        workspace: None,
        verify: None,
        model: None,
        max_turns: None,
        permission: None,
        may_submit: false,
        created_at: image.created_at,
        queued_at: None,
        started_at: image.started_at,
        finished_at: None,
        agent: None,
        attempt: image.attempt,
        attempts: Vec::new(),
        failure: None,
        verified: None,
        simulated: false,
        pinned: false,
        result: None,
        usage: UsageView::default(),
        budget_usd: None,
        budget_tokens: None,
        waiting: None,
        created_by: None,
        parent: image.parent,
        retry_of: None,
        continues: None,
        seq: image.seq.0,
    }
}

/// Lets what the machine says now stand in place of what History knew a moment ago.
fn overlay(view: &mut TaskView, live: &Live) {
    view.seq = view.seq.max(live.image.seq.0);
    view.attempt = live.image.attempt;
    view.state = live_state(&live.image);
    view.pending_reason = live.pending.as_ref().map(ToString::to_string);
    view.pending = live.pending.as_ref().map(pending_view);
    view.agent = live.agent.as_ref().map(ToString::to_string);
    match &live.image.stage {
        StageImage::Queued { queued_at } => view.queued_at = Some(*queued_at),
        StageImage::Running(run) => view.runner = run.runner.to_string(),
        StageImage::Blocked { .. } | StageImage::Scheduled { .. } => {}
    }
}

/// Counts what the attempt that runs used so far, which History learns when it is over.
pub(crate) fn add_used(view: &mut TaskView, record: Option<&TaskRecord>, used: &Usage) {
    let mut sum = record.map(|record| record.usage).unwrap_or_default();
    sum.add(used);
    view.usage = usage_view(&sum);
    let last = view.attempts.last_mut();
    let running = last.filter(|last| last.number == view.attempt && last.finished_at.is_none());
    if let Some(attempt) = running {
        attempt.usage = usage_view(used);
    }
}

/// Where a live task stands.
pub(super) fn live_state(image: &TaskImage) -> State {
    match &image.stage {
        StageImage::Blocked { .. } => State::Blocked,
        StageImage::Scheduled { .. } => State::Scheduled,
        StageImage::Queued { .. } => State::Queued,
        StageImage::Running(run) if run.question.is_some() => State::Waiting,
        StageImage::Running(_) => State::Running,
    }
}

/// Whether a runner executes a task.
pub(crate) fn has_work(work: Work) -> bool {
    match work {
        Work::Run => true,
        Work::Subtasks => false,
    }
}

fn on_dependency_failure(value: conductor_core::OnDependencyFailure) -> OnDependencyFailure {
    match value {
        conductor_core::OnDependencyFailure::Cancel => OnDependencyFailure::Cancel,
        conductor_core::OnDependencyFailure::Run => OnDependencyFailure::Run,
    }
}

fn state(state: history::State) -> State {
    match state {
        history::State::Blocked => State::Blocked,
        history::State::Scheduled => State::Scheduled,
        history::State::Queued => State::Queued,
        history::State::Running => State::Running,
        history::State::Waiting => State::Waiting,
        history::State::Succeeded => State::Succeeded,
        history::State::Failed => State::Failed,
        history::State::Cancelled => State::Cancelled,
    }
}

fn attempt_view(attempt: &AttemptRecord) -> AttemptView {
    let (state, failure) = match &attempt.state {
        AttemptState::Running => ("running", None),
        AttemptState::Succeeded => ("succeeded", None),
        AttemptState::Failed(failure) => ("failed", Some(failure_view(failure))),
        AttemptState::Crashed(_) => ("crashed", None),
        AttemptState::Stopped => ("stopped", None),
        AttemptState::Cancelled => ("cancelled", None),
        AttemptState::Limited(_) => ("limited", None),
    };
    AttemptView {
        number: attempt.number,
        agent: attempt.agent.to_string(),
        state: state.to_owned(),
        runner: attempt.runner.to_string(),
        started_at: attempt.started_at.unwrap_or(attempt.assigned_at),
        finished_at: attempt.finished_at,
        exit_code: attempt.exit_code,
        failure,
        usage: usage_view(&attempt.usage),
        simulated: ASKING_NO_MODEL.contains(&attempt.runner.as_str()),
    }
}

fn result(json: &str) -> Option<Resultant> {
    serde_json::from_str(json)
        .inspect_err(|error| tracing::warn!(%error, "a stored result cannot be read"))
        .ok()
}

pub(crate) fn usage_view(usage: &Usage) -> UsageView {
    UsageView {
        input_tokens: usage.input_tokens,
        output_tokens: usage.output_tokens,
        cached_input_tokens: usage.cached_input_tokens,
        // A cost has at most 2^53 millionths in any life of a machine; the conversion is exact.
        cost_usd: usage.cost_usd_micros.map(|micros| micros as f64 / 1_000_000.0),
        turns: usage.turns,
        tool_calls: usage.tool_calls,
    }
}

fn waiting_view(detail_json: &str, since: Wall, expires_at: Wall) -> Option<WaitingView> {
    let asked: Asked = serde_json::from_str(detail_json)
        .inspect_err(|error| tracing::warn!(%error, "a stored question cannot be read"))
        .ok()?;
    Some(WaitingView {
        request_id: asked.request_id,
        kind: asked.kind,
        text: asked.text,
        tool: asked.tool,
        input: asked.input,
        since,
        expires_at,
    })
}

#[cfg(test)]
mod tests;
