//! What a queued task costs in memory. Alone in its program, because it reads the memory of the whole process.
#![cfg(target_os = "linux")]

use std::sync::Arc;

use conductor_core::{Actor, Command, Machine, Name, NewTask, Now, Policy, Role, State, Submit, TaskId};

fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

fn task(number: u128) -> NewTask {
    NewTask { body_bytes: 120, ..NewTask::plain(TaskId(number), name("mock")) }
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
        let submit = Submit::of(vec![task(number)], by.clone());
        machine.handle(Now::default(), Command::Submit(submit)).unwrap();
    }
    let each = (resident_bytes() - before) / machine.state().len();
    assert!((100..=500).contains(&each), "{each} bytes a task");
}
