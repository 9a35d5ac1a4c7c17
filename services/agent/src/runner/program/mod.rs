//! Runners that are programs: coding agents with a headless mode, each known by its configuration.
//!
//! A program is started by the keeper as a command is, so its tree, its timeout and its end are the same. It reads its prompt
//! from a file on standard input, has a private home with its settings and its session, and gets of the agent's environment
//! what its runner lists and one credential. What it prints is kept as it came and read into events.

mod class;
mod credential;
mod follow;
pub(super) mod gateway;
mod lines;
mod missing;
pub(super) mod parse;
mod plan;
pub mod probe;
mod raw;
pub(super) mod render;
mod reset;
pub(super) mod session;
mod spent;
mod talk;
#[cfg(test)]
pub(crate) mod tests;
mod verdict;

use std::os::fd::OwnedFd;
use std::sync::Arc;

use conductor_gateway::{Limit, Model};
use conductor_runtime::config::{Permission, RunnerOutput, RunnerSpec};
use rustix::io::Errno;

use super::attempt::{Attempt, Start};
use super::cause::disk;
use super::command::{KeeperState, Tools, refused};
use super::confined;
use super::live::Live;
use super::network;
use super::outcome::{Failure, FailureReason, Verdict};
use super::slots::Ended;
use super::watched::{Gone, Watched};
use crate::run::Folder;
pub(super) use credential::Credential;
pub use credential::Programs;
use follow::{Follow, Followed};
use lines::Lines;
use parse::Known;
pub(super) use plan::PROMPT;
use raw::Raw;
pub(super) use raw::{NAME as RAW, TIMES as RAW_TIMES};
use session::Note;
use spent::{Guard, Spent};
use verdict::{Context, Next};

/// How often a program is started again within an attempt: to go on after it died, or with a new session.
const MAX_AGAIN: u32 = 1;

/// What a task asks of a program.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    pub spec: Arc<RunnerSpec>,
    pub prompt: String,
    pub model: Option<String>,
    pub max_turns: Option<u32>,
    /// The most that it may do without asking; the runner may allow less.
    pub permission: Option<Permission>,
    /// Whether an earlier start of the same task was interrupted.
    pub is_interrupted: bool,
    /// Whether the session before had grown too long, so that the work goes on with a new one.
    pub begins_anew: bool,
}

impl Order {
    /// What it may do without a person: what narrows more holds.
    #[must_use]
    pub(crate) fn permission(&self) -> Permission {
        self.permission.map_or(self.spec.permission, |own| own.max(self.spec.permission))
    }
}

/// What a slot has for a program.
#[derive(Debug)]
pub(super) struct Means<'a> {
    pub programs: &'a Programs,
    pub tools: Tools<'a>,
    /// The home of the task whose session this one goes on with.
    pub source: Option<OwnedFd>,
}

/// Runs a program to its end; nothing of it is left then.
pub(super) fn run(
    attempt: &Attempt,
    order: &Order,
    folder: &Folder,
    live: &mut Live,
    means: Means<'_>,
) -> (Ended, KeeperState) {
    let Means { programs, tools, source } = means;
    let spec = &*order.spec;
    let credential = match ready(attempt, programs, spec) {
        Ok(credential) => credential,
        Err(failure) => return (Ended::without_child(Verdict::Failed(failure)), KeeperState::Fit),
    };
    let mut policy = match confined::policy(attempt, folder, &tools) {
        Ok(policy) => policy,
        Err(verdict) => return (Ended::without_child(verdict), KeeperState::Fit),
    };
    let mut note = match (attempt.start, source) {
        (Start::Resume, _) if order.begins_anew => None,
        (Start::Resume, _) => session::read(folder, spec),
        (Start::Fresh, Some(source)) => session::inherit(&source, folder, spec),
        (Start::Fresh, None) => None,
    };
    let mut order = Order { is_interrupted: attempt.start == Start::Resume, ..order.clone() };
    let asked =
        credential.as_ref().and_then(|credential| Some((gateway::asked(spec, credential)?, credential)));
    let model = match (asked, &tools.given.token) {
        (Some((asked, credential)), Some(token)) => {
            let limit = least(live.inbox.limit().unwrap_or(attempt.budget), asked.max_tokens);
            let keys = (credential, token);
            let listener = network::model_listener(tools.keeper).map_err(|error| error.to_string());
            let opened = listener.and_then(|listener| {
                gateway::open((tools.gateways, listener), programs, spec, asked, keys, limit)
            });
            match opened {
                Ok(model) => Some(model),
                Err(message) => {
                    let (reason, hint) = (FailureReason::RunnerUnavailable, String::new());
                    let verdict = Verdict::Failed(Failure { reason, message, hint });
                    return (Ended::without_child(verdict), KeeperState::Fit);
                }
            }
        }
        (None, _) | (_, None) => None,
    };
    if let (Some(policy), Some(ports)) = (&mut policy, tools.ways.ports(model.as_ref().map(Model::port))) {
        policy.connect_to(ports);
    }
    let shown = match (&credential, &model, &tools.given.token) {
        (Some(credential), Some(_), Some(token)) => {
            Some(Credential { name: credential.name.clone(), value: token.clone() })
        }
        (credential, ..) => credential.clone(),
    };
    let told = asked.zip(model.as_ref()).map(|((asked, _), model)| (asked, model.url()));
    let mut spent = Spent::default();
    let mut raw = Raw::default();
    let mut again = 0;
    loop {
        let resumed = note.take().filter(|_| spec.resumes());
        if let Some(note) = &resumed {
            session::keep_record(folder, spec, note);
        }
        let session = resumed.as_ref().map(|note| note.session.as_str());
        let known_to = (programs, &tools);
        let planned = plan::plan(attempt, &order, folder, session, known_to, (shown.as_ref(), told.as_ref()));
        let plan = match planned {
            Ok(plan) => plan,
            Err(error) => {
                return (Ended::without_child(live.verdict(disk(&error))), KeeperState::Fit);
            }
        };
        let program = plan.argv.first().cloned().unwrap_or_default();
        let begin = spec.converses().then(|| plan.begin(&order, folder, session));
        let (pipes, talk) = match follow::spawn(tools.keeper, policy.as_ref(), &plan, folder, begin) {
            Ok(begun) => begun,
            Err(error) => {
                let errno = error.raw_os_error().map_or(Errno::INVAL, Errno::from_raw_os_error);
                return (Ended::without_child(refused(&program, errno, false)), KeeperState::Fit);
            }
        };
        drop(plan);
        let lines = [(); 2].map(|()| Lines::new(Arc::clone(&tools.given.redactor)));
        let baseline = baseline(spec, resumed.as_ref());
        let keep = |known: &Known| keep_session(folder, spec, known, baseline);
        let mut watched = Watched::new(live, tools.keeper, folder, attempt.number);
        watched.model = model.as_ref();
        watched.max_tokens = asked.and_then(|(asked, _)| asked.max_tokens);
        let mut follow = Follow::new(watched, spec, &mut raw, (pipes, talk), lines, &keep);
        follow.max_turns = order.max_turns.filter(|_| spec.arguments.max_turns.is_empty());
        // Without a gateway there is only what the program tells as it goes.
        let (limit, model_name) = (attempt.budget, order.model.as_deref());
        follow.guard = Guard { limit, before: spent, model: model_name, baseline };
        let followed = follow.follow(tools.buffer);
        let Followed { gone, cause, exit, complaint, missing, known } = followed;
        keep(&known);
        spent.add(&known, spec, order.model.as_deref(), baseline);
        let state = match gone {
            Gone::Empty { left: 0 } | Gone::Refused(_) | Gone::Unconfined => KeeperState::Fit,
            Gone::Empty { .. } | Gone::KeeperLost => KeeperState::Unfit,
        };
        let next = verdict::of(&Context {
            live,
            spec,
            program: &program,
            gone,
            cause,
            exit,
            known: &known,
            complaint: &complaint,
            missing: missing.as_deref(),
            credential: credential.as_ref(),
            is_confined: policy.is_some(),
            was_resumed: resumed.is_some(),
            may_start_again: again < MAX_AGAIN && state == KeeperState::Fit,
            zone: attempt.env.iter().rev().find(|(name, _)| name == "TZ").map(|(_, value)| value.as_str()),
        });
        match next {
            Next::End(ended) => {
                let may_go_on = ended.verdict == Verdict::Succeeded && state == KeeperState::Fit;
                let session = known.session.clone().or_else(|| resumed.map(|note| note.session));
                if may_go_on && spec.takes_messages() && session.is_some() {
                    match live.take_told() {
                        Ok(Some(text)) => {
                            // Its next turn, with the session that was noted above.
                            note = session::read(folder, spec);
                            (order.prompt, order.is_interrupted, again) = (text, false, 0);
                            continue;
                        }
                        Ok(None) => {}
                        Err(cause) => return (Ended::without_child(live.verdict(cause)), state),
                    }
                }
                let lane = credential.as_ref().map(credential::Credential::lane);
                let usage =
                    model.as_ref().map_or_else(|| spent.usage(), |model| spent.or_metered(model.used()));
                let ended = ended.or_exceeded(model.as_ref().and_then(Model::exceeded));
                let verdict::Verdicted { verdict, summary, exit_code } = ended;
                let holds_credential = credential.is_some() && model.is_none();
                let session_id = session;
                let ended = Ended { verdict, exit_code, summary, usage, session_id, lane, holds_credential };
                return (ended, state);
            }
            Next::NewSession { why } => {
                let told = live.show(&crate::run::events::Event::Retry { text: why });
                if let Err(cause) = told {
                    return (Ended::without_child(live.verdict(cause)), state);
                }
                order.is_interrupted = false;
            }
            Next::GoOn { why } => {
                let told = live.show(&crate::run::events::Event::Retry { text: why });
                if let Err(cause) = told {
                    return (Ended::without_child(live.verdict(cause)), state);
                }
                note = session::read(folder, spec);
                order.is_interrupted = true;
            }
        }
        again += 1;
    }
}

/// What a run may spend of its budget, and no more tokens than its runner allows.
fn least(budget: Limit, max_tokens: Option<u64>) -> Limit {
    let tokens = [budget.tokens, max_tokens].into_iter().flatten().min();
    Limit { tokens, ..budget }
}

/// Whether it can run at all, and with which credential.
fn ready(
    attempt: &Attempt,
    programs: &Programs,
    spec: &RunnerSpec,
) -> Result<Option<credential::Credential>, Failure> {
    let failure = |reason, message: String, hint: String| Failure { reason, message, hint };
    plan::check(attempt)
        .map_err(|refused| failure(FailureReason::InvalidRequest, refused.to_string(), String::new()))?;
    programs.credential(spec).map_err(|error| {
        let message = format!("{} does not run here: {error}", spec.name);
        failure(FailureReason::RunnerUnavailable, message, plan::credential_hint(&error, spec))
    })
}

/// What a resumed session had used before, where the program counts it again.
fn baseline(spec: &RunnerSpec, resumed: Option<&Note>) -> [u64; 3] {
    match (spec.output, resumed) {
        (RunnerOutput::CodexJsonl, Some(note)) => note.used,
        (
            RunnerOutput::CodexJsonl
            | RunnerOutput::ClaudeStreamJson
            | RunnerOutput::GeminiStreamJson
            | RunnerOutput::Acp
            | RunnerOutput::Plain,
            _,
        ) => [0; 3],
    }
}

fn keep_session(folder: &Folder, spec: &RunnerSpec, known: &Known, baseline: [u64; 3]) {
    let Some(session) = &known.session else { return };
    let used = [known.input_tokens, known.output_tokens, known.cached_input_tokens];
    let note = Note {
        kind: spec.output.as_str().to_owned(),
        session: session.clone(),
        used: if used == [0; 3] { baseline } else { used },
        work: folder.work_path().to_string_lossy().into_owned(),
    };
    if let Err(error) = session::write(folder, &note) {
        tracing::warn!(%error, "the session of a run was not noted; it cannot go on later");
    }
}
