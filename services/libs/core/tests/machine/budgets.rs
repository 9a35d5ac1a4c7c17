//! What tasks may spend.

mod generated;

use std::sync::Arc;

use conductor_core::*;

use crate::world::*;

const USD: u64 = 1_000_000;
const DAY: u64 = 86_400_000;

/// A run of a task, and what it may spend.
type Run = (TaskId, Lease, Limit);

fn usd(dollars: u64) -> Limit {
    Limit { usd_micros: Some(dollars * USD), tokens: None }
}

fn tokens(count: u64) -> Limit {
    Limit { usd_micros: None, tokens: Some(count) }
}

fn rules(task: Limit, day: Limit) -> Budgets {
    let meters = [("claude", Meter::Money), ("mock", Meter::Tokens)];
    let meters = meters.map(|(runner, meter)| (name(runner), meter)).into();
    Budgets { task, day, meters, ..Budgets::default() }
}

/// A world with an agent of many slots.
fn world(budgets: Budgets) -> World {
    let mut world = World::with(Policy { budgets, ..Policy::default() });
    world.hello(1, profile(ADA, "ada", 1, &["claude", "mock", "command"]), Vec::new()).expect("welcome");
    world.say(ADA, AgentSay::Credits(1_000));
    world
}

fn claude(world: &mut World) -> TaskId {
    world.submit_one(|task| task.runner = name("claude"))
}

/// Submits tasks of which the first names a budget.
fn naming(world: &mut World, limit: Limit, tasks: Vec<NewTask>) {
    let budgets = vec![(tasks[0].id, limit)];
    let submit = Submit { budgets, ..submit(tasks) };
    world.must(Command::Submit(submit));
}

fn cost(micros: u64) -> Usage {
    Usage { output_tokens: 10, cost_usd_micros: Some(micros), ..Usage::default() }
}

fn end(world: &mut World, lease: Lease, end: AttemptEnd, usage: Usage) -> Step {
    let report = Box::new(Report { usage, ..Report::default() });
    world.say(ADA, AgentSay::Finished { lease, end, report })
}

/// Assigns what can be; says that it began.
fn begin(world: &mut World) -> Vec<Run> {
    assign(world).0
}

fn assign(world: &mut World) -> (Vec<Run>, Step) {
    let step = world.must(Command::Assign);
    let given = step.effects.iter().filter_map(|effect| match effect {
        Effect::Assign { task, lease, limit, .. } => Some((*task, *lease, *limit)),
        _ => None,
    });
    let given: Vec<_> = given.collect();
    for (_, lease, _) in &given {
        world.say(ADA, AgentSay::Started(*lease));
    }
    (given, step)
}

fn tell(world: &mut World, lease: Lease, micros: u64) {
    let spending = Spending { amount: Amount { usd_micros: micros, tokens: 10 }, usage: Usage::default() };
    world.say(ADA, AgentSay::Spent { lease, spending });
}

/// Submits a task of claude below a running one.
fn below(world: &mut World, (parent, lease, _): Run, own: Option<Limit>) -> Result<TaskId, Rejection> {
    let task = NewTask { runner: name("claude"), ..world.task() };
    let id = task.id;
    let submit = Submit { budgets: own.map(|own| (id, own)).into_iter().collect(), ..submit(vec![task]) };
    world.give(Command::SubmitBelow { parent, lease, submit }).map(|_| id)
}

/// What a step tells a run that it may spend.
fn told_limit(step: &Step, of: Lease) -> Option<Limit> {
    step.effects.iter().find_map(|effect| match effect {
        Effect::SetLimit { lease, limit, .. } if *lease == of => Some(*limit),
        _ => None,
    })
}

fn today(world: &World, group: Option<&str>) -> (Amount, Amount) {
    let group = group.map(name);
    world.machine.spent_today(world.now, group.as_ref())
}

#[test]
fn parallel_tasks_do_not_overshoot_a_day_together() {
    let mut world = world(rules(usd(5), usd(12)));
    let ids: Vec<_> = (0..20).map(|_| claude(&mut world)).collect();
    let given = begin(&mut world);
    assert_eq!(given.len(), 3, "two fit, and the third passes it by no more than its own");
    assert!(given.iter().all(|(_, _, limit)| *limit == usd(5)));
    let waits = *ids.iter().find(|id| world.is_queued(**id)).unwrap();
    let reason = world.machine.pending_reason(waits).unwrap();
    assert!(
        reason.contains("today's budget of 12.00 USD") && reason.contains("15.00 USD set aside"),
        "{reason}"
    );
    let Some(Pending::Queued(Obstacle::Budget(short))) = world.machine.pending(waits) else {
        panic!("{reason}")
    };
    assert_eq!((short.purse, short.held), (Purse::Day, 15 * USD));
    // What was not spent is there for the others.
    end(&mut world, given[0].1, AttemptEnd::Succeeded, cost(USD));
    assert_eq!(today(&world, None).0.usd_micros, USD);
    end(&mut world, given[1].1, AttemptEnd::Succeeded, cost(USD));
    assert_eq!(begin(&mut world).len(), 1);
}

#[test]
fn what_waits_for_a_day_goes_on_at_midnight() {
    let midnight = Wall(1_700_000_000_000 + 60_000);
    let midnights = [Wall(midnight.0 - 86_400_000), midnight, Wall(midnight.0 + 80_000_000)];
    let mut world = world(Budgets { midnights: Arc::new(midnights), ..rules(usd(5), usd(5)) });
    let (first, second) = (claude(&mut world), claude(&mut world));
    let given = begin(&mut world);
    assert_eq!(given[0].0, first);
    end(&mut world, given[0].1, AttemptEnd::Succeeded, cost(5 * USD));
    assert!(begin(&mut world).is_empty());
    assert_eq!(world.machine.next_deadline().wall, Some(midnight));
    world.pass(60_000);
    assert_eq!(begin(&mut world)[0].0, second);
    assert_eq!(today(&world, None).0, Amount::default());
}

#[test]
fn a_group_has_a_budget_of_its_own() {
    let groups = [(name("red"), usd(1))].into();
    let mut world = world(Budgets { groups, ..rules(usd(5), usd(50)) });
    for _ in 0..2 {
        world.submit_one(|task| (task.runner, task.group) = (name("claude"), name("red")));
    }
    let other = claude(&mut world);
    let given = begin(&mut world);
    let limits: Vec<_> = given.iter().map(|(_, _, limit)| *limit).collect();
    assert_eq!(limits.len(), 2, "one of red and one of another group");
    assert!(
        limits.contains(&usd(1)) && limits.contains(&usd(5)),
        "no run may spend more than the group's day"
    );
    assert!(given.iter().any(|(id, _, _)| *id == other));
}

#[test]
fn attempts_of_a_task_share_its_budget() {
    let mut world = world(rules(usd(5), Limit::default()));
    let id = world.submit_one(|task| (task.runner, task.max_attempts) = (name("claude"), 9));
    let first = begin(&mut world)[0];
    end(&mut world, first.1, failure(FailureReason::VerifyFailed), cost(3 * USD));
    world.pass(10_000);
    let second = begin(&mut world)[0];
    assert_eq!((second.0, second.2), (id, usd(2)), "the second may spend what the first left");
    end(&mut world, second.1, failure(FailureReason::VerifyFailed), cost(2 * USD));
    assert_eq!(world.failure_of(id), FailureReason::Budget);
}

#[test]
fn what_nobody_knows_counts_as_all_that_was_set_aside() {
    let mut world = world(rules(usd(5), usd(50)));
    let spent = |end_as: AttemptEnd, usage: Usage, world: &mut World| {
        let before = today(world, None).0.usd_micros;
        claude(world);
        let given = begin(world);
        end(world, given.last().unwrap().1, end_as, usage);
        today(world, None).0.usd_micros - before
    };
    let unpriced = Usage { output_tokens: 10, ..Usage::default() };
    assert_eq!(spent(AttemptEnd::Succeeded, unpriced, &mut world), 5 * USD, "a price is not known");
    assert_eq!(spent(AttemptEnd::Succeeded, Usage::default(), &mut world), 5 * USD, "no use is known");
    assert_eq!(spent(failure(FailureReason::Timeout), Usage::default(), &mut world), 5 * USD);
    assert_eq!(spent(failure(FailureReason::Auth), Usage::default(), &mut world), 0, "no model listened");
    assert_eq!(spent(AttemptEnd::Cancelled, cost(7), &mut world), 7);
    let limited = AttemptEnd::Limited { rest_ms: 1_000_000, message: "slow".into() };
    assert_eq!(spent(limited, Usage::default(), &mut world), 0);
    let crashed = AttemptEnd::Crashed("gone".into());
    assert_eq!(spent(crashed, Usage::default(), &mut world), 5 * USD, "what a lost run spent nobody knows");
}

#[test]
fn an_attempt_of_which_nothing_is_known_leaves_the_others_their_share() {
    let mut world = world(rules(usd(6), Limit::default()));
    let id = world.submit_one(|task| (task.runner, task.max_attempts) = (name("claude"), 2));
    let first = begin(&mut world)[0].1;
    end(&mut world, first, failure(FailureReason::VerifyFailed), Usage::default());
    world.pass(10_000);
    let second = begin(&mut world)[0];
    assert_eq!((second.0, second.2), (id, usd(3)));
}

#[test]
fn a_crash_does_not_cost_a_task_its_budget() {
    let mut world = world(rules(usd(5), Limit::default()));
    let id = claude(&mut world);
    let lease = begin(&mut world)[0].1;
    end(&mut world, lease, AttemptEnd::Crashed("gone".into()), Usage::default());
    let again = begin(&mut world)[0];
    assert_eq!((again.0, again.2), (id, usd(5)));
}

#[test]
fn subtasks_share_the_budget_that_their_parent_names() {
    let mut world = world(rules(usd(5), Limit::default()));
    let above = NewTask { work: Work::Subtasks, ..world.task() };
    let parent = above.id;
    let mut tasks = vec![above];
    for _ in 0..4 {
        tasks.push(NewTask { runner: name("claude"), parent: Some(parent), ..world.task() });
    }
    naming(&mut world, usd(6), tasks);
    let given = begin(&mut world);
    assert_eq!(given.iter().map(|(_, _, limit)| *limit).collect::<Vec<_>>(), [usd(5), usd(1)]);
    end(&mut world, given[0].1, AttemptEnd::Succeeded, cost(5 * USD));
    let used_up = end(&mut world, given[1].1, AttemptEnd::Succeeded, cost(USD));
    let failed = used_up.events.iter().filter(|event| {
        matches!(&event.kind, EventKind::TaskFinished { outcome: Outcome::Failed(failure), .. } if failure.reason == FailureReason::Budget)
    });
    assert_eq!(failed.count(), 2, "what would wait for ever ends: {used_up:?}");
    assert_eq!(world.failure_of(parent), FailureReason::Dependency);
}

#[test]
fn what_a_running_task_submits_spends_of_what_is_set_aside_for_it() {
    let mut world = world(rules(usd(5), usd(5)));
    claude(&mut world);
    let parent = begin(&mut world)[0];
    let child = below(&mut world, parent, Some(usd(2))).unwrap();
    let (given, step) = assign(&mut world);
    assert_eq!((given[0].0, given[0].2), (child, usd(2)), "the day is full, but the parent's part is there");
    assert_eq!(told_limit(&step, parent.1), Some(usd(3)), "the parent may spend the rest alone");
    assert_eq!(today(&world, None).1.usd_micros, 5 * USD, "nothing is set aside twice");
    let step = end(&mut world, given[0].1, AttemptEnd::Succeeded, cost(USD));
    assert_eq!(told_limit(&step, parent.1), Some(usd(4)), "what was not spent is the parent's again");
    assert_eq!(today(&world, None).1.usd_micros, 4 * USD);
    end(&mut world, parent.1, AttemptEnd::Succeeded, cost(4 * USD));
    assert_eq!(today(&world, None), (Amount { usd_micros: 5 * USD, tokens: 20 }, Amount::default()));
}

#[test]
fn a_child_of_another_group_counts_against_the_day_of_its_own() {
    let groups = [(name("red"), usd(1))].into();
    let mut world = world(Budgets { groups, ..rules(usd(8), usd(8)) });
    claude(&mut world);
    let (parent, lease, _) = begin(&mut world)[0];
    for _ in 0..2 {
        let task = NewTask { runner: name("claude"), group: name("red"), ..world.task() };
        let submit = Submit { budgets: vec![(task.id, usd(1))], ..submit(vec![task]) };
        world.must(Command::SubmitBelow { parent, lease, submit });
    }
    tell(&mut world, lease, 0);
    let first = begin(&mut world);
    assert_eq!((first.len(), first[0].2), (1, usd(1)), "the other waits for the day of the group");
    let held = |world: &World, group| today(world, group).1.usd_micros;
    assert_eq!(
        (held(&world, None), held(&world, Some("red")), held(&world, Some("default"))),
        (8 * USD, USD, 8 * USD)
    );
    end(&mut world, first[0].1, AttemptEnd::Succeeded, cost(USD / 2));
    assert_eq!(today(&world, Some("red")), (Amount { usd_micros: USD / 2, tokens: 10 }, Amount::default()));
    assert_eq!(begin(&mut world).len(), 1, "half of the day is left");
    end(&mut world, lease, AttemptEnd::Succeeded, cost(USD));
    assert_eq!((held(&world, None), held(&world, Some("red")), held(&world, Some("default"))), (USD, USD, 0));
}

#[test]
fn what_is_set_aside_for_a_run_that_is_parted_from_the_one_above_it_counts_by_itself() {
    let mut world = world(rules(usd(8), usd(8)));
    claude(&mut world);
    let top = begin(&mut world)[0];
    let command = NewTask { runner: name("command"), ..world.task() };
    let between = command.id;
    world.must(Command::SubmitBelow { parent: top.0, lease: top.1, submit: submit(vec![command]) });
    let between = (between, begin(&mut world)[0].1, Limit::default());
    tell(&mut world, top.1, 0);
    below(&mut world, between, Some(usd(2))).unwrap();
    assert_eq!(begin(&mut world)[0].2, usd(2));
    let held = |world: &World| today(world, None).1.usd_micros;
    assert_eq!(held(&world), 8 * USD, "it is a part of what is set aside for the run above");
    end(&mut world, between.1, AttemptEnd::Succeeded, Usage::default());
    assert_eq!(held(&world), 8 * USD, "nothing more is set aside when the task between them is over");
    end(&mut world, top.1, AttemptEnd::Succeeded, cost(USD));
    assert_eq!(held(&world), 2 * USD, "the run below goes on");
}

#[test]
fn a_running_task_keeps_what_it_spent_and_half_of_the_rest_beside_those_below_it() {
    let mut world = world(rules(usd(8), Limit::default()));
    claude(&mut world);
    let parent = begin(&mut world)[0];
    tell(&mut world, parent.1, 4 * USD);
    for _ in 0..3 {
        below(&mut world, parent, None).unwrap();
    }
    let (given, step) = assign(&mut world);
    assert_eq!(
        given.iter().map(|(_, _, limit)| *limit).collect::<Vec<_>>(),
        [usd(2)],
        "a quarter, and no crumbs"
    );
    assert_eq!(told_limit(&step, parent.1), Some(usd(6)));
    let step = end(&mut world, given[0].1, AttemptEnd::Succeeded, cost(USD));
    assert_eq!(told_limit(&step, parent.1), Some(usd(7)));
    assert_eq!(begin(&mut world)[0].2.usd_micros, Some(3 * USD / 2), "what is free is three dollars now");
}

#[test]
fn after_a_start_nothing_of_a_run_is_promised_before_it_told_what_it_spent() {
    let mut world = world(rules(usd(8), Limit::default()));
    claude(&mut world);
    let parent = begin(&mut world)[0];
    below(&mut world, parent, None).unwrap();
    world.restart();
    world.hello(1, profile(ADA, "ada", 1, &["claude"]), vec![parent.1]).expect("welcome");
    world.say(ADA, AgentSay::Credits(10));
    assert!(begin(&mut world).is_empty());
    tell(&mut world, parent.1, USD);
    assert_eq!(begin(&mut world)[0].2, usd(2));
}

#[test]
fn what_a_run_used_is_known_while_it_runs_and_only_from_who_holds_it() {
    // Nothing is set aside for it: no budget limits it.
    let mut world = world(Budgets::default());
    let task = world.submit_one(|task| task.runner = name("mock"));
    let (_, lease, _) = begin(&mut world)[0];
    assert_eq!(world.machine.used(task), None);
    let usage = cost(7);
    let told = |lease| AgentSay::Spent { lease, spending: Spending { amount: Amount::default(), usage } };
    let step = world.say(ADA, told(lease));
    assert!(step.events.is_empty(), "nothing of it is in the log");
    world.say(ADA, told(Lease { number: lease.number + 1, ..lease }));
    assert_eq!(world.machine.used(task), Some(usage));
    assert_eq!(world.machine.used_by_all(|group| group.as_str() == "default"), usage);
    assert_eq!(world.machine.used_by_all(|_| false), Usage::default());
    end(&mut world, lease, AttemptEnd::Succeeded, cost(9));
    world.say(ADA, told(lease));
    assert_eq!((world.machine.used(task), world.machine.used_by_all(|_| true)), (None, Usage::default()));
}

#[test]
fn an_agent_that_was_away_hears_again_what_its_runs_may_spend() {
    let mut world = world(rules(usd(8), Limit::default()));
    claude(&mut world);
    let parent = begin(&mut world)[0];
    below(&mut world, parent, None).unwrap();
    let child = begin(&mut world)[0];
    let held = vec![parent.1, child.1];
    let step = world.hello(2, profile(ADA, "ada", 1, &["claude"]), held).expect("welcome");
    assert_eq!([parent, child].map(|run| told_limit(&step, run.1)), [Some(usd(6)), Some(usd(2))]);
}

#[test]
fn nothing_that_spends_is_taken_below_a_task_whose_budget_is_used_up() {
    let mut world = world(rules(usd(5), Limit::default()));
    claude(&mut world);
    let parent = begin(&mut world)[0];
    tell(&mut world, parent.1, 5 * USD - 1);
    below(&mut world, parent, None).unwrap();
    tell(&mut world, parent.1, 5 * USD);
    let refused = below(&mut world, parent, None).unwrap_err();
    assert_eq!(refused, Rejection::BudgetUsed { task: parent.0, budget: "5.00 USD".into() });
    let command = NewTask { runner: name("command"), ..world.task() };
    let (parent, lease, _) = parent;
    world.must(Command::SubmitBelow { parent, lease, submit: submit(vec![command]) });
}

#[test]
fn a_task_without_a_limit_of_its_own_may_spend_a_tenth_of_the_day() {
    let mut world = world(rules(Limit::default(), tokens(1_000)));
    world.submit_one(|_| {});
    assert_eq!(begin(&mut world)[0].2, tokens(100));
}

#[test]
fn what_spends_nothing_runs_whatever_is_spent() {
    let mut world = world(rules(usd(5), usd(5)));
    claude(&mut world);
    let lease = begin(&mut world)[0].1;
    end(&mut world, lease, AttemptEnd::Succeeded, cost(9 * USD));
    claude(&mut world);
    let command = world.submit_one(|task| task.runner = name("command"));
    let mock = world.submit_one(|_| {});
    let given = begin(&mut world);
    let ids: Vec<_> = given.iter().map(|(id, _, _)| *id).collect();
    assert_eq!(ids, [command, mock]);
    assert!(given.iter().all(|(_, _, limit)| limit.is_none()));
}

#[test]
fn somebody_is_told_once_a_day_that_most_of_a_budget_is_spent() {
    let rule = NotifyRule { name: name("ops"), on: Box::new([Notice::BudgetNear]), group: None };
    let budgets = Budgets { groups: [(name("red"), usd(2))].into(), ..rules(usd(1), usd(10)) };
    let mut world = World::with(Policy { budgets, notify: vec![rule], ..Policy::default() });
    world.hello(1, profile(ADA, "ada", 1, &["claude"]), Vec::new()).expect("welcome");
    world.say(ADA, AgentSay::Credits(1_000));
    let mut told = Vec::new();
    for number in 0..10 {
        let group = if number < 2 { "red" } else { "blue" };
        world.submit_one(|task| (task.runner, task.group) = (name("claude"), name(group)));
        let lease = begin(&mut world)[0].1;
        let step = end(&mut world, lease, AttemptEnd::Succeeded, cost(USD));
        told.extend(step.events.into_iter().filter_map(|event| match event.kind {
            EventKind::DeliveryDue { notice: Notice::BudgetNear, detail, .. } => Some((number, detail)),
            _ => None,
        }));
    }
    let [(1, red), (7, all)] = &told[..] else { panic!("{told:?}") };
    assert_eq!(&**red, "2.00 USD of today's budget of the group red of 2.00 USD are spent");
    assert_eq!(&**all, "8.00 USD of today's budget of 10.00 USD are spent");
    world.pass(DAY);
    world.submit_one(|task| task.runner = name("claude"));
    assert_eq!(begin(&mut world).len(), 1);
}

#[test]
fn a_run_that_does_not_tell_what_it_spent_did_not_spend_what_goes_on_below_it() {
    let groups = [(name("red"), usd(20))].into();
    let mut world = world(Budgets { groups, ..rules(usd(6), usd(20)) });
    let task = NewTask { runner: name("claude"), group: name("red"), ..world.task() };
    world.must(Command::Submit(submit(vec![task])));
    let parent = begin(&mut world)[0];
    tell(&mut world, parent.1, 0);
    let child = NewTask { runner: name("claude"), group: name("red"), ..world.task() };
    let own = vec![(child.id, usd(3))];
    let submit = Submit { budgets: own, ..submit(vec![child]) };
    world.must(Command::SubmitBelow { parent: parent.0, lease: parent.1, submit });
    let (given, _) = assign(&mut world);
    assert_eq!(given[0].2, usd(3), "the half of what was set aside");
    end(&mut world, parent.1, AttemptEnd::Succeeded, Usage::default());
    for group in [None, Some("red")] {
        let (spent, held) = today(&world, group);
        assert_eq!((spent.usd_micros, held.usd_micros), (3 * USD, 3 * USD), "{group:?}");
    }
    end(&mut world, given[0].1, AttemptEnd::Succeeded, Usage::default());
    assert_eq!(today(&world, Some("red")).0.usd_micros, 6 * USD, "all that was set aside, once");
}
