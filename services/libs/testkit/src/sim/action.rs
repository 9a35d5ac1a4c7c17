//! What may happen in a simulated world.

use proptest::prelude::*;

/// Something that happens. Numbers pick among what there is.
#[derive(Debug, Clone)]
pub enum Action {
    /// A client submits tasks under a key of its own, and asks again until it is answered.
    Submit(Asked),
    /// A client that was not answered asks again.
    AskAgain(u8),
    /// A client cancels a task that it was told of.
    Cancel(u8),
    /// A person answers a question.
    Answer(u8),
    /// An agent connects, when a leader is there.
    Connect(u8),
    /// A connection breaks; the leader hears of it later, if at all.
    Cut(u8),
    /// The leader hears of a connection that broke.
    HearOfCut,
    /// The leader takes up what an agent said.
    Hear {
        /// The agent.
        agent: u8,
        /// How many of its messages.
        messages: u8,
    },
    /// An agent takes up what it was told.
    Tell {
        /// The agent.
        agent: u8,
        /// How many messages.
        messages: u8,
    },
    /// A run is over.
    End {
        /// The agent.
        agent: u8,
        /// Which of its runs.
        run: u8,
        /// How it ended.
        end: End,
    },
    /// A run asks a person.
    Ask {
        /// The agent.
        agent: u8,
        /// Which of its runs.
        run: u8,
    },
    /// An agent's worker is killed: its runs are lost, its outbox is kept, and it comes back as another instance.
    Kill(u8),
    /// The oldest batch becomes durable, and what waited for it goes out.
    Write,
    /// The leader is killed.
    Crash {
        /// How many of the batches under way were written all the same.
        written: u8,
    },
    /// A leader starts from the log.
    Start,
    /// The log gets a snapshot and is trimmed.
    Snapshot,
    /// Time goes by.
    Pass {
        /// How much.
        ms: u32,
        /// Whether connected agents say that they live.
        heartbeats: bool,
    },
}

/// What a client asks for.
#[derive(Debug, Clone, Copy)]
pub enum Asked {
    /// A task by itself.
    Plain {
        /// How many failed attempts end it.
        attempts: u8,
    },
    /// A task that waits for one that the client was told of.
    After(u8),
    /// A parent with subtasks.
    Parent {
        /// How many.
        subtasks: u8,
    },
}

/// How a run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names speak for themselves")]
pub enum End {
    Succeeds,
    Fails,
    Crashes,
    Stops,
    IsLimited,
}

/// Sequences of actions, the longer ones of about `length`.
pub fn actions(length: usize) -> impl Strategy<Value = Vec<Action>> {
    prop::collection::vec(action(), 1..length)
}

fn action() -> impl Strategy<Value = Action> {
    let asked = prop_oneof![
        4 => (1..3u8).prop_map(|attempts| Asked::Plain { attempts }),
        1 => any::<u8>().prop_map(Asked::After),
        1 => (1..3u8).prop_map(|subtasks| Asked::Parent { subtasks }),
    ];
    let end = prop_oneof![
        5 => Just(End::Succeeds),
        2 => Just(End::Fails),
        1 => Just(End::Crashes),
        1 => Just(End::Stops),
        1 => Just(End::IsLimited),
    ];
    let some = || (any::<u8>(), 1..6u8);
    prop_oneof![
        8 => asked.prop_map(Action::Submit),
        3 => any::<u8>().prop_map(Action::AskAgain),
        4 => any::<u8>().prop_map(Action::Cancel),
        2 => any::<u8>().prop_map(Action::Answer),
        12 => any::<u8>().prop_map(Action::Connect),
        1 => any::<u8>().prop_map(Action::Cut),
        2 => Just(Action::HearOfCut),
        18 => some().prop_map(|(agent, messages)| Action::Hear { agent, messages }),
        18 => some().prop_map(|(agent, messages)| Action::Tell { agent, messages }),
        24 => (any::<u8>(), any::<u8>(), end).prop_map(|(agent, run, end)| Action::End { agent, run, end }),
        2 => (any::<u8>(), any::<u8>()).prop_map(|(agent, run)| Action::Ask { agent, run }),
        1 => any::<u8>().prop_map(Action::Kill),
        45 => Just(Action::Write),
        1 => (0..3u8).prop_map(|written| Action::Crash { written }),
        6 => Just(Action::Start),
        1 => Just(Action::Snapshot),
        4 => (0..90_000u32, prop::bool::weighted(0.8)).prop_map(|(ms, heartbeats)| Action::Pass { ms, heartbeats }),
    ]
}
