//! The examples of docs/agent-protocol.md are what is really said.

use std::collections::BTreeSet;
use std::path::Path;

use conductor_core::{AgentId, InstanceId, RequestId};
use conductor_protocol::agent::{
    After, Answer, Answered, Asked, Below, Egress, End, EndRun, Finished, FromAgent, Hello, LimitClass,
    LimitsView, LogPosition, Opening, OutputLength, RunLimit, RunnerView, SandboxMode, SandboxView,
    SpendLimit, Spent, Started, Tell, ToAgent, Told, Welcome, Withdrawn,
};
use conductor_protocol::control::AnswerBody;
use conductor_protocol::limits::{MAX_AGENT_LIST, MAX_AGENT_MESSAGE_BYTES, MAX_OUTPUT_FRAME_BYTES};
use conductor_protocol::task::UsageView;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::support::{lease, mock};

fn document() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/agent-protocol.md");
    std::fs::read_to_string(path).unwrap()
}

/// The examples, each with the kind that stands behind ```` ```json ````.
fn examples() -> Vec<(String, String)> {
    let document = document();
    let mut examples = Vec::new();
    let mut rest = document.as_str();
    while let Some((_, fenced)) = rest.split_once("```json ") {
        let (kind, after) = fenced.split_once('\n').unwrap();
        let (json, after) = after.split_once("```").unwrap();
        examples.push((kind.to_owned(), json.to_owned()));
        rest = after;
    }
    examples
}

/// Reads an example and writes it back.
fn again<T: DeserializeOwned + Serialize>(json: &str) -> Value {
    let message: T = serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {json}"));
    serde_json::to_value(message).unwrap()
}

/// Whether everything in `part` is in `whole`; what is written beyond an example are defaults.
fn is_within(part: &Value, whole: &Value) -> bool {
    let is_default = |value: &Value| *value == Value::Bool(false) || value.as_u64() == Some(0);
    match (part, whole) {
        (Value::Object(part), Value::Object(whole)) => part.iter().all(|(key, value)| match whole.get(key) {
            Some(other) => is_within(value, other),
            None => is_default(value),
        }),
        (Value::Array(part), Value::Array(whole)) => {
            part.len() == whole.len() && part.iter().zip(whole).all(|(part, whole)| is_within(part, whole))
        }
        (part, whole) => part == whole,
    }
}

#[test]
fn every_example_is_read_and_written_back_with_nothing_lost() {
    let examples = examples();
    assert!(examples.len() >= 12, "{} examples were found", examples.len());
    for (kind, json) in examples {
        let written = match kind.as_str() {
            "opening" => again::<Opening>(&json),
            "answer" => again::<Answer>(&json),
            "from_agent" => again::<FromAgent>(&json),
            "to_agent" => again::<ToAgent>(&json),
            other => panic!("an example of an unknown kind {other:?}"),
        };
        let example: Value = serde_json::from_str(&json).unwrap();
        assert!(is_within(&example, &written), "{kind}: {example:#} became {written:#}");
    }
}

#[test]
fn every_field_that_can_be_said_is_in_an_example() {
    let mut shown = BTreeSet::new();
    for (_, json) in examples() {
        keys(&serde_json::from_str(&json).unwrap(), &mut shown);
    }
    for message in everything() {
        let mut said = BTreeSet::new();
        keys(&message, &mut said);
        let missing: Vec<_> = said.difference(&shown).collect();
        assert!(missing.is_empty(), "no example shows {missing:?}");
    }
}

/// The names of all fields, at any depth but inside a task's body.
fn keys(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                found.insert(key.clone());
                if key != "body" {
                    keys(value, found);
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|value| keys(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Messages with every field set. A new field does not compile until it stands here.
fn everything() -> Vec<Value> {
    let hello = Hello {
        protocol: 1,
        key: "k".into(),
        agent_id: AgentId(1),
        instance: InstanceId(2),
        name: "n".into(),
        host: "h".into(),
        version: "v".into(),
        slots: 1,
        labels: vec!["l".into()],
        runners: vec![RunnerView {
            name: "r".into(),
            version: Some("v".into()),
            ready: false,
            missing: Some("m".into()),
            credential: Some(true),
            lane: Some("l".into()),
            sandbox: Some(SandboxView {
                mode: SandboxMode::Required,
                holds: vec!["h".into()],
                lacks: vec!["l".into()],
                egress: Some(Egress::Allowlist),
                limits: Some(LimitsView::default()),
            }),
            gateway: Some(true),
        }],
        held: vec![lease(1)],
        credits: 1,
        shares_workspace: true,
        seen: Some(LogPosition { id: "i".into(), seq: 1 }),
    };
    let welcome = Welcome {
        version: "v".into(),
        heartbeat_seconds: 1,
        lease_seconds: 1,
        stale: vec![lease(1)],
        draining: true,
        workspace: "w".into(),
        log: LogPosition { id: "i".into(), seq: 1 },
    };
    let finished = |end| Finished {
        lease: lease(1),
        end,
        exit_code: Some(1),
        simulated: true,
        usage: Some(Default::default()),
        result: Some(Default::default()),
        lane: Some("l".into()),
        told: 1,
    };
    let from_agent = FromAgent {
        credits: 1,
        started: vec![Started { lease: lease(1) }],
        finished: vec![
            finished(End::Crashed { message: "m".into() }),
            finished(End::Limited { rest_seconds: 1, message: "m".into(), class: LimitClass::Overload }),
        ],
        asked: vec![Asked {
            lease: lease(1),
            request_id: RequestId(1),
            kind: "question".into(),
            text: "t".into(),
            tool: Some("t".into()),
            input: None,
        }],
        withdrawn: vec![Withdrawn { lease: lease(1), request_id: RequestId(1) }],
        output: vec![OutputLength { lease: lease(1), bytes: 1 }],
        spent: vec![Spent { lease: lease(1), usd_micros: 1, tokens: 1, usage: Some(UsageView::default()) }],
        draining: true,
        runners: vec![Default::default()],
        disk_full: Some(true),
    };
    let mut assign = mock(1, "p");
    assign.after = Some(After::Crash);
    assign.limit = SpendLimit { usd_micros: Some(1), tokens: Some(1) };
    assign.starts_from = Some(conductor_core::TaskId(1));
    let to_agent = ToAgent {
        assign: vec![assign],
        acknowledged: vec![lease(1)],
        end: vec![EndRun { lease: lease(1), revoked: true }],
        answers: vec![Answered {
            lease: lease(1),
            request_id: RequestId(1),
            answer: AnswerBody::Text("t".into()),
        }],
        below: vec![Below { lease: lease(1), any: true }],
        tell: vec![Tell { lease: lease(1), message: Told { id: RequestId(1), text: "t".into() } }],
        limits: vec![RunLimit {
            lease: lease(1),
            limit: SpendLimit { usd_micros: Some(1), tokens: Some(1) },
        }],
        drain: Some(true),
        revoked: true,
        grant: Some(1),
    };
    let opening = serde_json::to_value(Opening::Hello(Box::new(hello)));
    let answer = serde_json::to_value(Answer::Welcome(welcome));
    let messages = [opening, answer, serde_json::to_value(from_agent), serde_json::to_value(to_agent)];
    messages.map(Result::unwrap).into()
}

#[test]
fn the_limits_in_the_document_are_the_limits() {
    let document = document().replace(',', "");
    for limit in [MAX_AGENT_MESSAGE_BYTES, MAX_AGENT_LIST, MAX_OUTPUT_FRAME_BYTES] {
        assert!(document.contains(&limit.to_string()), "{limit} is not in the document");
    }
}
