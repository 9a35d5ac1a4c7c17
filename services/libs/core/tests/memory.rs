//! What a queued task costs in memory. Alone in its program, because it reads the memory of the whole process.
#![cfg(target_os = "linux")]

use std::sync::Arc;

use conductor_core::{
    Actor, Command, Machine, Name, NewTask, Now, OnDependencyFailure, Policy, Priority, Role, State, Submit,
    TaskId, Work,
};

fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

fn task(number: u128) -> NewTask {
    NewTask {
        id: TaskId(number),
        work: Work::Run,
        runner: name("mock"),
        name: None,
        task_type: name("generic"),
        group: name("default"),
        priority: Priority::default(),
        timeout_ms: 1_800_000,
        queue_timeout_ms: None,
        max_attempts: 1,
        backoff_ms: 5_000,
        body_bytes: 120,
        requires: Box::default(),
        labels: Box::default(),
        depends_on: Box::default(),
        on_dependency_failure: OnDependencyFailure::Cancel,
        run_at: None,
        parent: None,
        retry_of: None,
        continues: None,
        schedule: None,
    }
}

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux tells it");
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).expect("a count of pages") * 4_096
}

/// The number of tasks lies just beyond a doubling of the map, which is the worst.
#[test]
fn a_queued_task_costs_at_most_500_bytes() {
    let by = Arc::new(Actor { name: name("me"), role: Role::Admin, via: name("test"), address: None });
    let mut machine = Machine::new(Policy::default(), State::default(), Now::default());
    let before = resident_bytes();
    for number in 1..=120_000 {
        let submit = Submit {
            tasks: vec![task(number)],
            key: None,
            settled: Vec::new(),
            webhooks: Vec::new(),
            secrets: Vec::new(),
            budgets: Vec::new(),
            by: by.clone(),
        };
        machine.handle(Now::default(), Command::Submit(submit)).unwrap();
    }
    let each = (resident_bytes() - before) / machine.state().len();
    assert!((100..=500).contains(&each), "{each} bytes a task");
}
