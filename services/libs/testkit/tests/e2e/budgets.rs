//! Many tasks at once against one budget, with the real programs and a runner that says what it spends.

use std::time::Duration;

use conductor_client::Control;
use conductor_core::FailureReason;
use conductor_protocol::task::{PendingCode, State};
use conductor_testkit::world::{MARK, World, eventually, submit_one};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(90);

/// Says, as Claude Code does, that it used 1,000 tokens for each line of its prompt, and at the end that each cost a cent.
const SPENDER: &str = r#"
count=0
say() {
  count=$((count + 1))
  printf '{"type":"assistant","message":{"id":"m%s","content":[{"type":"text","text":"one"}],' $count
  printf '"usage":{"input_tokens":0,"output_tokens":1000}}}\n'
}
printf '{"type":"system","subtype":"init","session_id":"s","model":"m"}\n'
while read -r line || [ -n "$line" ]; do
  while [ "$line" = forever ]; do say; sleep 0.05; done
  say
done
printf '{"type":"result","subtype":"success","is_error":false,"result":"done","num_turns":%s,' $count
printf '"total_cost_usd":0.0%s,"usage":{"input_tokens":0,"output_tokens":%s000}}\n' $count $count
"#;

fn world(budgets: &Value) -> World {
    let world = World::new().with("agent.slots", 20);
    let script = world.home().config.join("spender");
    std::fs::create_dir_all(&world.home().config).unwrap();
    std::fs::write(&script, SPENDER).unwrap();
    let spender = json!({
        "command": ["sh", script],
        "output": "claude-stream-json",
        "prices": {"*": {"input": 0, "cached_input": 0, "output": 10}},
    });
    let config = json!({"sandbox": {"mode": "off"}, "runners": {"spender": spender}, "budgets": budgets});
    std::fs::write(world.home().config_file(), config.to_string()).unwrap();
    world
}

#[tokio::test]
async fn twenty_tasks_at_once_do_not_pass_a_day_by_more_than_one_may_spend() {
    let world = world(&json!({"task_usd": 0.03, "day_usd": 0.1}));
    let _programs = [world.orchestrator().await, world.agent("one")];
    let control = world.connect().await;
    let mut ids = Vec::new();
    for _ in 0..20 {
        let body = json!({"prompt": "one\ntwo", "runner": "spender", "env": {MARK: world.mark()}});
        ids.push(submit_one(&control, &body, world.mark()).await);
    }
    let budget = eventually(LIMIT, "nothing runs, and the day is spent", async || {
        let queue = control.queue().await.unwrap();
        let running = queue.by_state.iter().find(|(state, _)| *state == State::Running).unwrap().1;
        let budget = queue.budgets[0].clone();
        (running == 0 && budget.reserved_usd == 0.0 && budget.spent_usd >= 0.1).then_some(budget)
    })
    .await;
    assert!(budget.spent_usd < 0.1 + 0.03, "{budget:?}");
    let mut views = Vec::new();
    for id in &ids {
        views.push(control.get(*id).await.unwrap());
    }
    let (over, waiting): (Vec<_>, Vec<_>) =
        views.into_iter().partition(|view| view.state == State::Succeeded);
    let cost: f64 = over.iter().filter_map(|view| view.usage.cost_usd).sum();
    assert!((cost - budget.spent_usd).abs() < 1e-6, "{cost} {budget:?}");
    assert_eq!(over.len(), 5, "each cost two cents");
    assert!(waiting.iter().all(|view| view.pending.as_ref().unwrap().code == PendingCode::DayBudget));
}

#[tokio::test]
async fn a_runaway_is_ended_while_it_goes_on() {
    let world = world(&json!({"task_usd": 0.05}));
    let _programs = [world.orchestrator().await, world.agent("one")];
    let control = world.connect().await;
    let forever = |more: Value| {
        let mut body = json!({"prompt": "forever", "runner": "spender", "env": {MARK: world.mark()}});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let all = [
        (json!({}), "0.05 US dollars"),
        (json!({"budget_tokens": 3_000}), "3000 tokens"),
        (json!({"budget_usd": 0.02}), "0.02 US dollars"),
    ];
    let mut ids = Vec::new();
    for (more, said) in all {
        ids.push((submit_one(&control, &forever(more), world.mark()).await, said));
    }
    for (id, said) in ids {
        let view = control.wait(id, u64::try_from(LIMIT.as_millis()).unwrap()).await.unwrap();
        let failure = view.failure.as_ref().unwrap_or_else(|| panic!("{view:#?}"));
        assert_eq!(failure.reason, FailureReason::Budget, "{failure:?}");
        assert!(failure.message.contains(said), "{failure:?}");
        assert!(view.usage.cost_usd.is_some_and(|cost| cost > 0.0 && cost < 0.1), "{:?}", view.usage);
    }
    assert!(world.commands().is_empty(), "nothing of them is left");
}

#[tokio::test]
async fn the_mock_uses_tokens_of_its_budget() {
    let world = world(&json!({"day_tokens": 1_000, "task_tokens": 100}));
    let _programs = [world.orchestrator().await, world.agent("one")];
    let control = world.connect().await;
    let mut views = Vec::new();
    for prompt in ["use 99 tokens", "use 60 tokens; use 60 tokens; print never"] {
        let body = json!({"prompt": prompt, "runner": "mock"});
        let id = submit_one(&control, &body, world.mark()).await;
        views.push(control.wait(id, u64::try_from(LIMIT.as_millis()).unwrap()).await.unwrap());
    }
    assert_eq!(views[0].state, State::Succeeded, "{:#?}", views[0]);
    assert_eq!(views[1].failure.as_ref().unwrap().reason, FailureReason::Budget);
    assert_eq!(control.queue().await.unwrap().budgets[0].spent_tokens, 219);
}

#[tokio::test]
async fn what_a_run_uses_is_told_while_it_runs_without_an_event_and_again_after_a_restart() {
    let world = world(&json!({"task_usd": null, "day_usd": null}));
    let mut orchestrator = world.orchestrator().await;
    let _agent = world.agent("one");
    let control = world.connect().await;
    let body = json!({"prompt": "forever", "runner": "spender", "env": {MARK: world.mark()}});
    let id = submit_one(&control, &body, world.mark()).await;
    let used_beyond = async |control: &Control, tokens: u64| {
        eventually(LIMIT, "it tells that it used more", async || {
            let view = control.get(id).await.unwrap();
            assert!(!view.state.is_terminal(), "{view:#?}");
            (view.usage.output_tokens > tokens).then_some(view)
        })
        .await
    };
    let first = used_beyond(&control, 0).await;
    let [first_usage, second_usage] =
        [first.usage, used_beyond(&control, first.usage.output_tokens).await.usage];
    assert!(second_usage.cost_usd > first_usage.cost_usd, "{first_usage:?} {second_usage:?}");
    let second = control.get(id).await.unwrap();
    assert_eq!(second.attempts[0].usage, second.usage);
    assert_eq!(second.seq, first.seq, "nothing of it is in the log");
    drop(control);
    orchestrator.kill();
    orchestrator = world.orchestrator().await;
    let control = world.connect().await;
    used_beyond(&control, second.usage.output_tokens).await;
    control.cancel(id, None).await.unwrap();
    let over = control.wait(id, u64::try_from(LIMIT.as_millis()).unwrap()).await.unwrap();
    assert!(
        over.state == State::Cancelled && over.usage.output_tokens > second.usage.output_tokens,
        "{over:#?}"
    );
    drop(orchestrator);
}
