//! The replay runner: a recorded run is read again, line by line, and nothing is started or asked.
//!
//! The recording is `raw.ndjson` with its `raw.times`: of the last attempt of the task that this one continues, else from
//! the work folder, where the task may have brought them. The prompt may say `at once`, and then no time passes.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use conductor_runtime::config::RunnerOutput;

use super::cause::{Cause, disk};
use super::live::Live;
use super::outcome::{Failure, FailureReason, Usage, Verdict};
use super::program::parse::{Parser, Said};
use super::program::{RAW, RAW_TIMES};
use super::slots::Ended;
use crate::run::Folder;
use crate::run::beneath::{self, RelativePath};

/// The longest line of a recording.
const MAX_LINE_BYTES: u64 = 8 << 20;
/// What a prompt says when no time is to pass.
const AT_ONCE: &str = "at once";

/// Plays a recording to its end.
pub(super) fn run(prompt: &str, folder: &Folder, live: &mut Live, source: Option<OwnedFd>) -> Ended {
    let found = source.as_ref().and_then(|source| open(source.as_fd())).or_else(|| open(folder.work.as_fd()));
    let Some((lines, times)) = found else {
        let message =
            format!("there is no recording: neither the task that it continues nor its files have a {RAW}");
        let hint = "continue a task of a coding agent, or bring its raw.ndjson as a file".to_owned();
        let reason = FailureReason::InvalidRequest;
        return Ended::without_child(Verdict::Failed(Failure { reason, message, hint }));
    };
    let times = times.filter(|_| !prompt.contains(AT_ONCE));
    match play(lines, times, live) {
        Ok(parser) => ended(&parser),
        Err(cause) => Ended::without_child(live.verdict(cause)),
    }
}

fn open(folder: BorrowedFd<'_>) -> Option<(File, Option<File>)> {
    let file = |name| beneath::open_file(folder, RelativePath::new(name).ok()?).ok().flatten();
    Some((file(RAW)?, file(RAW_TIMES)))
}

fn play(lines: File, times: Option<File>, live: &mut Live) -> Result<Parser, Cause> {
    let mut parser = Parser::new(RunnerOutput::Plain);
    let mut lines = BufReader::new(lines);
    let mut times = times.map(BufReader::new);
    let mut played_ms = 0;
    while let Some(line) = next(&mut lines).map_err(|error| disk(&error))? {
        let at = match &mut times {
            Some(times) => next(times).map_err(|error| disk(&error))?,
            None => None,
        };
        let at_ms: u64 = at.and_then(|at| at.trim().parse().ok()).unwrap_or(played_ms);
        live.sleep(Duration::from_millis(at_ms.saturating_sub(played_ms)))?;
        played_ms = played_ms.max(at_ms);
        if !parser.is_structured() {
            parser = Parser::new(kind_of(&line));
            // A recording has what came after a prompt, and nothing of earlier turns.
            parser.begin_turn("");
        }
        for event in parser.line(&line) {
            live.show(&event)?;
        }
    }
    for event in parser.finish() {
        live.show(&event)?;
    }
    Ok(parser)
}

fn next(reader: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    let count = io::Read::take(reader.by_ref(), MAX_LINE_BYTES).read_until(b'\n', &mut line)?;
    Ok((count > 0).then(|| String::from_utf8_lossy(&line).into_owned()))
}

/// Whose recording it is, by how it begins.
fn kind_of(line: &str) -> RunnerOutput {
    let value = serde_json::from_str::<serde_json::Value>(line).unwrap_or_default();
    match value.get("type").and_then(serde_json::Value::as_str) {
        Some("thread.started") => RunnerOutput::CodexJsonl,
        Some("init") => RunnerOutput::GeminiStreamJson,
        Some("system" | "rate_limit_event" | "command_lifecycle") => RunnerOutput::ClaudeStreamJson,
        None if value.get("jsonrpc").is_some() => RunnerOutput::Acp,
        Some(_) | None => RunnerOutput::Plain,
    }
}

fn ended(parser: &Parser) -> Ended {
    let known = parser.known();
    let failure = |reason, message: String| {
        Verdict::Failed(Failure { reason, message, hint: "the recorded run ended so".to_owned() })
    };
    let (verdict, summary) = match &known.end {
        Some(Said::Done { summary }) => (Verdict::Succeeded, summary.clone()),
        Some(Said::Failed { message, .. }) => (failure(FailureReason::RunnerError, message.clone()), None),
        None => (failure(FailureReason::NoResult, "the recording has no result".to_owned()), None),
    };
    let micros = known.cost_usd.filter(|cost| cost.is_finite() && *cost >= 0.0);
    let usage = Usage {
        input_tokens: known.input_tokens,
        output_tokens: known.output_tokens,
        cached_input_tokens: known.cached_input_tokens,
        cost_micro_usd: micros.map(|cost| (cost * 1e6).round() as u64),
        turns: known.turns,
        tool_calls: known.tool_calls,
    };
    let ended = Ended::without_child(verdict);
    Ended { summary: summary.unwrap_or(ended.summary), usage, session_id: known.session.clone(), ..ended }
}
