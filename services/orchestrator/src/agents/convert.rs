//! From what agents say to what the machine takes.

use conductor_core::{
    AgentSay, Amount, AttemptEnd, Failure, Limit, Name, Profile, Question, Report, Requeue, RunnerLane,
    RunnerOffer, Spending, Usage,
};
use conductor_protocol::agent::{
    After, Asked, End, Finished, Hello, LimitClass, RunnerView, SpendLimit, Spent, Withdrawn,
};
use conductor_protocol::task::UsageView;
use conductor_protocol::{Code, Problem, limits};

/// The most slots of one agent.
const MAX_SLOTS: u32 = 100_000;
/// The most runners of one agent.
const MAX_RUNNERS: usize = 256;
/// The longest text of a failure or a crash that is kept.
const MAX_MESSAGE_CHARS: usize = 4_096;

type Offers = Box<[RunnerOffer]>;
type Lanes = Box<[RunnerLane]>;

/// What an agent says of itself, and under which credentials its runners run.
///
/// # Errors
/// Says what in it cannot be.
pub(super) fn profile(hello: &Hello) -> Result<(Profile, Lanes), Problem> {
    let name =
        |pointer: &str, text: &str| Name::new(text).map_err(|error| Problem::at(pointer, error.to_string()));
    if hello.slots == 0 || hello.slots > MAX_SLOTS {
        return Err(Problem::at("/hello/slots", format!("from 1 to {MAX_SLOTS}")));
    }
    if hello.held.len() > limits::MAX_AGENT_LIST || hello.labels.len() > 256 {
        return Err(Problem::new(Code::PayloadTooLarge, "a list in the hello is too long"));
    }
    let mut labels = Vec::with_capacity(hello.labels.len());
    for label in &hello.labels {
        labels.push(name("/hello/labels", label)?);
    }
    labels.sort();
    labels.dedup();
    let (runners, lanes) = offers(&hello.runners, "/hello/runners")?;
    let profile = Profile {
        agent_id: hello.agent_id,
        instance: hello.instance,
        name: name("/hello/name", &hello.name)?,
        host: clip(&hello.host),
        version: clip(&hello.version),
        slots: hello.slots,
        labels: labels.into(),
        runners,
    };
    Ok((profile, lanes))
}

/// What an agent can run, and under which credentials.
///
/// # Errors
/// Says what in it cannot be.
pub(super) fn offers(said: &[RunnerView], pointer: &str) -> Result<(Offers, Lanes), Problem> {
    if said.len() > MAX_RUNNERS {
        return Err(Problem::new(Code::PayloadTooLarge, "an agent has too many runners"));
    }
    let name = |text: &str| Name::new(text).map_err(|error| Problem::at(pointer, error.to_string()));
    let mut runners = Vec::with_capacity(said.len());
    let mut lanes = Vec::new();
    for runner in said {
        let runner_name = name(&runner.name)?;
        if let Some(lane) = &runner.lane {
            lanes.push(RunnerLane { runner: runner_name.clone(), lane: name(lane)? });
        }
        runners.push(RunnerOffer {
            runner: runner_name,
            version: runner.version.as_deref().map(Into::into),
            ready: runner.ready,
            missing: runner.missing.as_deref().map(Into::into),
        });
    }
    lanes.sort();
    Ok((runners.into(), lanes.into()))
}

/// The end of an attempt.
pub(super) fn finished(finished: Finished) -> AgentSay {
    let end = match finished.end {
        End::Succeeded => AttemptEnd::Succeeded,
        End::Failed(failure) => AttemptEnd::Failed(Failure {
            reason: failure.reason,
            message: clip(&failure.message),
            hint: failure.hint.as_deref().map(clip),
        }),
        End::Crashed { message } => AttemptEnd::Crashed(clip(&message)),
        End::Stopped => AttemptEnd::Stopped,
        End::Cancelled => AttemptEnd::Cancelled,
        End::Limited { rest_seconds, message, class } => {
            let rest_seconds = match class {
                LimitClass::Reported => rest_seconds.clamp(1, limits::MAX_DURATION_SECONDS),
                // Nobody knows for how long; the machine says.
                LimitClass::Unreported | LimitClass::Overload => 0,
            };
            AttemptEnd::Limited { rest_ms: rest_seconds * 1_000, message: clip(&message) }
        }
    };
    let result_json = finished.result.map(|result| {
        serde_json::to_string(&result).expect("a result that was read can be written").into_boxed_str()
    });
    let report = Report {
        exit_code: finished.exit_code,
        simulated: finished.simulated,
        usage: finished.usage.map(usage).unwrap_or_default(),
        result_json,
    };
    AgentSay::Finished { lease: finished.lease, end, report: Box::new(report) }
}

/// What a run that succeeded took of the messages to it. One that did not leaves them to the next.
pub(super) fn took(finished: &Finished) -> Option<AgentSay> {
    let has_taken = matches!(finished.end, End::Succeeded) && finished.told > 0;
    has_taken.then_some(AgentSay::Took { lease: finished.lease, count: finished.told })
}

/// A question.
pub(super) fn withdrawn(withdrawn: &Withdrawn) -> AgentSay {
    AgentSay::Withdrawn { lease: withdrawn.lease, request_id: withdrawn.request_id }
}

pub(super) fn asked(asked: &Asked) -> AgentSay {
    let detail_json = serde_json::to_string(asked).expect("a question that was read can be written");
    let question = Question { request_id: asked.request_id, detail_json: detail_json.into() };
    AgentSay::Asked { lease: asked.lease, question }
}

/// How the attempt before ended, on the wire.
pub(super) fn after(requeue: Requeue) -> After {
    match requeue {
        Requeue::Backoff => After::Failure,
        Requeue::Crash => After::Crash,
        Requeue::Stop => After::Stop,
        Requeue::Limit => After::Limit,
        Requeue::NewSession => After::Overflow,
    }
}

/// What a run may spend, on the wire.
pub(super) fn limit(limit: Limit) -> SpendLimit {
    SpendLimit { usd_micros: limit.usd_micros, tokens: limit.tokens }
}

/// What a run has spent.
pub(super) fn spent(spent: &Spent) -> AgentSay {
    let amount = Amount { usd_micros: spent.usd_micros, tokens: spent.tokens };
    let usage = spent.usage.map(usage).unwrap_or_default();
    AgentSay::Spent { lease: spent.lease, spending: Spending { amount, usage } }
}

fn usage(view: UsageView) -> Usage {
    // A cost below nothing or beyond all measure is not believed.
    let micros =
        |usd: f64| (usd.is_finite() && (0.0..1e9).contains(&usd)).then_some((usd * 1e6).round() as u64);
    Usage {
        input_tokens: view.input_tokens,
        output_tokens: view.output_tokens,
        cached_input_tokens: view.cached_input_tokens,
        cost_usd_micros: view.cost_usd.and_then(micros),
        turns: view.turns,
        tool_calls: view.tool_calls,
    }
}

fn clip(text: &str) -> Box<str> {
    match text.char_indices().nth(MAX_MESSAGE_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
    }
}
