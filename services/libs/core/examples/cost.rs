//! Prints what the machine costs: bytes per queued task, and time per submit, drained task, snapshot and restore.
//!
//! `cargo run --release -p conductor-core --example cost -- 1000000`

use std::sync::Arc;
use std::time::Duration;

use conductor_core::*;

const AGENTS: u128 = 2;
const SLOTS: u32 = 64;

fn main() {
    let count: usize = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(1_000_000);
    let mut now = Now { mono: Mono(0), wall: Wall(1_700_000_000_000) };
    let mut machine = Machine::new(Policy::default(), State::default(), now);
    give(&mut machine, now, Command::Begin { incarnation: Incarnation(7) });
    let mut ids = Ids(1);

    let before = resident_bytes();
    let took = timed(|| {
        for _ in 0..count / 100 {
            now.wall.0 += 1;
            let tasks = (0..100).map(|_| task(&mut ids)).collect();
            give(&mut machine, now, submit(tasks));
        }
    });
    println!("submit, 100 a command   {:>9.0} ns a task", per(took, count));
    let bytes = (resident_bytes() - before) as f64 / count as f64;
    println!("queued                  {bytes:>9.0} bytes a task, with {count} queued");

    let singles = count / 10;
    let took = timed(|| {
        for _ in 0..singles {
            now.wall.0 += 1;
            let tasks = vec![task(&mut ids)];
            give(&mut machine, now, submit(tasks));
        }
    });
    println!("submit, 1 a command     {:>9.0} ns a task", per(took, singles));

    let mut parts = Vec::new();
    let took = timed(|| parts = machine.state().parts().collect());
    println!("parts                   {:>9.0} ms", took.as_secs_f64() * 1e3);
    let mut restored = State::default();
    let took = timed(|| restored = State::restore(std::mem::take(&mut parts)).expect("the parts fit"));
    println!("restore                 {:>9.0} ms", took.as_secs_f64() * 1e3);
    let took = timed(|| machine = Machine::new(Policy::default(), std::mem::take(&mut restored), now));
    println!("begin                   {:>9.0} ms", took.as_secs_f64() * 1e3);

    for number in 1..=AGENTS {
        let agent = AgentId(number);
        let hello = AgentSay::Hello { profile: Box::new(profile(agent)), held: Vec::new() };
        give(&mut machine, now, Command::Agent { agent, session: 1, say: hello });
        give(&mut machine, now, Command::Agent { agent, session: 1, say: AgentSay::Credits(SLOTS) });
    }
    let mut drained = 0;
    let took = timed(|| drained = drain(&mut machine, &mut now));
    println!("drain                   {:>9.0} ns a task, {drained} tasks", per(took, drained));
    assert!(machine.state().is_empty());

    for groups in [100, 10_000] {
        for number in 0..count / 10 {
            let mut task = task(&mut ids);
            task.group = name(&format!("group-{}", number % groups));
            give(&mut machine, now, submit(vec![task]));
        }
        for number in 1..=AGENTS {
            let say = AgentSay::Credits(SLOTS);
            give(&mut machine, now, Command::Agent { agent: AgentId(number), session: 1, say });
        }
        let took = timed(|| drained = drain(&mut machine, &mut now));
        println!("drain, {groups:>6} groups    {:>9.0} ns a task, {drained} tasks", per(took, drained));
    }

    let chain = 100_000;
    let first = ids.0;
    for _ in 0..chain {
        let mut task = task(&mut ids);
        if task.id.0 != id_of(first).0 {
            task.depends_on = Box::new([id_of(ids.0 - 2)]);
        }
        give(&mut machine, now, submit(vec![task]));
    }
    let cancel = Command::Cancel { task: id_of(first), reason: CancelReason::Requested(None), by: actor() };
    let took = timed(|| give(&mut machine, now, cancel));
    println!("chain of {chain} ends  {:>9.0} ms", took.as_secs_f64() * 1e3);
    assert!(machine.state().is_empty());
}

/// Lets the agents start and finish everything, a batch for all slots at a time.
fn drain(machine: &mut Machine, now: &mut Now) -> usize {
    let mut drained = 0;
    loop {
        let given = give(machine, *now, Command::Assign).effects;
        if given.is_empty() {
            return drained;
        }
        now.mono.0 += 1;
        now.wall.0 += 1;
        for effect in given {
            let Effect::Assign { agent, lease, .. } = effect else { continue };
            let mut say = |say| give(machine, *now, Command::Agent { agent, session: 1, say });
            say(AgentSay::Started(lease));
            say(AgentSay::Finished { lease, end: AttemptEnd::Succeeded, report: Box::default() });
            say(AgentSay::Credits(1));
            drained += 1;
        }
    }
}

struct Ids(u128);

/// An id of the form of a UUIDv7, whose low half looks random.
fn id_of(number: u128) -> TaskId {
    TaskId(number << 80 | (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) & 0x3fff_ffff_ffff_ffff))
}

impl Ids {
    fn next(&mut self) -> TaskId {
        self.0 += 1;
        id_of(self.0 - 1)
    }
}

fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

fn actor() -> Arc<Actor> {
    Arc::new(Actor { name: name("cost"), role: Role::Admin, via: name("cli"), address: None })
}

fn submit(tasks: Vec<NewTask>) -> Command {
    Command::Submit(Submit::of(tasks, actor()))
}

fn task(ids: &mut Ids) -> NewTask {
    NewTask { body_bytes: 120, ..NewTask::plain(ids.next(), name("mock")) }
}

fn profile(agent: AgentId) -> Profile {
    Profile {
        agent_id: agent,
        instance: InstanceId(1),
        name: name(&format!("agent-{}", agent.0)),
        host: "here".into(),
        version: "1".into(),
        slots: SLOTS,
        labels: Box::new([]),
        runners: Box::new([RunnerOffer { runner: name("mock"), version: None, ready: true, missing: None }]),
    }
}

fn give(machine: &mut Machine, now: Now, command: Command) -> Step {
    machine.handle(now, command).expect("accepted")
}

/// The processor time that some work takes, which others on the machine do not change.
fn timed<T>(work: impl FnOnce() -> T) -> Duration {
    let begin = processor_time();
    work();
    processor_time() - begin
}

fn processor_time() -> Duration {
    let schedstat = std::fs::read_to_string("/proc/self/schedstat").expect("/proc is there");
    let nanos = schedstat.split(' ').next().and_then(|nanos| nanos.parse().ok()).expect("a number");
    Duration::from_nanos(nanos)
}

fn per(took: Duration, count: usize) -> f64 {
    took.as_secs_f64() * 1e9 / count as f64
}

/// What the process holds in memory, by /proc.
fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("/proc is there");
    let pages: usize = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("a number");
    pages * 4_096
}
