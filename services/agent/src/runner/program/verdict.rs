//! From how a program ended and what it said to what becomes of the attempt.

use conductor_gateway::Exceeded;
use conductor_protocol::agent::LimitClass;
use conductor_runtime::config::{RunnerOutput, RunnerSpec};

use super::super::cause::{Cause, MORE_BUDGET};
use super::super::command::refused;
use super::super::confined;
use super::super::live::Live;
use super::super::outcome::{Failure, FailureReason, Verdict};
use super::super::watched::Gone;
use super::class::{self, Class};
use super::credential::Credential;
use super::parse::{Known, Said};
use super::reset;
use crate::process::Exit;

/// The longest line of a complaint that is told.
const MAX_COMPLAINT_CHARS: usize = 500;

/// How the exit codes of Gemini are to be read when it says nothing more.
const GEMINI_EXITS: [(i32, Class); 3] =
    [(41, Class::Auth), (42, Class::InvalidRequest), (53, Class::MaxTurns)];

/// What is known at the end of a start.
pub(super) struct Context<'a> {
    pub live: &'a Live,
    pub spec: &'a RunnerSpec,
    pub program: &'a str,
    pub gone: Gone,
    pub cause: Option<Cause>,
    pub exit: Option<Exit>,
    pub known: &'a Known,
    pub complaint: &'a str,
    /// A command that its output says is missing.
    pub missing: Option<&'a str>,
    pub credential: Option<&'a Credential>,
    pub is_confined: bool,
    /// Whether it went on with a session.
    pub was_resumed: bool,
    pub may_start_again: bool,
    /// The `TZ` that the task set for it.
    pub zone: Option<&'a str>,
}

/// What follows.
#[derive(Debug)]
pub(super) enum Next {
    End(Verdicted),
    /// It is started once more with a new session.
    NewSession {
        why: String,
    },
    /// It is started once more with its session.
    GoOn {
        why: String,
    },
}

/// How the attempt ended.
#[derive(Debug)]
pub(super) struct Verdicted {
    pub verdict: Verdict,
    pub summary: String,
    pub exit_code: Option<i32>,
}

impl Verdicted {
    /// The same; a limit that was passed is why it ended, whatever the program made of that.
    pub fn or_exceeded(self, exceeded: Option<Exceeded>) -> Self {
        let (Some(exceeded), Verdict::Failed(_) | Verdict::Limited { .. }) = (exceeded, &self.verdict) else {
            return self;
        };
        let verdict = failure(FailureReason::Budget, exceeded.to_string(), MORE_BUDGET);
        Self { summary: verdict.summary(), verdict, ..self }
    }
}

/// Says what follows.
pub(super) fn of(context: &Context<'_>) -> Next {
    let exit_code = match context.exit {
        Some(Exit::Code(code)) => Some(code),
        Some(Exit::Signal(_)) | None => None,
    };
    let next = next(context);
    match next {
        Ok((verdict, summary)) => Next::End(Verdicted { verdict, summary, exit_code }),
        Err(again) => again,
    }
}

fn next(context: &Context<'_>) -> Result<(Verdict, String), Next> {
    let told = |verdict: Verdict| {
        let verdict = with_missing(verdict, context.missing);
        let summary = verdict.summary();
        Ok((verdict, summary))
    };
    if let Some(cause) = &context.cause {
        return told(context.live.verdict(cause.clone()));
    }
    match &context.gone {
        Gone::KeeperLost => return told(Verdict::Crashed { message: "its keeper process ended".to_owned() }),
        Gone::Refused(errno) => return told(refused(context.program, *errno, context.is_confined)),
        Gone::Unconfined => return told(confined::unconfined()),
        Gone::Empty { .. } => {}
    }
    match &context.known.end {
        Some(Said::Done { summary }) => {
            let summary = summary.clone().or_else(|| context.known.last_message.clone());
            Ok((Verdict::Succeeded, summary.unwrap_or_else(|| "it said nothing".to_owned())))
        }
        Some(Said::Failed { class, message }) => {
            // A session that is not there is only told beside the result.
            let class = match (*class, class::of(context.complaint, None)) {
                (Class::Other, Class::NoSession) => Class::NoSession,
                (Class::Other, _) if matches!(context.spec.output, RunnerOutput::GeminiStreamJson) => {
                    let status = status_in(context.complaint).or_else(|| status_of_exit(context.exit));
                    class::of(message, status)
                }
                (class, _) => class,
            };
            failed(context, class, message).and_then(told)
        }
        None => without_result(context).and_then(told),
    }
}

fn without_result(context: &Context<'_>) -> Result<Verdict, Next> {
    let program = context.program;
    let last = last_line(context.complaint);
    let exit =
        context.exit.map_or_else(|| "ended in a way that was not seen".to_owned(), |exit| exit.to_string());
    if matches!(context.spec.output, RunnerOutput::Plain) {
        return Ok(match context.exit {
            Some(Exit::Code(0)) => Verdict::Succeeded,
            Some(_) => {
                failure(FailureReason::ExitCode, format!("{program} {exit}"), "see the end of its output")
            }
            None => Verdict::Crashed { message: "its end was not seen".into() },
        });
    }
    let class = match (class::of(context.complaint, None), context.exit) {
        (Class::Other, Some(Exit::Code(code))) => {
            GEMINI_EXITS.iter().find(|(known, _)| *known == code).map_or(Class::Other, |(_, class)| *class)
        }
        // What a program says of files and settings is not about the request, which was not made yet.
        (Class::InvalidRequest, _) => Class::Other,
        (class, _) => class,
    };
    let began = context.known.session.is_some();
    if !began || (class == Class::NoSession && context.was_resumed) {
        let message = match &last {
            Some(last) => format!("{program} {exit} before it began: {last}"),
            None => format!("{program} {exit} before it began"),
        };
        return failed(context, class, &message);
    }
    let message = format!("{program} {exit} without a result");
    if context.may_start_again && context.spec.resumes() {
        return Err(Next::GoOn { why: format!("{message}; it goes on with its session") });
    }
    let hint = "it ended in the middle of its work; what it did until then is in the attempt's folder";
    Ok(failure(FailureReason::NoResult, message, hint))
}

fn failed(context: &Context<'_>, class: Class, message: &str) -> Result<Verdict, Next> {
    let message = message.to_owned();
    let name = &context.spec.name;
    let failed = |reason, hint: &str| Ok(failure(reason, message.clone(), hint));
    match class {
        Class::Limit => Ok(limited(context, message)),
        Class::Overload => Ok(Verdict::Limited { class: LimitClass::Overload, rest_seconds: 0, message }),
        Class::Auth => {
            let hint = match context.credential {
                Some(credential) => format!(
                    "the credential {0} was refused, or has nothing left to spend; set another with: conductor secret set {0}",
                    credential.name
                ),
                None => format!("{name} has no credential that it could use"),
            };
            failed(FailureReason::Auth, &hint)
        }
        Class::InvalidRequest => failed(
            FailureReason::InvalidRequest,
            "look at the model and the settings of the runner; another try would end alike",
        ),
        Class::ContextOverflow => failed(
            FailureReason::ContextOverflow,
            "the task needs more context than the model has, with a new session as well; give it less to read at once",
        ),
        Class::MaxTurns => failed(FailureReason::MaxTurns, "give it more with a larger max_turns"),
        Class::Budget => failed(FailureReason::Budget, MORE_BUDGET),
        Class::NoSession if context.was_resumed && context.may_start_again => {
            Err(Next::NewSession { why: format!("{message}; it begins a new session") })
        }
        Class::NoSession | Class::Other => {
            failed(FailureReason::RunnerError, "see its output and its events")
        }
    }
}

fn limited(context: &Context<'_>, message: String) -> Verdict {
    let now = conductor_runtime::clock::Clock::System.now().wall_ms / 1_000;
    let said = || {
        let now = jiff::Timestamp::from_second(now).ok()?.to_zoned(reset::zone(context.zone));
        let is_told_in_words = matches!(context.spec.output, RunnerOutput::CodexJsonl);
        is_told_in_words.then(|| reset::said_in(&message, &now)).flatten()
    };
    match context.known.resets_at.or_else(said).map(|at| at.saturating_sub(now)) {
        Some(left) if left > 0 => {
            let rest_seconds = u64::try_from(left).unwrap_or(0);
            Verdict::Limited { class: LimitClass::Reported, rest_seconds, message }
        }
        Some(_) | None => Verdict::Limited { class: LimitClass::Unreported, rest_seconds: 0, message },
    }
}

fn with_missing(verdict: Verdict, missing: Option<&str>) -> Verdict {
    match (verdict, missing) {
        (Verdict::Failed(mut failure), Some(command)) => {
            let said = format!("its output says that the command {command} is missing here");
            failure.hint = if failure.hint.is_empty() { said } else { format!("{said}; {}", failure.hint) };
            Verdict::Failed(failure)
        }
        (verdict, _) => verdict,
    }
}

fn failure(reason: FailureReason, message: String, hint: &str) -> Verdict {
    Verdict::Failed(Failure { reason, message, hint: hint.to_owned() })
}

/// The status of the service's answer, which Gemini tells beside its result, in the last lines of its complaint.
fn status_in(complaint: &str) -> Option<u64> {
    let at = complaint.rfind("status: ")? + "status: ".len();
    let digits: String = complaint[at..].chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// The status of the service's answer by how Gemini exits: with that status, of which the system keeps the low eight bits.
fn status_of_exit(exit: Option<Exit>) -> Option<u64> {
    let Some(Exit::Code(code @ 144..=255)) = exit else { return None };
    u64::try_from(code).ok().map(|low| low + 256)
}

fn last_line(text: &str) -> Option<String> {
    let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty())?;
    Some(line.chars().filter(|c| !c.is_control()).take(MAX_COMPLAINT_CHARS).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_that_gemini_exits_with_has_its_class() {
        // As Gemini CLI 0.61.0 ends after 429 and 503.
        for (code, class) in
            [(173, Class::Limit), (247, Class::Overload), (1, Class::Other), (143, Class::Other)]
        {
            let status = status_of_exit(Some(Exit::Code(code)));
            assert_eq!(class::of("Resource has been spent.", status), class, "{code}");
        }
        assert_eq!(status_of_exit(None), None);
    }
}
