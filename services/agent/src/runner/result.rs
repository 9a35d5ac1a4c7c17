//! `result.json`: the outcome of an attempt as users read it.

use serde::Serialize;

use super::outcome::{Outcome, Usage, Verdict};
use crate::git;
use crate::run::{LeftOut, ResultFile};
use crate::sandbox::Held;

/// The version of the file's form.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct ResultJson<'a> {
    version: u32,
    task_id: String,
    attempt: u32,
    outcome: &'static str,
    failure: Option<FailureJson<'a>>,
    summary: &'a str,
    exit_code: Option<i32>,
    simulated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    verified: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    git: Option<&'a git::Outcome>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sandbox: Option<&'a Held>,
    session_id: Option<&'a str>,
    #[serde(skip_serializing_if = "<[&str]>::is_empty")]
    flags: &'a [&'static str],
    run_ms: u64,
    usage: &'a Usage,
    output_bytes: u64,
    output_dropped_bytes: u64,
    files: &'a [ResultFile],
    files_total: u64,
    files_left_out: &'a [LeftOut],
    diff_bytes: u64,
}

#[derive(Serialize)]
struct FailureJson<'a> {
    reason: &'static str,
    message: &'a str,
    hint: &'a str,
}

/// Writes an outcome as JSON.
pub(super) fn to_json(task_id: uuid::Uuid, attempt: u32, outcome: &Outcome) -> Vec<u8> {
    let failure = match &outcome.verdict {
        Verdict::Failed(failure) => Some(FailureJson {
            reason: failure.reason.as_str(),
            message: &failure.message,
            hint: &failure.hint,
        }),
        Verdict::Succeeded
        | Verdict::Crashed { .. }
        | Verdict::Limited { .. }
        | Verdict::Cancelled
        | Verdict::Stopped => None,
    };
    let json = ResultJson {
        version: VERSION,
        task_id: task_id.to_string(),
        attempt,
        outcome: outcome.verdict.as_str(),
        failure,
        summary: &outcome.summary,
        exit_code: outcome.exit_code,
        simulated: outcome.simulated,
        verified: outcome.verified,
        git: outcome.git.as_ref(),
        sandbox: outcome.sandbox.as_ref(),
        session_id: outcome.session_id.as_deref(),
        flags: &outcome.flags,
        run_ms: outcome.run_ms,
        usage: &outcome.usage,
        output_bytes: outcome.output_bytes,
        output_dropped_bytes: outcome.output_dropped_bytes,
        files: &outcome.files.files,
        files_total: outcome.files.total,
        files_left_out: &outcome.files.left_out,
        diff_bytes: outcome.diff_bytes,
    };
    let mut bytes = serde_json::to_vec(&json).expect("numbers and strings are always written");
    bytes.push(b'\n');
    bytes
}
