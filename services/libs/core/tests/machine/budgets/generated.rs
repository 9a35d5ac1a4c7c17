//! Generated sequences of what happens to tasks that spend.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// Something that happens to tasks that spend.
#[derive(Debug, Clone)]
enum Action {
    Submit { runner: bool, own: Option<u64>, attempts: u16, parent: Option<u8>, group: bool },
    Assign,
    Tell { run: u8, share: u8 },
    End { run: u8, end: u8, share: u8, known: bool },
    Pass(u32),
    Restart,
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        4 => (prop::bool::weighted(0.9), prop::option::weighted(0.5, 1..9u64), 1..4u16,
              prop::option::weighted(0.4, any::<u8>()), any::<bool>())
            .prop_map(|(runner, own, attempts, parent, group)| Action::Submit { runner, own, attempts, parent, group }),
        4 => Just(Action::Assign),
        2 => (any::<u8>(), 0..=100u8).prop_map(|(run, share)| Action::Tell { run, share }),
        5 => (any::<u8>(), any::<u8>(), 0..=100u8, prop::bool::weighted(0.8))
            .prop_map(|(run, end, share, known)| Action::End { run, end, share, known }),
        2 => (0..20_000u32).prop_map(Action::Pass),
        1 => Just(Action::Restart),
    ]
}

/// What is known that a task and all below it spent, and what they may.
#[derive(Debug, Default)]
struct Known(BTreeMap<TaskId, (Option<TaskId>, u64, u64)>);

impl Known {
    fn task(&mut self, id: TaskId, parent: Option<TaskId>, limit: u64) {
        self.0.insert(id, (parent, 0, limit));
    }

    /// Counts for the tasks above one as long as they live.
    fn spend(&mut self, world: &World, task: TaskId, micros: u64) {
        let mut next = Some(task).filter(|id| world.machine.state().contains(*id));
        while let Some((parent, spent, limit)) = next.and_then(|id| self.0.get_mut(&id)) {
            *spent += micros;
            assert!(*spent <= *limit, "{spent} of {limit}");
            next = parent.filter(|id| world.machine.state().contains(*id));
        }
    }
}

/// Lets runs know what they may spend by now.
fn hear(step: &Step, runs: &mut [Run]) {
    for effect in &step.effects {
        if let Effect::SetLimit { lease, limit, .. } = effect
            && let Some(run) = runs.iter_mut().find(|(_, other, _)| other == lease)
        {
            run.2 = *limit;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// Runs that keep to their limits pass no task's budget, and no day's by more than what one of them may spend. The world checks after
    /// every step that the log replays to the same state, and that a snapshot holds it.
    #[test]
    fn no_task_is_passed_and_no_day_by_more_than_one_run_may_spend(actions in prop::collection::vec(action(), 1..80)) {
        let groups = [(name("red"), usd(7))].into();
        let mut world = world(Budgets { groups, ..rules(usd(3), usd(11)) });
        let (mut tasks, mut runs): (Vec<TaskId>, Vec<Run>) = (Vec::new(), Vec::new());
        let mut accounts = Known::default();
        for action in actions {
            match action {
                Action::Submit { runner, own, attempts, parent, group } => {
                    let live: Vec<_> = tasks.iter().copied().filter(|id| world.machine.state().contains(*id)).collect();
                    let parent = parent.filter(|_| !live.is_empty()).map(|number| live[usize::from(number) % live.len()]);
                    let lease = parent.and_then(|parent| match world.machine.state().task(parent)?.stage {
                        StageImage::Running(run) => Some(run.lease),
                        _ => None,
                    });
                    let mut task = world.task();
                    task.runner = name(if runner { "claude" } else { "command" });
                    task.group = name(if group { "red" } else { "blue" });
                    (task.max_attempts, task.parent) = (attempts, parent);
                    let id = task.id;
                    let submit = Submit { budgets: own.map(|own| (id, usd(own))).into_iter().collect(), ..submit(vec![task]) };
                    let command = match parent.zip(lease) {
                        Some((parent, lease)) => Command::SubmitBelow { parent, lease, submit },
                        None => Command::Submit(submit),
                    };
                    if world.give(command).is_ok() {
                        accounts.task(id, parent, own.unwrap_or(3) * USD);
                        tasks.push(id);
                    }
                }
                Action::Assign => {
                    let (given, step) = assign(&mut world);
                    runs.extend(given);
                    hear(&step, &mut runs);
                }
                Action::Tell { run, share } => {
                    if runs.is_empty() {
                        continue;
                    }
                    let (_, lease, limit) = runs[usize::from(run) % runs.len()];
                    tell(&mut world, lease, limit.usd_micros.unwrap_or(0) * u64::from(share) / 100);
                }
                Action::End { run, end: how, share, known } => {
                    if runs.is_empty() {
                        continue;
                    }
                    let (task, lease, limit) = runs.remove(usize::from(run) % runs.len());
                    let end_as = match how % 5 {
                        0 | 1 => AttemptEnd::Succeeded,
                        2 => failure(FailureReason::VerifyFailed),
                        3 => AttemptEnd::Crashed("gone".into()),
                        _ => AttemptEnd::Cancelled,
                    };
                    let spent = limit.usd_micros.unwrap_or(0) * u64::from(share) / 100;
                    let usage = if known { cost(spent) } else { Usage::default() };
                    accounts.spend(&world, task, if known { spent } else { 0 });
                    let step = end(&mut world, lease, end_as, usage);
                    hear(&step, &mut runs);
                }
                Action::Pass(ms) => {
                    world.pass(u64::from(ms));
                    let state = world.machine.state();
                    let held: Vec<_> = state.leases(ADA).map(|(lease, _)| lease).collect();
                    runs.retain(|(_, lease, _)| held.contains(lease));
                    world.say(ADA, AgentSay::Heartbeat);
                }
                Action::Restart => {
                    world.restart();
                    world.hello(1, profile(ADA, "ada", 1, &["claude", "mock", "command"]), runs.iter().map(|(_, lease, _)| *lease).collect()).expect("welcome");
                    world.say(ADA, AgentSay::Credits(1_000));
                }
            }
            for (group, limit, unit) in [(None, 11, 9), (Some("red"), 7, 7)] {
                let (spent, held) = today(&world, group);
                let all = spent.usd_micros + held.usd_micros;
                prop_assert!(all <= (limit + unit) * USD, "{group:?}: {spent:?} {held:?}");
            }
        }
    }
}
