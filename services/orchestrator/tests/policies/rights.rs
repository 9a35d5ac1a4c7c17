//! What each role may ask.

use std::collections::HashSet;
use std::mem::discriminant;

use conductor_client::{Control, Error};
use conductor_core::{ScheduleId, TaskId};
use conductor_protocol::control::{
    ActorView, AddSchedule, AgentName, AnswerBody, AnswerCall, AppendUpload, AuditCall, Browse, Call, Cancel,
    CreateToken, CreateUpload, DrainAgent, Events, FileCall, Filter, Gc, Groups, Id, LaneName, Message,
    Output, Pause, Pin, Presented, Role, ScheduleRef, StopStream, Submit, TokenName, TrendsCall, UploadKind,
    UploadRef, UsageOfAll, VerifyAudit, Wait,
};
use conductor_protocol::{Code, Problem};
use serde_json::json;
use serde_json::value::to_raw_value;

use crate::server::Server;

/// Somebody of a role and some groups, as the API would name them.
pub(super) fn someone(role: Role, groups: Groups) -> ActorView {
    ActorView {
        name: "someone".into(),
        role,
        groups,
        via: "http".into(),
        address: Some("192.0.2.7".into()),
        attempt: None,
    }
}

/// Everything that can be asked, once; about what is not there, so that nothing changes. A stream that is followed would
/// not end.
pub(super) fn calls(task: TaskId, schedule: ScheduleId) -> Vec<Call> {
    let id = Id { id: task };
    let text = |text: &str| text.to_owned();
    let output = Output { id: task, attempt: None, offset: 0, follow: false, limit: None };
    let presented = Presented { digest: text(""), address: None };
    let raw = |value| to_raw_value(&value).unwrap();
    let upload = UploadRef { id: "01901234-5678-7abc-8def-0123456789ab".parse().unwrap() };
    vec![
        Call::Submit(Submit { tasks: vec![raw(json!({"prompt": 1}))], key: None }),
        Call::SubmitEach(Vec::new()),
        Call::Get(id),
        Call::Wait(Wait { id: task, timeout_ms: 0 }),
        Call::List(Box::default()),
        Call::Cancel(Cancel { id: task, reason: None }),
        Call::CancelMatching(Box::new(Filter { name: Some(text("nothing")), ..Filter::default() })),
        Call::Retry(id),
        Call::RetryMatching(Box::new(Filter { name: Some(text("nothing")), ..Filter::default() })),
        Call::Message(Message { id: task, text: text("go on") }),
        Call::Answer(AnswerCall { id: task, request_id: None, answer: AnswerBody::Allow }),
        Call::Delete(id),
        Call::Questions,
        Call::Agents,
        Call::DrainAgent(DrainAgent { name: text("nobody"), draining: true }),
        Call::RevokeAgent(AgentName { name: text("nobody") }),
        Call::Pause(Pause { paused: false }),
        Call::OpenLane(LaneName { name: text("nobody") }),
        Call::Queue,
        Call::Stats,
        Call::Status,
        Call::AddSchedule(Box::new(AddSchedule {
            name: None,
            cron: text("never"),
            time_zone: None,
            overlap: Default::default(),
            catch_up: Default::default(),
            task: raw(json!({"prompt": "x"})),
        })),
        Call::Schedules,
        Call::RemoveSchedule(ScheduleRef { id: schedule }),
        Call::Events(Events { since: None, follow: false }),
        Call::Output(output),
        Call::RunEvents(output),
        Call::Usage(id),
        Call::UsageOfAll(UsageOfAll { follow: false }),
        Call::Files(id),
        Call::File(FileCall { id: task, path: text("a.txt"), offset: 0, limit: None }),
        Call::Browse(Browse { id: Some(task), path: text(""), limit: None, after: None }),
        Call::Pin(Pin { id: task, pinned: false }),
        Call::Diff(output),
        Call::Audit(AuditCall::default()),
        Call::VerifyAudit(VerifyAudit::default()),
        Call::Gc(Gc { dry_run: true }),
        Call::Authenticate(presented.clone()),
        Call::OpenSession(presented.clone()),
        Call::CloseSession(presented),
        Call::MakeLogin,
        Call::Tokens,
        Call::CreateToken(CreateToken {
            name: text(" "),
            role: Role::Admin,
            groups: Groups::All,
            expires_in_seconds: None,
        }),
        Call::RevokeToken(TokenName { name: text("nothing") }),
        Call::CreateUpload(CreateUpload {
            kind: UploadKind::Raw,
            bytes: None,
            sha256: Some(text("bad")),
            reuse: false,
        }),
        Call::AppendUpload(AppendUpload { id: upload.id, offset: 0, base64: text(""), last: false }),
        Call::Upload(upload),
        Call::Deliveries(id),
        Call::Trends(TrendsCall { seconds: 3_600, step_seconds: 3_600 }),
        Call::Metrics,
        Call::Runners,
        Call::TaskTypes,
        Call::Config,
        Call::Stop(StopStream { request: u64::MAX }),
    ]
}

/// The role that the contract asks for; none where only the owner of the socket may ask. A call that is added does not
/// compile without a place here, and the test fails until it is among the [`calls`].
fn wanted(call: &Call) -> Option<Role> {
    match call {
        Call::Authenticate(_) | Call::OpenSession(_) | Call::CloseSession(_) => None,
        // Ends a stream that the same client asked for.
        Call::Stop(_) => Some(Role::Agent),
        Call::Get(_) | Call::Wait(_) | Call::List(_) | Call::Questions | Call::Agents | Call::Queue => {
            Some(Role::Viewer)
        }
        Call::Stats | Call::Status | Call::Schedules | Call::Events(_) | Call::Output(_) => {
            Some(Role::Viewer)
        }
        Call::RunEvents(_) | Call::Usage(_) | Call::Files(_) | Call::File(_) | Call::Diff(_) => {
            Some(Role::Viewer)
        }
        Call::UsageOfAll(_) => Some(Role::Viewer),
        Call::Browse(_) => Some(Role::Viewer),
        Call::Pin(_) => Some(Role::Operator),
        Call::Deliveries(_) | Call::Trends(_) | Call::Metrics | Call::Runners => Some(Role::Viewer),
        Call::TaskTypes => Some(Role::Viewer),
        Call::SubmitEach(_) => Some(Role::Operator),
        Call::Submit(_) | Call::Cancel(_) | Call::CancelMatching(_) | Call::Retry(_) => Some(Role::Operator),
        Call::RetryMatching(_) | Call::Message(_) | Call::Answer(_) | Call::Delete(_) => Some(Role::Operator),
        Call::AddSchedule(_) | Call::RemoveSchedule(_) => Some(Role::Operator),
        Call::CreateUpload(_) | Call::AppendUpload(_) | Call::Upload(_) => Some(Role::Operator),
        Call::DrainAgent(_) | Call::RevokeAgent(_) | Call::Pause(_) | Call::OpenLane(_) => Some(Role::Admin),
        Call::Audit(_) | Call::VerifyAudit(_) | Call::Gc(_) | Call::Config => Some(Role::Admin),
        Call::MakeLogin | Call::Tokens | Call::CreateToken(_) | Call::RevokeToken(_) => Some(Role::Admin),
    }
}

/// How many calls there are.
const CALLS: usize = 54;

pub(super) async fn refused(control: &Control, call: Call) -> Option<Problem> {
    match control.call(call).await {
        Ok(_) => None,
        Err(Error::Refused(problem)) => Some(problem),
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn every_call_is_forbidden_below_its_role_and_only_there() {
    let server = Server::new().await;
    let calls = calls(TaskId(1), ScheduleId(1));
    let kinds: HashSet<_> = calls.iter().map(discriminant).collect();
    assert_eq!((calls.len(), kinds.len()), (CALLS, CALLS), "every call is tried once");
    for role in [Role::Agent, Role::Viewer, Role::Operator, Role::Admin] {
        let control = server.control.on_behalf_of(someone(role, Groups::All));
        for call in &calls {
            let forbidden = refused(&control, call.clone()).await.is_some_and(|p| p.code == Code::Forbidden);
            let expected = wanted(call).is_none_or(|wanted| role < wanted);
            assert_eq!(forbidden, expected, "{role:?} asks {call:?}");
        }
    }
    for call in &calls {
        let forbidden =
            refused(&server.control, call.clone()).await.is_some_and(|p| p.code == Code::Forbidden);
        assert!(!forbidden, "the owner of the socket may ask {call:?}");
    }
}

#[tokio::test]
async fn an_admin_of_some_groups_does_not_reach_what_belongs_to_all() {
    let server = Server::new().await;
    let control = server.control.on_behalf_of(someone(Role::Admin, Groups::Only(vec!["red".into()])));
    let mut forbidden = Vec::new();
    for call in calls(TaskId(1), ScheduleId(1)) {
        if refused(&control, call.clone()).await.is_some_and(|problem| problem.code == Code::Forbidden) {
            let name = serde_json::to_value(&call).unwrap();
            forbidden.push(
                name.as_str()
                    .map_or_else(|| name.as_object().unwrap().keys().next().unwrap().clone(), Into::into),
            );
        }
    }
    assert_eq!(
        forbidden,
        [
            "drain_agent",
            "revoke_agent",
            "pause",
            "open_lane",
            "audit",
            "verify_audit",
            "gc",
            "authenticate",
            "open_session",
            "close_session",
            "make_login",
            "tokens",
            "create_token",
            "revoke_token",
            "metrics",
            "config",
        ]
    );
}

#[tokio::test]
async fn an_actor_that_cannot_be_is_refused() {
    let server = Server::new().await;
    let nameless = ActorView { name: String::new(), ..someone(Role::Admin, Groups::All) };
    let odd = ActorView { groups: Groups::Only(vec!["a b".into()]), ..someone(Role::Admin, Groups::All) };
    for (actor, pointer) in [(nameless, "/actor/name"), (odd, "/actor/groups")] {
        let problem = refused(&server.control.on_behalf_of(actor), Call::Stats).await.expect("refused");
        assert_eq!(problem.errors[0].pointer, pointer);
    }
}
