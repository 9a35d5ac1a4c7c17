//! What tasks may spend: what is set aside, what is told, and what is refused.

use conductor_core::{FailureReason, Lease};
use conductor_protocol::Code;
use conductor_protocol::agent::{Assign, End, Finished, FromAgent};
use conductor_protocol::task::{FailureView, PendingCode, State, UsageView};
use conductor_testkit::agent::{Agent, Options, Session};
use serde_json::json;

use super::server::{Server, assigned};

fn claude(server: &Server, slots: u32) -> Agent {
    let options = Options::new(&server.home().agent_socket(), "one").slots(slots);
    Agent::new(Options { runners: vec!["claude".into(), "mock".into()], ..options })
}

async fn begun(session: &mut Session<'_>) -> Assign {
    let assign = assigned(session).await;
    session.start([assign.lease]).await.unwrap();
    assign
}

async fn end(session: &mut Session<'_>, lease: Lease, end: End, cost_usd: Option<f64>) {
    let usage = Some(UsageView { input_tokens: 40, output_tokens: 2, cost_usd, ..UsageView::default() });
    let finished =
        Finished { lease, end, exit_code: None, simulated: false, usage, result: None, lane: None, told: 0 };
    session.say(FromAgent { credits: 1, finished: vec![finished], ..FromAgent::default() }).await.unwrap();
}

#[tokio::test]
async fn a_task_waits_for_the_day_and_goes_on_at_midnight() {
    let keys = [("CONDUCTOR__BUDGETS__DAY_USD", "6"), ("CONDUCTOR__BUDGETS__TASK_USD", "4")];
    let mut server = Server::with(&keys).await;
    let mut agent = claude(&server, 3);
    let mut session = agent.connect().await.unwrap();
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(server.submit(json!({"prompt": "x", "runner": "claude"})).await);
    }
    let mut given = Vec::new();
    while given.len() < 2 {
        given.extend(session.hear().await.unwrap().assign);
    }
    session.start(given.iter().map(|assign| assign.lease)).await.unwrap();
    assert_eq!((given[0].limit.usd_micros, given[0].limit.tokens), (Some(4_000_000), None));
    let waits = server.view(ids[2]).await;
    assert_eq!(waits.state, State::Queued);
    let pending = waits.pending.unwrap();
    assert_eq!(pending.code, PendingCode::DayBudget);
    assert_eq!((pending.value("limit"), pending.value("reserved")), ("6.00 USD", "8.00 USD"));
    assert!(waits.pending_reason.unwrap().contains("today's budget of 6.00 USD"));

    end(&mut session, given[0].lease, End::Succeeded, Some(3.5)).await;
    end(&mut session, given[1].lease, End::Succeeded, None).await;
    server.until(ids[1], State::Succeeded).await;
    let budgets = server.control.queue().await.unwrap().budgets;
    assert_eq!((budgets[0].limit_usd, budgets[0].spent_usd, budgets[0].reserved_usd), (Some(6.0), 7.5, 0.0));
    assert_eq!(budgets[0].spent_tokens, 84);
    drop(session);

    server.restart(std::time::Duration::from_secs(60)).await;
    let mut session = agent.connect().await.unwrap();
    assert_eq!(server.view(ids[2]).await.pending.unwrap().code, PendingCode::DayBudget, "the log remembers");
    server.advance(24 * 3_600);
    assert_eq!(begun(&mut session).await.task, ids[2]);
}

#[tokio::test]
async fn what_failures_cost_is_told() {
    let server = Server::new().await;
    let mut agent = claude(&server, 1);
    let mut session = agent.connect().await.unwrap();
    let body = json!({"prompt": "x", "runner": "claude", "budget_usd": 2, "budget_tokens": 9000});
    let task = server.submit(body).await;
    let assign = begun(&mut session).await;
    assert_eq!((assign.limit.usd_micros, assign.limit.tokens), (Some(2_000_000), Some(9_000)));
    let view = FailureView { reason: FailureReason::Budget, message: "it used its 2.00".into(), hint: None };
    end(&mut session, assign.lease, End::Failed(view), Some(2.25)).await;
    let view = server.until(task, State::Failed).await;
    assert_eq!((view.budget_usd, view.budget_tokens), (Some(2.0), Some(9_000)));
    assert_eq!(view.usage.cost_usd, Some(2.25));
    let today = server.control.stats().await.unwrap().today;
    assert_eq!((today.cost_usd, today.failed_cost_usd), (2.25, 2.25));
}

#[tokio::test]
async fn a_budget_that_is_none_is_refused_by_its_place() {
    let server = Server::new().await;
    for (body, pointer) in [
        (json!({"prompt": "x", "budget_usd": 0}), "/budget_usd"),
        (json!({"prompt": "x", "budget_usd": -1}), "/budget_usd"),
        (json!({"prompt": "x", "budget_usd": 1e12}), "/budget_usd"),
        (json!({"prompt": "x", "budget_tokens": 0}), "/budget_tokens"),
        (json!({"prompt": "x", "budget_tokens": -5}), "/budget_tokens"),
    ] {
        let problem = server.try_submit(vec![body.clone()], None).await.unwrap_err();
        assert_eq!(problem.code, Code::InvalidRequest, "{body}");
        assert_eq!(problem.errors[0].pointer, pointer, "{body}");
    }
}
