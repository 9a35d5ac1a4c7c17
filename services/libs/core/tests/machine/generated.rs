//! Generated sequences of commands. [`World`] checks the invariants after every step; here are the actions and what must
//! hold at the end of a sequence.

use conductor_core::*;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, FileFailurePersistence};

use crate::access;
use crate::world::*;

/// Something that happens; numbers pick among what there is.
#[derive(Debug, Clone)]
enum Action {
    Submit {
        tasks: Vec<Asked>,
        key: Option<u8>,
    },
    Cancel(u8),
    Answer(u8),
    Delete(u8),
    Pause(bool),
    Hello {
        agent: u8,
        new_instance: bool,
        forget: u8,
    },
    Lanes {
        agent: u8,
        lanes: u8,
    },
    OpenLane(u8),
    Pin(u8, bool),
    Credits {
        agent: u8,
        more: u8,
    },
    Heartbeat(u8),
    Started(u8),
    Asked(u8),
    Withdrawn(u8),
    Finished {
        lease: u8,
        end: u8,
    },
    StopsAsking(u8),
    Gone(u8),
    DrainAgent {
        agent: u8,
        draining: bool,
    },
    RevokeAgent(u8),
    AddSchedule(u8),
    RemoveSchedule(u8),
    Fire {
        schedule: u8,
        missed: bool,
    },
    CreateToken {
        number: u8,
        lives_ms: Option<u32>,
    },
    RevokeToken(u8),
    OpenSession {
        number: u8,
        lives_ms: u32,
    },
    CloseSession(u8),
    Assign,
    Room(bool),
    Pass {
        ms: u32,
        silent: bool,
    },
    /// The computer sleeps; nobody is heard.
    Sleep(u32),
    WallJumps(i32),
    Restart,
}

/// A task to submit; numbers pick among what there is.
#[derive(Debug, Clone)]
struct Asked {
    runner: u8,
    group: u8,
    priority: u8,
    requires: bool,
    labelled: bool,
    attempts: u16,
    timeout_ms: u64,
    queue_timeout_ms: Option<u64>,
    run_in_ms: Option<u32>,
    depends_on: Vec<u8>,
    runs_anyway: bool,
    parent: Option<u8>,
    stands_for_subtasks: bool,
}

/// A task, the more linked to others the greater `links` (in percent).
fn asked(links: u32) -> impl Strategy<Value = Asked> {
    let chance = f64::from(links) / 100.0;
    let what = (0..4u8, 0..3u8, 0..=10u8, prop::bool::weighted(0.2), prop::bool::weighted(0.2), 1..4u16);
    let when = (
        1_000..100_000u64,
        prop::option::weighted(0.3, 1_000..400_000u64),
        prop::option::weighted(0.2, 0..300_000u32),
    );
    let links = (
        prop_oneof![100 - links => Just(Vec::new()), links => prop::collection::vec(any::<u8>(), 1..3)],
        any::<bool>(),
        prop::option::weighted(chance / 2.0, any::<u8>()),
        prop::bool::weighted(chance / 3.0),
    );
    (what, when, links).prop_map(|(what, when, links)| Asked {
        runner: what.0,
        group: what.1,
        priority: what.2,
        requires: what.3,
        labelled: what.4,
        attempts: what.5,
        timeout_ms: when.0,
        queue_timeout_ms: when.1,
        run_in_ms: when.2,
        depends_on: links.0,
        runs_anyway: links.1,
        parent: links.2,
        stands_for_subtasks: links.3,
    })
}

fn action() -> impl Strategy<Value = Action> {
    let submit = |tasks, links| {
        let tasks = prop::collection::vec(asked(links), tasks);
        (tasks, prop::option::weighted(0.3, 0..4u8)).prop_map(|(tasks, key)| Action::Submit { tasks, key })
    };
    prop_oneof![
        5 => submit(1..4, 10),
        4 => submit(1..6, 70),
        3 => any::<u8>().prop_map(Action::Cancel),
        4 => any::<u8>().prop_map(Action::Answer),
        1 => any::<u8>().prop_map(Action::Delete),
        2 => (any::<u8>(), prop::bool::weighted(0.7)).prop_map(|(task, pinned)| Action::Pin(task, pinned)),
        1 => prop::bool::weighted(0.3).prop_map(Action::Pause),
        7 => (0..3u8, prop::bool::weighted(0.2), any::<u8>())
            .prop_map(|(agent, new_instance, forget)| Action::Hello { agent, new_instance, forget }),
        3 => (0..3u8, 0..27u8).prop_map(|(agent, lanes)| Action::Lanes { agent, lanes }),
        1 => (0..3u8).prop_map(Action::OpenLane),
        8 => (0..3u8, 1..4u8).prop_map(|(agent, more)| Action::Credits { agent, more }),
        3 => (0..3u8).prop_map(Action::Heartbeat),
        8 => any::<u8>().prop_map(Action::Started),
        4 => any::<u8>().prop_map(Action::Asked),
        1 => any::<u8>().prop_map(Action::Withdrawn),
        10 => (any::<u8>(), any::<u8>()).prop_map(|(lease, end)| Action::Finished { lease, end }),
        1 => (0..3u8).prop_map(Action::StopsAsking),
        2 => (0..3u8).prop_map(Action::Gone),
        1 => (0..3u8, prop::bool::weighted(0.3)).prop_map(|(agent, draining)| Action::DrainAgent { agent, draining }),
        1 => (0..9u8).prop_map(Action::RevokeAgent),
        1 => any::<u8>().prop_map(Action::AddSchedule),
        1 => any::<u8>().prop_map(Action::RemoveSchedule),
        2 => (any::<u8>(), any::<bool>()).prop_map(|(schedule, missed)| Action::Fire { schedule, missed }),
        1 => (0..4u8, prop::option::weighted(0.5, 0..300_000u32))
            .prop_map(|(number, lives_ms)| Action::CreateToken { number, lives_ms }),
        1 => (0..4u8).prop_map(Action::RevokeToken),
        2 => (0..12u8, 0..600_000u32)
            .prop_map(|(number, lives_ms)| Action::OpenSession { number, lives_ms }),
        1 => (0..12u8).prop_map(Action::CloseSession),
        14 => Just(Action::Assign),
        1 => any::<bool>().prop_map(Action::Room),
        5 => (0..80_000u32, prop::bool::weighted(0.1)).prop_map(|(ms, silent)| Action::Pass { ms, silent }),
        1 => (0..900_000u32, any::<bool>()).prop_map(|(ms, silent)| Action::Pass { ms, silent }),
        1 => (0..1_000_000u32).prop_map(Action::Sleep),
        1 => (-4_000_000..4_000_000i32).prop_map(Action::WallJumps),
        1 => Just(Action::Restart),
    ]
}

/// A world with what agents and people know in it.
struct Play {
    world: World,
    submitted: Vec<TaskId>,
    leases: Vec<(AgentId, Lease)>,
    schedules: Vec<ScheduleId>,
    sessions: [u64; 3],
    instances: [u128; 3],
    /// How often each agent was revoked; it comes back under another id.
    revoked: [u128; 3],
    questions: u128,
    trace: Vec<String>,
}

const RUNNERS: [&str; 4] = ["mock", "command", "auto", "claude"];
const GROUPS: [&str; 3] = ["red", "green", "blue"];

fn policy() -> Policy {
    let mut policy =
        Policy { auto_mock: true, max_queued: 16, max_keys: 2, crash_limit: 2, ..Policy::default() };
    policy.agent_forget_ms = 500_000;
    policy.idempotency_ms = 200_000;
    policy.waiting_timeout_ms = 30_000;
    policy.max_schedules = 2;
    (policy.max_tokens, policy.max_sessions) = (1, 3);
    policy.groups.insert(name("red"), GroupLimits { max_running: Some(2), max_queued: Some(6) });
    policy.runners.insert(name("command"), 2);
    policy.labels.insert((name("team"), name("x")), 1);
    policy
}

fn pick<T: Copy>(among: &[T], number: u8) -> Option<T> {
    (!among.is_empty()).then(|| among[usize::from(number) % among.len()])
}

impl Play {
    fn new() -> Self {
        Self {
            world: World::with(policy()),
            submitted: Vec::new(),
            leases: Vec::new(),
            schedules: Vec::new(),
            sessions: [0; 3],
            instances: [1; 3],
            revoked: [0; 3],
            questions: 0,
            trace: Vec::new(),
        }
    }

    fn give(&mut self, command: Command) {
        let result = self.world.give(command);
        if let Ok(step) = &result {
            let given = step.effects.iter().filter_map(|effect| match effect {
                Effect::Assign { agent, lease, .. } => Some((*agent, *lease)),
                _ => None,
            });
            self.leases.extend(given);
        }
        self.trace.push(format!("{result:?}"));
    }

    fn agent_id(&self, number: u8) -> AgentId {
        AgentId(u128::from(number) + 100 + 3 * self.revoked[usize::from(number)])
    }

    fn is_connected(&self, number: u8) -> bool {
        self.world.machine.agent(self.agent_id(number)).is_some_and(|agent| agent.connected)
    }

    fn say(&mut self, number: u8, say: AgentSay) {
        let session = self.sessions[usize::from(number)];
        self.give(Command::Agent { agent: self.agent_id(number), session, say });
    }

    fn say_of(&mut self, lease: u8, say: impl FnOnce(Lease) -> AgentSay) {
        let state = self.world.machine.state();
        let live = |(agent, held): &&(AgentId, Lease)| state.leases(*agent).any(|(lease, _)| lease == *held);
        let recent: Vec<_> = match lease % 4 {
            0 => self.leases.iter().rev().take(6).copied().collect(),
            _ => self.leases.iter().filter(live).copied().collect(),
        };
        let Some((agent, lease)) = pick(&recent, lease) else { return };
        let number = u8::try_from((agent.0 - 100) % 3).expect("one of three");
        let session = self.sessions[usize::from(number)];
        self.give(Command::Agent { agent, session, say: say(lease) });
    }

    fn make(&mut self, asked: &Asked, batch: &[NewTask]) -> NewTask {
        let mut task = self.world.task();
        task.runner = name(RUNNERS[usize::from(asked.runner)]);
        task.group = name(GROUPS[usize::from(asked.group)]);
        task.priority = Priority::new(asked.priority).expect("at most 10");
        task.requires = if asked.requires { names(&["gpu"]) } else { names(&[]) };
        if asked.labelled {
            task.labels = Box::new([(name("team"), name("x"))]);
        }
        task.max_attempts = asked.attempts;
        task.timeout_ms = asked.timeout_ms;
        task.queue_timeout_ms = asked.queue_timeout_ms;
        task.run_at = asked.run_in_ms.map(|ms| self.world.now.wall.after(u64::from(ms)));
        task.on_dependency_failure =
            if asked.runs_anyway { OnDependencyFailure::Run } else { OnDependencyFailure::Cancel };
        task.work = if asked.stands_for_subtasks { Work::Subtasks } else { Work::Run };
        let mut known = self.submitted.clone();
        known.extend(batch.iter().map(|task| task.id));
        // The next one of the batch, too, so that the order of entry matters and circles come up.
        known.push(TaskId(task.id.0 + 1));
        task.depends_on = asked.depends_on.iter().filter_map(|number| pick(&known, *number)).collect();
        let near: Vec<_> = known.iter().rev().take(8).copied().collect();
        task.parent = asked.parent.and_then(|number| pick(&near, number));
        task
    }

    fn act(&mut self, action: &Action) {
        match action {
            Action::Submit { tasks, key } => {
                let mut batch = Vec::new();
                for asked in tasks {
                    let task = self.make(asked, &batch);
                    batch.push(task);
                }
                let settled = batch.iter().flat_map(|task| &task.depends_on).filter_map(|dependency| {
                    Some((*dependency, self.world.finished.get(dependency)?.is_success()))
                });
                let settled = settled.collect();
                let ids: Vec<_> = batch.iter().map(|task| task.id).collect();
                let key = key.map(|key| (KeyId(u128::from(key)), BodyDigest(tasks.len() as u128)));
                self.give(Command::Submit(Submit { key, settled, ..submit(batch) }));
                self.submitted.extend(ids.into_iter().filter(|id| self.world.accepted.contains(id)));
            }
            Action::Cancel(task) => {
                let Some(task) = pick(&self.submitted, *task) else { return };
                self.give(Command::Cancel { task, reason: CancelReason::Requested(None), by: actor() });
            }
            Action::Answer(task) => {
                let asking: Vec<_> = self.world.machine.state().questions().collect();
                let Some(task) = pick(&asking, *task).or(pick(&self.submitted, *task)) else { return };
                let answer_json = "true".into();
                self.give(Command::Answer { task, request_id: None, answer_json, by: actor() });
            }
            Action::Delete(task) => {
                let Some(task) = pick(&self.submitted, *task) else { return };
                self.give(Command::Delete { tasks: Box::new([task]), by: None });
            }
            Action::Pin(task, pinned) => {
                let Some(task) = pick(&self.submitted, *task) else { return };
                self.give(Command::Pin { task, pinned: *pinned, by: actor() });
            }
            Action::Pause(paused) => self.give(Command::Pause { paused: *paused, by: actor() }),
            Action::Hello { agent, new_instance, forget } => self.hello(*agent, *new_instance, *forget),
            Action::Lanes { agent, lanes } => {
                let lane = |runner: &str, number: u8| RunnerLane {
                    runner: name(runner),
                    lane: name(&format!("key-{number}")),
                };
                let offers = [("mock", lanes % 3), ("command", lanes / 3 % 3), ("claude", lanes / 9)];
                // A third of the runners needs no credential.
                let offers = offers.into_iter().filter(|(_, number)| *number > 0);
                let offers = offers.map(|(runner, number)| lane(runner, number)).collect();
                self.say(*agent, AgentSay::Lanes(offers));
            }
            Action::OpenLane(number) => {
                self.give(Command::OpenLane { lane: name(&format!("key-{number}")), by: actor() });
            }
            Action::Credits { agent, more } => {
                if !self.is_connected(*agent) {
                    self.hello(*agent, false, 1);
                }
                self.say(*agent, AgentSay::Credits(u32::from(*more)));
            }
            Action::Heartbeat(agent) => self.say(*agent, AgentSay::Heartbeat),
            Action::Started(lease) => self.say_of(*lease, AgentSay::Started),
            Action::Asked(lease) => {
                self.questions += 1;
                let request_id = RequestId(self.questions / 2);
                let question = Question { request_id, detail_json: "{}".into() };
                self.say_of(*lease, |lease| AgentSay::Asked { lease, question });
            }
            Action::Withdrawn(lease) => {
                let request_id = RequestId(self.questions / 2);
                self.say_of(*lease, |lease| AgentSay::Withdrawn { lease, request_id });
            }
            Action::Finished { lease, end } => {
                let end = match end % 12 {
                    0..4 => AttemptEnd::Succeeded,
                    4 => failure(FailureReason::ExitCode),
                    5 => failure(FailureReason::Auth),
                    6 | 9 | 11 => AttemptEnd::Crashed("gone".into()),
                    7 => AttemptEnd::Stopped,
                    8 => AttemptEnd::Cancelled,
                    _ => {
                        let rest_ms = if end % 24 == 10 { 50_000 } else { 0 };
                        AttemptEnd::Limited { rest_ms, message: "wait".into() }
                    }
                };
                self.say_of(*lease, |lease| AgentSay::Finished { lease, end, report: Box::default() });
            }
            Action::StopsAsking(agent) => self.say(*agent, AgentSay::Draining),
            Action::Gone(agent) => self.say(*agent, AgentSay::Gone),
            Action::DrainAgent { agent, draining } => {
                let name = name(&format!("agent-{agent}"));
                self.give(Command::DrainAgent { name, draining: *draining, by: actor() });
            }
            Action::RevokeAgent(3..) => {}
            Action::RevokeAgent(agent) => {
                let name = name(&format!("agent-{agent}"));
                self.give(Command::RevokeAgent { name, by: actor() });
                if agent % 2 == 0 {
                    self.revoked[usize::from(*agent)] += 1;
                }
            }
            Action::AddSchedule(number) => {
                let id = ScheduleId(u128::from(number % 4));
                let overlap = [Overlap::Skip, Overlap::Queue, Overlap::Cancel][usize::from(number % 3)];
                let catch_up = if number % 2 == 0 { CatchUp::None } else { CatchUp::One };
                let next_at = self.world.now.wall.after(50_000);
                let group = name("blue");
                let schedule =
                    Schedule { id, name: None, group, overlap, catch_up, next_at, last_task: None };
                self.give(Command::AddSchedule { schedule: Box::new(schedule), by: actor() });
                self.schedules.push(id);
            }
            Action::RemoveSchedule(number) => {
                let Some(schedule) = pick(&self.schedules, *number) else { return };
                self.give(Command::RemoveSchedule { schedule, by: actor() });
            }
            Action::Fire { schedule, missed } => {
                let Some(schedule) = pick(&self.schedules, *schedule) else { return };
                let due_at = self.world.machine.state().schedule(schedule).map(|known| known.next_at);
                let due_at = due_at.unwrap_or_default();
                let task = Box::new(self.world.task());
                let (id, next_at) = (task.id, due_at.after(60_000));
                let missed = *missed;
                self.give(Command::FireSchedule {
                    schedule,
                    due_at,
                    next_at,
                    missed,
                    task,
                    webhook: false,
                    secrets: Box::default(),
                    budget: Limit::default(),
                    by: actor(),
                });
                self.submitted.extend(self.world.accepted.contains(&id).then_some(id));
            }
            Action::CreateToken { number, lives_ms } => {
                let lives_ms = lives_ms.map(u64::from);
                let token = access::token(&self.world, &format!("token-{number}"), *number, lives_ms);
                self.give(Command::CreateToken { token, by: actor() });
            }
            Action::RevokeToken(number) => {
                self.give(Command::RevokeToken { name: name(&format!("token-{number}")), by: actor() });
            }
            Action::OpenSession { number, lives_ms } => {
                let session = access::session(&self.world, 100 + number, number % 4, u64::from(*lives_ms));
                self.give(Command::OpenSession { session, by: actor() });
            }
            Action::CloseSession(number) => {
                let session = SecretDigest([100 + number; 32]);
                self.give(Command::CloseSession { session, by: actor() });
            }
            Action::Assign => self.give(Command::Assign),
            Action::Room(lacks) => {
                self.give(Command::Room { lacking: lacks.then_some(Volume::Workspace) });
                // The disk of one agent is full with it, and stays so until the agent comes anew.
                if *lacks {
                    self.say(2, AgentSay::DiskFull(true));
                }
            }
            Action::Pass { ms, silent } => self.pass(u64::from(*ms), *silent),
            Action::Sleep(ms) => {
                let steps = self.world.pass(u64::from(*ms));
                self.trace.push(format!("{steps:?}"));
            }
            Action::WallJumps(ms) => {
                self.world.now.wall.0 += i64::from(*ms);
                let steps = self.world.take_up();
                self.trace.push(format!("{steps:?}"));
            }
            Action::Restart => {
                self.world.restart();
                self.sessions = [0; 3];
            }
        }
    }

    /// Lets time go by; agents that are not silent say that they live.
    fn pass(&mut self, ms: u64, silent: bool) {
        let mut left = ms;
        while left > 0 {
            let slice = left.min(50_000);
            left -= slice;
            let steps = self.world.pass(slice);
            self.trace.push(format!("{steps:?}"));
            for agent in 0..3 {
                let connected =
                    self.world.machine.agent(self.agent_id(agent)).is_some_and(|agent| agent.connected);
                if connected && !silent {
                    self.say(agent, AgentSay::Heartbeat);
                }
            }
        }
    }

    fn hello(&mut self, number: u8, new_instance: bool, forget: u8) {
        let index = usize::from(number);
        self.sessions[index] += 1;
        self.instances[index] += u128::from(new_instance);
        let runners: &[&str] =
            [&["mock", "command"][..], &["mock"][..], &["mock", "command", "claude"][..]][index];
        let mut profile =
            profile(self.agent_id(number), &format!("agent-{number}"), self.instances[index], runners);
        profile.labels = if number == 1 { names(&["gpu"]) } else { names(&[]) };
        let held = self.leases.iter().filter(|(agent, _)| *agent == profile.agent_id);
        let mut held: Vec<_> = held.map(|(_, lease)| *lease).collect();
        if forget.is_multiple_of(8) {
            held.pop();
        }
        let say = AgentSay::Hello { profile: Box::new(profile), held };
        self.say(number, say);
    }

    /// Lets a capable agent do what is left until nothing is.
    fn finish_everything(&mut self) {
        self.give(Command::Pause { paused: false, by: actor() });
        self.give(Command::Room { lacking: None });
        let agent = AgentId(999);
        let mut profile = profile(agent, "closer", 1, &["mock", "command", "claude"]);
        profile.labels = names(&["gpu"]);
        let say = AgentSay::Hello { profile: Box::new(profile), held: Vec::new() };
        self.give(Command::Agent { agent, session: 1, say });
        for _ in 0..1_000 {
            if self.world.machine.state().is_empty() {
                return;
            }
            self.give(Command::Agent { agent, session: 1, say: AgentSay::Credits(4) });
            self.give(Command::Assign);
            let held: Vec<_> = self.world.machine.state().leases(agent).collect();
            for (lease, _) in held {
                let (end, report) = (AttemptEnd::Succeeded, Box::default());
                self.give(Command::Agent {
                    agent,
                    session: 1,
                    say: AgentSay::Finished { lease, end, report },
                });
            }
            self.world.pass(60_000);
        }
        let left: Vec<_> = self.world.machine.state().task_ids().collect();
        let tasks: Vec<_> = left.iter().map(|id| self.world.machine.state().task(*id)).collect();
        panic!("every accepted task ends some time, but these do not: {tasks:#?}");
    }
}

fn config() -> Config {
    let scale = std::env::var("CONDUCTOR_TEST_SCALE").ok().and_then(|scale| scale.parse().ok());
    Config {
        cases: 96 * scale.unwrap_or(1),
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        max_shrink_iters: 4_096,
        ..Config::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn invariants_hold_after_every_step_and_everything_ends(actions in prop::collection::vec(action(), 1..120)) {
        let mut play = Play::new();
        for action in &actions {
            play.act(action);
        }
        play.finish_everything();
    }

    #[test]
    fn the_same_commands_give_the_same_trace(actions in prop::collection::vec(action(), 1..80)) {
        let traces = [(); 2].map(|()| {
            let mut play = Play::new();
            for action in &actions {
                play.act(action);
            }
            play.trace
        });
        prop_assert_eq!(&traces[0], &traces[1]);
    }
}

/// What sequences must reach, as it reads in a trace.
const REACHED: &[&str] = &[
    "Blocked",
    "Scheduled",
    "KeyBound",
    "KeyExpired",
    "TaskFreed",
    "TaskAssigned",
    "TaskStarted",
    "TaskAsked",
    "TaskAnswered",
    "QuestionWithdrawn",
    "CancelRequested",
    "AttemptEnded",
    "Backoff",
    "cause: Crash",
    "cause: Stop",
    "cause: Limit",
    "Succeeded",
    "CrashLimit",
    "reason: Dependency",
    "QueueTimeout",
    "WaitingTimeout",
    "reason: Timeout",
    "Cancelled(Requested",
    "Cancelled(Parent",
    "Cancelled(Dependency",
    "Cancelled(Schedule",
    "TasksDeleted",
    "AgentJoined",
    "AgentLeft",
    "AgentDrained",
    "AgentRevoked",
    "QueuePaused",
    "ScheduleAdded",
    "ScheduleRemoved",
    "ScheduleFired",
    "TokenCreated",
    "TokenRevoked",
    "TokenExpired",
    "SessionOpened",
    "SessionClosed",
    "TooManyTokens",
    "fresh: false",
    "repeated: true",
    "DependencyCycle",
    "BadParent",
    "KeyConflict",
    "TooManyKeys",
    "QueueFull",
    "NotWaiting",
    "StillLive",
    "pinned: true",
    "pinned: false",
    "Revoked(",
    "StaleSession",
    "TooManySchedules",
    "Disconnect",
    "ScheduleDue",
    "DeleteRuns",
    "revoked: true",
    "replaced: Some",
];

/// The generator is of no use if what it makes never reaches what is to be tested.
#[test]
fn generated_sequences_reach_every_kind_of_event() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut reached = String::new();
    for _ in 0..80 {
        let actions =
            prop::collection::vec(action(), 120).new_tree(&mut runner).expect("a sequence").current();
        let mut play = Play::new();
        for action in &actions {
            play.act(action);
        }
        reached.push_str(&play.trace.concat());
    }
    for kind in REACHED {
        println!("{:>6} {kind}", reached.matches(kind).count());
    }
    let missing: Vec<_> = REACHED.iter().filter(|kind| !reached.contains(**kind)).collect();
    assert!(missing.is_empty(), "never reached: {missing:?}");
}
