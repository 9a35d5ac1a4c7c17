//! From an outcome to what is reported of it.

use conductor_core::{FailureReason, Lease};
use conductor_protocol::agent::{End, Finished};
use conductor_protocol::task::{FailureView, FileView, GitView, Resultant, UsageView};

use crate::git;
use crate::run::FileList;
use crate::runner::{self, Outcome, Usage, Verdict};
use crate::sandbox::Held;

/// The most bytes of a text in a report; more is in the run folder.
const MAX_TEXT_BYTES: usize = 16 << 10;
/// The most bytes that the paths of a report may take together; the rest of the list is in `result.json`.
const MAX_PATHS_BYTES: usize = 1 << 20;

/// What is reported of an attempt that ran.
pub(super) fn finished(lease: Lease, outcome: Outcome) -> Finished {
    let result = Resultant {
        summary: Some(shorten(outcome.summary)),
        exit_code: outcome.exit_code,
        session_id: outcome.session_id,
        flags: outcome.flags.into_iter().map(ToOwned::to_owned).collect(),
        files_total: outcome.files.total,
        files_left_out: Default::default(),
        files: Vec::new(),
        sandbox: outcome.sandbox.as_ref().map(Held::text),
        verified: outcome.verified,
        git: outcome.git.map(git_view),
    };
    Finished {
        lease,
        end: end(outcome.verdict),
        exit_code: outcome.exit_code,
        simulated: outcome.simulated,
        usage: usage(outcome.usage),
        result: Some(with_files(result, outcome.files)),
        lane: outcome.lane,
        told: outcome.told,
    }
}

/// What is reported of an attempt that never ran.
pub(super) fn never_ran(lease: Lease, end: End) -> Finished {
    Finished { lease, end, exit_code: None, simulated: false, usage: None, result: None, lane: None, told: 0 }
}

fn end(verdict: Verdict) -> End {
    match verdict {
        Verdict::Succeeded => End::Succeeded,
        Verdict::Failed(failure) => End::Failed(FailureView {
            reason: reason(failure.reason),
            message: shorten(failure.message),
            hint: (!failure.hint.is_empty()).then(|| shorten(failure.hint)),
        }),
        Verdict::Crashed { message } => End::Crashed { message: shorten(message) },
        Verdict::Limited { class, rest_seconds, message } => {
            End::Limited { rest_seconds, message: shorten(message), class }
        }
        Verdict::Cancelled => End::Cancelled,
        Verdict::Stopped => End::Stopped,
    }
}

fn reason(reason: runner::FailureReason) -> FailureReason {
    match reason {
        runner::FailureReason::ExitCode => FailureReason::ExitCode,
        runner::FailureReason::Timeout => FailureReason::Timeout,
        runner::FailureReason::OutputLimit => FailureReason::OutputLimit,
        runner::FailureReason::DiskFull => FailureReason::DiskFull,
        runner::FailureReason::Oom => FailureReason::Oom,
        runner::FailureReason::ProcessLimit => FailureReason::ProcessLimit,
        runner::FailureReason::InvalidRequest => FailureReason::InvalidRequest,
        runner::FailureReason::InvalidWorkspace => FailureReason::InvalidWorkspace,
        runner::FailureReason::RunnerError => FailureReason::RunnerError,
        runner::FailureReason::RunnerUnavailable => FailureReason::RunnerUnavailable,
        runner::FailureReason::VerifyFailed => FailureReason::VerifyFailed,
        runner::FailureReason::PushFailed => FailureReason::PushFailed,
        runner::FailureReason::WaitingTimeout => FailureReason::WaitingTimeout,
        runner::FailureReason::Stalled => FailureReason::Stalled,
        runner::FailureReason::MaxTurns => FailureReason::MaxTurns,
        runner::FailureReason::Auth => FailureReason::Auth,
        runner::FailureReason::Budget => FailureReason::Budget,
        runner::FailureReason::ContextOverflow => FailureReason::ContextOverflow,
        runner::FailureReason::NoResult => FailureReason::NoResult,
        runner::FailureReason::Internal => FailureReason::Internal,
    }
}

fn git_view(outcome: git::Outcome) -> GitView {
    let git::Outcome { base, commit, branch, pushed, pull_request_url } = outcome;
    GitView { base, commit, branch, pushed, pull_request_url }
}

/// What was used; none where nothing was.
pub(super) fn usage(usage: Usage) -> Option<UsageView> {
    let Usage { input_tokens, output_tokens, cached_input_tokens, cost_micro_usd, turns, tool_calls } = usage;
    let cost_usd = cost_micro_usd.map(|micros| micros as f64 / 1e6);
    let view = UsageView { input_tokens, output_tokens, cached_input_tokens, cost_usd, turns, tool_calls };
    (view != UsageView::default()).then_some(view)
}

/// Adds the files, as many as a report can carry.
fn with_files(mut result: Resultant, files: FileList) -> Resultant {
    for left in files.left_out {
        *result.files_left_out.entry(left.reason.to_owned()).or_default() += left.count;
    }
    let mut bytes = 0;
    for file in files.files {
        bytes += file.path.len() + 128;
        if bytes > MAX_PATHS_BYTES {
            *result.files_left_out.entry("report_too_long".to_owned()).or_default() += 1;
        } else {
            result.files.push(FileView { path: file.path, bytes: file.bytes, sha256: file.sha256 });
        }
    }
    result
}

/// Cuts a text at a character boundary.
fn shorten(mut text: String) -> String {
    if text.len() > MAX_TEXT_BYTES {
        let end = (0..=MAX_TEXT_BYTES).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use conductor_core::Incarnation;

    use super::*;
    use crate::run::{LeftOut, ResultFile};

    fn outcome() -> Outcome {
        Outcome {
            verdict: Verdict::Succeeded,
            exit_code: Some(0),
            summary: "done".into(),
            usage: Usage::default(),
            session_id: None,
            lane: None,
            flags: Vec::new(),
            simulated: true,
            verified: None,
            sandbox: None,
            git: None,
            output_bytes: 5,
            output_dropped_bytes: 0,
            files: FileList::default(),
            diff_bytes: 0,
            run_ms: 1,
            told: 0,
        }
    }

    const LEASE: Lease = Lease { incarnation: Incarnation(1), number: 1 };

    #[test]
    fn a_report_never_outgrows_a_message() {
        let file =
            |at: usize| ResultFile { path: format!("{at}{}", "p".repeat(4_000)), bytes: 1, sha256: None };
        let files = FileList {
            files: (0..1_000).map(file).collect(),
            total: 1_003,
            left_out: vec![LeftOut { reason: "fifo", count: 3 }],
        };
        let outcome = Outcome { summary: "é".repeat(1 << 20), files, ..outcome() };
        let report = finished(LEASE, outcome);
        let result = report.result.as_ref().unwrap();
        assert_eq!(result.files_left_out["fifo"], 3);
        assert_eq!(result.files.len() as u64 + result.files_left_out["report_too_long"], 1_000);
        assert_eq!(result.files_total, 1_003);
        assert!(serde_json::to_string(&report).unwrap().len() < 2 << 20);
    }

    #[test]
    fn usage_is_told_only_where_there_is_some() {
        assert_eq!(finished(LEASE, outcome()).usage, None);
        let used = Usage { input_tokens: 3, cost_micro_usd: Some(1_500_000), ..Usage::default() };
        let usage = finished(LEASE, Outcome { usage: used, ..outcome() }).usage.unwrap();
        assert_eq!((usage.input_tokens, usage.cost_usd), (3, Some(1.5)));
    }
}
