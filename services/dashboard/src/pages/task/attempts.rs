//! The attempts at a task: how each ended, and what it used and cost.

use conductor_core::Wall;
use conductor_protocol::task::{AttemptView, TaskView, UsageView, reason_text};

use crate::chart::MAX_ATTEMPTS;
use crate::format;
use crate::ui::{self, Html};
use crate::words::Words;

/// An attempt.
#[derive(Debug)]
pub struct Attempt {
    pub number: u32,
    pub state: String,
    pub agent: String,
    pub runner: String,
    pub simulated: Html,
    pub started: Html,
    pub took: Html,
    pub tokens: String,
    pub tokens_title: String,
    pub cost: String,
    /// Whether it may use more.
    pub is_open: bool,
    pub exit_code: String,
    /// The class of its failure.
    pub reason: &'static str,
    pub why: String,
}

/// Tells attempts.
#[must_use]
pub fn rows(w: &Words, now: Wall, attempts: &[AttemptView]) -> Vec<Attempt> {
    attempts.iter().map(|attempt| row(w, now, attempt)).collect()
}

/// Those that the timeline draws, where there is more than the one that the page tells of anyway.
#[must_use]
pub fn beside_the_timeline(w: &Words, now: Wall, task: &TaskView) -> Vec<Attempt> {
    match &task.attempts[..] {
        [] | [_] => Vec::new(),
        several => rows(w, now, &several[several.len().saturating_sub(MAX_ATTEMPTS)..]),
    }
}

/// What the attempts cost that failed or crashed; none where they cost nothing.
#[must_use]
pub fn lost(task: &TaskView) -> Option<String> {
    let failed = task.attempts.iter().filter(|it| matches!(it.state.as_str(), "failed" | "crashed"));
    let sum: f64 = failed.filter_map(|attempt| attempt.usage.cost_usd).sum();
    (sum > 0.0).then(|| format::dollars(sum))
}

/// Tokens in and out in few characters; none where none were used.
#[must_use]
pub fn tokens(usage: &UsageView) -> Option<String> {
    let tokens = usage.input_tokens.saturating_add(usage.output_tokens);
    (tokens > 0).then(|| format::short_number(tokens as f64))
}

/// Changes with what a page shows of a use.
#[must_use]
pub fn used_mark(usage: &UsageView) -> String {
    let UsageView { input_tokens, output_tokens, cached_input_tokens, cost_usd, .. } = usage;
    format!("{input_tokens} {output_tokens} {cached_input_tokens} {}", cost_usd.unwrap_or_default())
}

/// Tokens of each kind.
#[must_use]
pub fn tokens_by_kind(w: &Words, usage: &UsageView) -> String {
    let kinds = [usage.input_tokens, usage.output_tokens, usage.cached_input_tokens];
    let [read, wrote, cached] = kinds.map(format::count);
    format!("{read} {} · {wrote} {} · {cached} {}", w.input, w.output_short, w.cached)
}

fn row(w: &Words, now: Wall, attempt: &AttemptView) -> Attempt {
    let failure = attempt.failure.as_ref();
    Attempt {
        number: attempt.number,
        state: w.attempt_state(&attempt.state).to_owned(),
        agent: attempt.agent.clone(),
        runner: attempt.runner.clone(),
        simulated: ui::simulated(w, attempt.simulated),
        started: ui::instant(attempt.started_at),
        took: match attempt.finished_at {
            Some(end) => Html::text(&format::between(attempt.started_at, end)),
            None => ui::ticking(now, attempt.started_at),
        },
        tokens: tokens(&attempt.usage).unwrap_or_default(),
        tokens_title: tokens_by_kind(w, &attempt.usage),
        cost: attempt.usage.cost_usd.map(format::dollars).unwrap_or_default(),
        is_open: attempt.finished_at.is_none(),
        exit_code: attempt.exit_code.map(|code| code.to_string()).unwrap_or_default(),
        reason: failure.map(|failure| reason_text(failure.reason)).unwrap_or_default(),
        why: failure
            .map(|failure| format!("{}: {}", reason_text(failure.reason), w.told(&failure.message)))
            .unwrap_or_default(),
    }
}
