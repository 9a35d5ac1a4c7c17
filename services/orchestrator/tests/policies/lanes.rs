//! Credentials: a limit and a refusal as an agent reports them, and as people see them.

use conductor_client::Error;
use conductor_protocol::Code;
use conductor_protocol::agent::{End, LimitClass};
use conductor_protocol::control::LaneState;
use conductor_protocol::task::{FailureView, PendingCode, State};
use serde_json::json;

use super::server::{LIMIT, Server, assigned, reason};

const KEY: &str = "ANTHROPIC_API_KEY/1f0a77c2";

fn limited(rest_seconds: u64) -> End {
    End::Limited { rest_seconds, message: "429".into(), class: LimitClass::Reported }
}

fn refused() -> End {
    let reason = conductor_core::FailureReason::Auth;
    End::Failed(FailureView { reason, message: "invalid x-api-key".into(), hint: None })
}

#[tokio::test]
async fn a_lane_rests_until_its_limit_is_over_and_the_queue_says_until_when() {
    let server = Server::new().await;
    let mut agent = server.agent_with_lane("one", 1, KEY);
    let mut session = agent.connect().await.unwrap();
    let first = server.submit(json!({"prompt": "x"})).await;
    let second = server.submit(json!({"prompt": "x"})).await;
    let assign = assigned(&mut session).await;
    session.finish([assign.lease], &limited(600)).await.unwrap();
    let view = server.until(first, State::Scheduled).await;
    assert_eq!(view.attempts.len(), 1);
    let queue = server.control.queue().await.unwrap();
    let lane = &queue.lanes[0];
    assert_eq!((lane.name.as_str(), lane.state), (KEY, LaneState::Resting));
    let until = lane.until.expect("it rests until then").to_string();
    let rests = view.pending.unwrap();
    assert_eq!((rests.code, rests.value("until")), (PendingCode::Limit, until.as_str()));
    assert!(view.pending_reason.unwrap().contains(&until));
    assert_eq!((lane.agents.as_slice(), queue.wanted[0].queued), (["one".to_owned()].as_slice(), 1));
    let runner = &server.control.agents().await.unwrap()[0].runners[0];
    assert_eq!((runner.credential, runner.lane.as_deref()), (Some(true), Some(KEY)));
    assert_eq!((runner.lane_state, runner.lane_until), (Some(LaneState::Resting), lane.until));
    let waits = server.control.get(second).await.unwrap();
    assert!(waits.pending_reason.unwrap().contains(KEY));
    server.advance(601);
    let next = assigned(&mut session).await;
    session.finish([next.lease], &End::Succeeded).await.unwrap();
    server.until(next.task, State::Succeeded).await;
}

#[tokio::test]
async fn who_looks_while_a_task_goes_on_sees_what_it_waits_for_now() {
    let server = Server::new().await;
    let mut agent = server.agent_with_lane("one", 1, KEY);
    let mut session = agent.connect().await.unwrap();
    for round in 0..20 {
        let task = server.submit(json!({"prompt": "x"})).await;
        let assign = assigned(&mut session).await;
        session.finish([assign.lease], &limited(600)).await.unwrap();
        let view = server.until(task, State::Scheduled).await;
        assert_eq!(view.pending.map(|pending| pending.code), Some(PendingCode::Limit), "in round {round}");
        server.advance(601);
        let next = assigned(&mut session).await;
        session.finish([next.lease], &End::Succeeded).await.unwrap();
    }
}

#[tokio::test]
async fn a_lane_that_is_refused_twice_closes_until_somebody_opens_it() {
    let server = Server::new().await;
    let mut agent = server.agent_with_lane("one", 1, KEY);
    let mut session = agent.connect().await.unwrap();
    for _ in 0..2 {
        let task = server.submit(json!({"prompt": "x"})).await;
        let assign = assigned(&mut session).await;
        session.finish([assign.lease], &refused()).await.unwrap();
        assert_eq!(reason(&server.until(task, State::Failed).await), "auth");
    }
    let task = server.submit(json!({"prompt": "x"})).await;
    assert_eq!(server.state(task).await, State::Queued);
    assert_eq!(server.control.queue().await.unwrap().lanes[0].state, LaneState::Closed);
    let Err(Error::Refused(problem)) = server.control.open_lane("nothing".into()).await else {
        panic!("there is no such lane");
    };
    assert_eq!(problem.code, Code::NotFound);
    server.control.open_lane(KEY.into()).await.unwrap();
    let assign = tokio::time::timeout(LIMIT, assigned(&mut session)).await.unwrap();
    assert_eq!(assign.task, task);
}
