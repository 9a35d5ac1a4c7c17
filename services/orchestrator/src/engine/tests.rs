use std::sync::Arc;
use std::time::Duration;

use conductor_core::{
    Actor, AgentId, Command, EventKind, InstanceId, Machine, Name, NewTask, Now, Policy, Profile, Role,
    RunnerOffer, State, Submit, TaskId,
};
use conductor_protocol::{Code, Problem};
use conductor_runtime::clock::Clock;
use conductor_runtime::lifecycle::Shutdown;
use conductor_store::log::Appended;
use tokio::task::JoinHandle;

use super::dispatch::Outgoing;
use super::handle::Joined;
use super::request::Applied;
use super::scripted_log::ScriptedLog;
use super::{Engine, Error, Handle, MAX_AHEAD, now};
use crate::gate::Gate;

/// What is done by then, if nothing stands in its way.
const A_WHILE: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(10);

fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

fn actor() -> Arc<Actor> {
    Arc::new(Actor { name: name("me"), role: Role::Admin, via: name("test"), address: None })
}

fn submit(number: u128) -> Command {
    let task = NewTask { timeout_ms: 1_000, ..NewTask::plain(TaskId(number), name("mock")) };
    Command::Submit(Submit::of(vec![task], actor()))
}

fn cancel_of_nothing() -> Command {
    let reason = conductor_core::CancelReason::Requested(None);
    Command::Cancel { task: TaskId(999), reason, by: actor() }
}

struct Bench {
    log: Arc<ScriptedLog>,
    handle: Handle,
    running: JoinHandle<Result<(), Error>>,
}

impl Bench {
    /// An engine whose beginning is durable.
    async fn begun() -> Self {
        let bench = Self::new();
        let began = bench.log.answer(Appended::Durable).await;
        assert!(matches!(began.events[..], [conductor_core::Event { kind: EventKind::Began { .. }, .. }]));
        bench
    }

    fn new() -> Self {
        let log = Arc::new(ScriptedLog::default());
        let now: Now = now(&Clock::System);
        let machine = Machine::new(Policy::default(), State::default(), now);
        let gate = Arc::new(Gate::default());
        let (engine, handle) = Engine::new(machine, log.clone(), Clock::System, gate).expect("an engine");
        let running = tokio::spawn(engine.run(Shutdown::new()));
        Self { log, handle, running }
    }

    fn ask(&self, command: Command) -> JoinHandle<Result<Applied, Problem>> {
        let handle = self.handle.clone();
        tokio::spawn(async move { handle.command(command).await })
    }

    fn join(&self, session: u64) -> JoinHandle<Result<Joined, Problem>> {
        let (handle, slots) = (self.handle.clone(), 1);
        let offer = RunnerOffer { runner: name("mock"), version: None, ready: true, missing: None };
        let profile = Profile {
            agent_id: AgentId(7),
            instance: InstanceId(1),
            name: name("ada"),
            host: "here".into(),
            version: "1".into(),
            slots,
            labels: Box::default(),
            runners: Box::new([offer]),
        };
        tokio::spawn(async move { handle.join(session, (profile, Box::default()), Vec::new(), slots).await })
    }

    fn look(&self) -> JoinHandle<Result<usize, Problem>> {
        let handle = self.handle.clone();
        tokio::spawn(async move { handle.look(|machine, _| machine.state().len()).await })
    }
}

async fn answered<T>(asked: JoinHandle<T>) -> T {
    tokio::time::timeout(PATIENCE, asked).await.expect("an answer in time").expect("no panic")
}

#[tokio::test]
async fn nobody_is_told_before_the_batch_is_durable() {
    let bench = Bench::begun().await;
    let asked = bench.ask(submit(1));
    bench.log.until_waiting(1).await;
    tokio::time::sleep(A_WHILE).await;
    assert!(!asked.is_finished(), "the reply was let go before its event was on disk");
    bench.log.answer(Appended::Durable).await;
    assert_eq!(answered(asked).await.expect("accepted").seq.0, 2);
}

#[tokio::test]
async fn a_rejection_and_a_read_wait_for_the_batch_before_them() {
    let bench = Bench::begun().await;
    let asked = bench.ask(submit(1));
    bench.log.until_waiting(1).await;
    let (refused, seen) = (bench.ask(cancel_of_nothing()), bench.look());
    tokio::time::sleep(A_WHILE).await;
    assert!(
        !refused.is_finished() && !seen.is_finished(),
        "something was told of what a crash could take back"
    );
    bench.log.answer(Appended::Durable).await;
    assert_eq!(answered(refused).await.expect_err("refused").code, Code::NotFound);
    assert_eq!(answered(seen).await, Ok(1));
    assert!(answered(asked).await.is_ok());
}

#[tokio::test]
async fn batches_are_decided_ahead_up_to_the_limit() {
    let bench = Bench::begun().await;
    let mut asked = Vec::new();
    for number in 1..=MAX_AHEAD as u128 + 1 {
        asked.push(bench.ask(submit(number)));
        bench.log.until_waiting((number as usize).min(MAX_AHEAD)).await;
    }
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(bench.log.waiting(), MAX_AHEAD);
    for _ in 0..=MAX_AHEAD {
        bench.log.answer(Appended::Durable).await;
    }
    for asked in asked {
        assert!(answered(asked).await.is_ok());
    }
}

#[tokio::test]
async fn a_batch_of_unknown_fate_is_sent_again_under_its_id() {
    let bench = Bench::begun().await;
    let asked = bench.ask(submit(1));
    let first = bench.log.answer(Appended::Unknown).await;
    let second = bench.log.answer(Appended::Durable).await;
    assert_eq!(first, second);
    assert!(answered(asked).await.is_ok());
}

#[tokio::test]
async fn without_room_submits_are_refused_and_what_was_accepted_is_kept() {
    let bench = Bench::begun().await;
    let asked = bench.ask(submit(1));
    let first = bench.log.answer(Appended::NoSpace).await;
    let refused = answered(bench.ask(submit(2))).await;
    assert_eq!(refused.expect_err("refused").code, Code::StorageFull);
    assert!(!asked.is_finished());
    let second = bench.log.answer(Appended::Durable).await;
    assert_eq!(first, second);
    assert!(answered(asked).await.is_ok());
    let later = bench.ask(submit(3));
    bench.log.answer(Appended::Durable).await;
    assert!(answered(later).await.is_ok());
}

#[tokio::test]
async fn while_the_log_is_away_submits_are_refused_at_once_also_while_it_is_tried_again() {
    let bench = Bench::begun().await;
    let asked = bench.ask(submit(1));
    let first = bench.log.answer(Appended::Unknown).await;
    let refused = answered(bench.ask(submit(2))).await.expect_err("refused");
    assert_eq!(refused.code, Code::Unavailable);
    assert!(refused.retry_after_seconds.is_some());
    // The next try is under way, and nobody knows how it ends.
    bench.log.until_waiting(1).await;
    assert_eq!(answered(bench.ask(submit(3))).await.expect_err("refused").code, Code::Unavailable);
    assert_eq!(bench.log.waiting(), 1, "nothing is built on what is not written");
    bench.log.answer(Appended::Unknown).await;
    let second = bench.log.answer(Appended::Durable).await;
    assert_eq!(first, second);
    assert!(answered(asked).await.is_ok(), "what was under way is accepted after all");
    let later = bench.ask(submit(4));
    bench.log.answer(Appended::Durable).await;
    assert!(answered(later).await.is_ok());
}

#[tokio::test]
async fn however_much_is_asked_meanwhile_the_log_is_tried_again() {
    let bench = Bench::begun().await;
    let asked = bench.ask(submit(1));
    bench.log.answer(Appended::Unknown).await;
    let handle = bench.handle.clone();
    let asking = tokio::spawn(async move {
        loop {
            // Each is refused.
            let _ = handle.command(cancel_of_nothing()).await;
            tokio::time::sleep(A_WHILE).await;
        }
    });
    bench.log.until_waiting(1).await;
    asking.abort();
    bench.log.answer(Appended::Durable).await;
    assert!(answered(asked).await.is_ok());
}

#[tokio::test]
async fn with_nothing_but_its_beginning_to_write_a_full_disk_still_serves_reads() {
    let bench = Bench::new();
    bench.log.answer(Appended::NoSpace).await;
    assert_eq!(answered(bench.look()).await, Ok(0));
    assert_eq!(answered(bench.ask(submit(1))).await.expect_err("refused").code, Code::StorageFull);
}

#[tokio::test]
async fn a_fenced_engine_stops_and_tells_nobody_that_it_succeeded() {
    let bench = Bench::begun().await;
    let asked = bench.ask(submit(1));
    bench.log.answer(Appended::Fenced).await;
    assert_eq!(answered(asked).await.expect_err("not accepted").code, Code::Unavailable);
    assert!(matches!(answered(bench.running).await, Err(Error::Fenced)));
}

#[tokio::test]
async fn an_engine_without_callers_writes_what_it_accepted_and_ends() {
    let bench = Bench::begun().await;
    let asked = bench.ask(submit(1));
    bench.log.until_waiting(1).await;
    let Bench { log, handle, running } = bench;
    drop(handle);
    log.answer(Appended::Durable).await;
    assert!(answered(asked).await.is_ok());
    assert!(answered(running).await.is_ok());
}

#[tokio::test]
async fn a_new_connection_is_not_told_what_was_decided_for_the_old_one() {
    let bench = Bench::begun().await;
    let old = bench.join(1);
    bench.log.answer(Appended::Durable).await;
    let mut old = answered(old).await.expect("welcome");
    let asked = bench.ask(submit(1));
    bench.log.until_waiting(1).await;
    // The task is given to the old connection in a batch that is not yet durable, when the agent comes back without it.
    let new = bench.join(2);
    bench.log.until_waiting(2).await;
    bench.log.answer(Appended::Durable).await;
    bench.log.answer(Appended::Durable).await;
    let mut new = answered(new).await.expect("welcome");
    assert!(answered(asked).await.is_ok());
    let first = |told: Vec<Outgoing>| match told.into_iter().next() {
        Some(Outgoing::Assign { lease, .. }) => lease.number,
        told => panic!("expected an assignment, not {told:?}"),
    };
    let stale = first(old.outgoing.recv().await.expect("told"));
    let live = first(new.outgoing.recv().await.expect("told"));
    assert!(live > stale, "the lease that was taken back went to the new connection");
    assert!(new.outgoing.try_recv().is_err());
}
