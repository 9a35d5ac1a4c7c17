//! What may be spent, and what was: on the overview, the queue's page and the page of a task.

use std::time::Duration;

use conductor_core::FailureReason;
use conductor_protocol::agent::{Assign, End, Finished, FromAgent, Spent};
use conductor_protocol::control::{ActorView, Groups, ListRequest, Role};
use conductor_protocol::task::{FailureView, State, UsageView};
use conductor_testkit::agent::{Agent, Session};
use conductor_testkit::world::eventually;
use serde_json::json;

use super::chrome::{Chrome, Look};
use super::place::{LIMIT, Place};

/// Longer than it takes until all that run were looked at twice.
const LOOKS: Duration = Duration::from_millis(2_500);

/// An agent with Claude Code and the mock.
fn spender(place: &Place) -> Agent {
    let options = place.agent("ada");
    Agent::new(conductor_testkit::agent::Options { runners: vec!["claude".into(), "mock".into()], ..options })
}

async fn begun(session: &mut Session<'_>) -> Assign {
    loop {
        if let Some(assign) = session.hear().await.unwrap().assign.into_iter().next() {
            session.start([assign.lease]).await.unwrap();
            return assign;
        }
    }
}

async fn end(session: &mut Session<'_>, assign: &Assign, end: End, cost_usd: Option<f64>) {
    let usage = UsageView { input_tokens: 1_400, output_tokens: 100, cost_usd, ..UsageView::default() };
    let finished = Finished {
        lease: assign.lease,
        end,
        exit_code: None,
        simulated: cost_usd.is_none(),
        usage: Some(usage),
        result: None,
        lane: None,
        told: 0,
    };
    session.say(FromAgent { credits: 1, finished: vec![finished], ..FromAgent::default() }).await.unwrap();
}

/// Tells what a run has used so far.
async fn spend(session: &mut Session<'_>, assign: &Assign, output_tokens: u64, cost_usd: f64) {
    let usage = UsageView { output_tokens, cost_usd: Some(cost_usd), ..UsageView::default() };
    let usd_micros = (cost_usd * 1e6) as u64;
    let spent = Spent { lease: assign.lease, usd_micros, tokens: output_tokens, usage: Some(usage) };
    session.say(FromAgent { spent: vec![spent], ..FromAgent::default() }).await.unwrap();
}

fn failed() -> End {
    let message = "it exited with 1".to_owned();
    End::Failed(FailureView { reason: FailureReason::ExitCode, message, hint: None })
}

/// Submits a task whose first attempt failed at a cost, and whose second has begun.
async fn second_try(
    place: &Place,
    session: &mut Session<'_>,
    mut task: serde_json::Value,
    cost_usd: Option<f64>,
) -> (String, Assign) {
    task["prompt"] = json!("x");
    task["retry"] = json!({"max_attempts": 2, "backoff_seconds": 0});
    let id = place.submit(task).await;
    let assign = begun(session).await;
    end(session, &assign, failed(), cost_usd).await;
    (id, begun(session).await)
}

async fn until(place: &Place, id: &str, state: State) {
    eventually(LIMIT, "the task stands so", async || {
        let task = place.control.get(id.parse().unwrap()).await.unwrap();
        (task.state == state).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_budgets_of_the_day_are_told_to_those_whose_they_are() {
    let place = Place::with(&[
        ("CONDUCTOR__BUDGETS__TASK_USD", "5"),
        ("CONDUCTOR__BUDGETS__DAY_USD", "20"),
        ("CONDUCTOR__BUDGETS__DAY_TOKENS", "1000000"),
        ("CONDUCTOR__BUDGETS__GROUPS__RED__DAY_USD", "8"),
    ])
    .await;
    let mut agent = spender(&place);
    let mut session = agent.connect().await.unwrap();
    let first = place.submit(json!({"prompt": "x", "runner": "claude", "group": "red"})).await;
    let assign = begun(&mut session).await;
    end(&mut session, &assign, End::Succeeded, Some(2.5)).await;
    until(&place, &first, State::Succeeded).await;
    place.submit(json!({"prompt": "y", "runner": "claude", "group": "red"})).await;
    begun(&mut session).await;

    let browser = place.log_in(&place.admin).await;
    for path in ["/", "/queue"] {
        let page = browser.get(path).await.with(200).body;
        for text in [
            "$2.50 of $20.00",
            "$5.00 set aside · $12.50 left",
            "1.5k of 1M tokens",
            "$2.50 of $8.00",
            "$5.00 set aside · $0.50 left",
            "Starts anew",
        ] {
            assert!(page.contains(text), "{text} is not in {path}: {page}");
        }
    }
    let page = browser.get_in("/", "ja").await.body;
    assert!(page.contains("$2.50 / $20.00") && page.contains("確保 $5.00"), "{page}");
    let red = place.token("red", Role::Viewer, Groups::Only(vec!["red".to_owned()])).await;
    let page = place.log_in(&red).await.get("/").await.body;
    assert!(page.contains("$2.50 of $8.00") && !page.contains("$20.00"), "{page}");
    let blue = place.token("blue", Role::Viewer, Groups::Only(vec!["blue".to_owned()])).await;
    let page = place.log_in(&blue).await.get("/").await.body;
    assert!(!page.contains("h-budgets") && !page.contains("$8.00"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_that_nothing_limits_is_said_to_be_one_and_what_nobody_told_is_counted() {
    let place =
        Place::with(&[("CONDUCTOR__BUDGETS__DAY_USD", "null"), ("CONDUCTOR__BUDGETS__TASK_USD", "3")]).await;
    let browser = place.log_in(&place.admin).await;
    let page = browser.get("/").await.with(200).body;
    assert!(page.contains("No budget limits the day. $0.00 · 0 tokens"), "{page}");
    let mut agent = spender(&place);
    let mut session = agent.connect().await.unwrap();
    let id = place.submit(json!({"prompt": "x", "runner": "claude"})).await;
    let assign = begun(&mut session).await;
    end(&mut session, &assign, End::Succeeded, None).await;
    until(&place, &id, State::Succeeded).await;
    let page = browser.get("/").await.with(200).body;
    assert!(page.contains("No budget limits the day. $3.00 · 1.5k tokens"), "{page}");
    assert!(page.contains("$3.00 of it is counted for runs that did not tell what they cost."), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_each_attempt_used_is_told_and_what_failures_cost_though_the_task_succeeded() {
    let place = Place::new().await;
    let mut agent = spender(&place);
    let mut session = agent.connect().await.unwrap();
    let (id, assign) = second_try(&place, &mut session, json!({"runner": "claude"}), Some(0.75)).await;
    end(&mut session, &assign, End::Succeeded, Some(0.5)).await;
    until(&place, &id, State::Succeeded).await;
    let task = place.control.get(id.parse().unwrap()).await.unwrap();
    let costs: Vec<_> = task.attempts.iter().map(|attempt| attempt.usage.cost_usd).collect();
    assert_eq!((costs, task.usage.cost_usd), (vec![Some(0.75), Some(0.5)], Some(1.25)));

    let browser = place.log_in(&place.admin).await;
    let page = browser.get(&format!("/tasks/{id}")).await.with(200).body;
    let tries = page.split("id=\"tries\"").nth(1).unwrap().split("</ol>").next().unwrap();
    for text in ["#1", "failed", "exit_code", "$0.75", "#2", "succeeded", "$0.50", "1.5k tokens"] {
        assert!(tries.contains(text), "{text} is not in {tries}");
    }
    assert!(page.contains("$1.25 <small>$0.75 on failed attempts</small>"), "{page}");
    let details = browser.get(&format!("/tasks/{id}?tab=details")).await.with(200).body;
    for text in ["<td class=\"r num\">$0.75</td>", "<td class=\"r num\">$0.50</td>", "1,400 in · 100 out"] {
        assert!(details.contains(text), "{text} is not in {details}");
    }
    let overview = browser.get("/").await.with(200).body;
    assert!(overview.contains("$1.25 <small>$0.75 on failed attempts</small>"), "{overview}");
    assert!(overview.contains("aria-label=\"Cost\""), "what was spent over time is drawn: {overview}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_of_the_mock_is_said_to_be_simulated_beside_what_it_used() {
    let place = Place::new().await;
    let mut agent = spender(&place);
    let mut session = agent.connect().await.unwrap();
    let (id, assign) = second_try(&place, &mut session, json!({"runner": "mock"}), None).await;
    end(&mut session, &assign, End::Succeeded, None).await;
    until(&place, &id, State::Succeeded).await;
    let browser = place.log_in(&place.admin).await;
    let page = browser.get(&format!("/tasks/{id}")).await.with(200).body;
    let tries = page.split("id=\"tries\"").nth(1).unwrap().split("</ol>").next().unwrap();
    assert_eq!(tries.matches("class=\"sim\"").count(), 2, "{tries}");
    assert!(tries.contains("1.5k tokens") && !tries.contains('$'), "{tries}");
    assert!(!page.contains("on failed attempts"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_run_told_that_it_used_is_told_of_it_until_its_end_tells_it_better() {
    let place = Place::new().await;
    let mut agent = spender(&place);
    let mut session = agent.connect().await.unwrap();
    let (id, assign) =
        second_try(&place, &mut session, json!({"runner": "claude", "group": "red"}), Some(0.75)).await;
    let mut used = place.control.usage(id.parse().unwrap()).await.unwrap();
    let before = used.next().await.unwrap().unwrap();
    assert_eq!((before.output_tokens, before.cost_usd), (100, Some(0.75)));
    spend(&mut session, &assign, 900, 0.5).await;
    let more = used.next().await.unwrap().unwrap();
    assert_eq!((more.output_tokens, more.cost_usd), (1_000, Some(1.25)));
    let task = place.control.get(id.parse().unwrap()).await.unwrap();
    let costs: Vec<_> = task.attempts.iter().map(|attempt| attempt.usage.cost_usd).collect();
    assert_eq!((costs, task.usage), (vec![Some(0.75), Some(0.5)], more));
    let listed = place.control.list(ListRequest::default()).await.unwrap().items;
    assert_eq!(listed[0].usage, more);
    let all = place.control.usage_of_all().await.unwrap().next().await.unwrap().unwrap();
    let told =
        all.used.iter().map(|used| (used.id.to_string(), used.group.as_str(), used.attempt, used.usage));
    assert_eq!(told.collect::<Vec<_>>(), [(id.clone(), "red", 2, more)]);
    let today = place.control.stats().await.unwrap().today;
    assert_eq!((today.cost_usd, today.running.cost_usd, today.running.output_tokens), (0.75, Some(0.5), 900));
    let blue = ActorView {
        name: "blue".into(),
        role: Role::Viewer,
        groups: Groups::Only(vec!["blue".into()]),
        via: "web".into(),
        address: None,
        attempt: None,
    };
    let blue = place.control.on_behalf_of(blue);
    let hidden = blue.stats().await.unwrap().today;
    assert_eq!(hidden.running, UsageView::default());
    let mut nothing = blue.usage_of_all().await.unwrap();
    assert!(tokio::time::timeout(LOOKS, nothing.next()).await.is_err(), "another group's use is told");

    let browser = place.log_in(&place.admin).await;
    let page = browser.get(&format!("/tasks/{id}")).await.with(200).body;
    assert!(
        page.contains("$1.25 <small>so far</small>") && page.contains("2.4k <small>so far</small>"),
        "{page}"
    );
    let tries = page.split("id=\"tries\"").nth(1).unwrap().split("</ol>").next().unwrap();
    assert_eq!(tries.matches("so far").count(), 1, "only the attempt that runs may use more: {tries}");
    let overview = browser.get("/").await.with(200).body;
    assert!(overview.contains("+ $0.50 so far in what runs"), "{overview}");
    let overview = browser.get_in("/", "ja").await.body;
    assert!(overview.contains("+ $0.50 実行中の分"), "{overview}");

    end(&mut session, &assign, End::Succeeded, Some(0.25)).await;
    until(&place, &id, State::Succeeded).await;
    let task = place.control.get(id.parse().unwrap()).await.unwrap();
    assert_eq!((task.attempts[1].usage.cost_usd, task.usage.cost_usd), (Some(0.25), Some(1.0)));
    let page = browser.get(&format!("/tasks/{id}")).await.with(200).body;
    assert!(!page.contains("so far") && page.contains("$1.00"), "{page}");
    let today = place.control.stats().await.unwrap().today;
    assert_eq!(today.running, UsageView::default());
    eventually(LIMIT, "who follows is told that it is over", async || {
        used.next().await.unwrap().is_none().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_running_tasks_cost_moves_in_the_list_and_on_the_overview_by_itself() {
    let place = Place::new().await;
    let Some(chrome) = Chrome::start("costs", Look::default()).await else { return };
    let mut agent = spender(&place);
    let mut session = agent.connect().await.unwrap();
    let (id, assign) = second_try(&place, &mut session, json!({"runner": "claude"}), Some(0.75)).await;
    chrome.go(&format!("{}/login", place.url)).await;
    chrome.type_into("[name=token]", &format!("{}\u{e007}", place.admin)).await;
    chrome.until("it is logged in", "document.querySelector('#states')").await;
    let cell = format!("document.querySelector('[data-cost=\"{id}\"]').textContent");
    for (path, cents) in [("/tasks", 50), ("/", 90)] {
        chrome.go(&format!("{}{path}", place.url)).await;
        chrome.until("the page is live", "document.querySelector('#live').dataset.state === 'on'").await;
        // The row is not to be loaded anew.
        chrome.run("window.sameView = true; window.fetch = () => { throw new Error('asked'); }").await;
        spend(&mut session, &assign, 900, f64::from(cents) / 100.0).await;
        let cost = format!("${:.2}", 0.75 + f64::from(cents) / 100.0);
        chrome.until("the cell tells the cost", &format!("{cell} === '{cost}'")).await;
        assert_eq!(chrome.run("return window.sameView").await, json!(true), "the view was loaded anew");
    }
    chrome.go(&place.url).await;
    chrome.until("the page is live", "document.querySelector('#live').dataset.state === 'on'").await;
    spend(&mut session, &assign, 900, 1.5).await;
    let sum = "document.querySelector('#today').textContent.includes('+ $1.50 so far')";
    chrome.until("the sum of what runs moves too", sum).await;
    chrome.end(&place.url, &[]).await;
}
