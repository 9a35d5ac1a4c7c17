//! The slots as the worker sees them: which run each holds, and how far it is.

use conductor_core::{Amount, Lease, RequestId, TaskId};
use conductor_protocol::agent::{Asked, OutputLength, Spent, Started, Told, Withdrawn};
use conductor_protocol::limits::MAX_TOLD;
use serde_json::value::RawValue;

use super::report;
use crate::runner::{self, Attempt, Spending};

/// A run that holds a slot.
#[derive(Debug)]
pub(super) struct Run {
    pub lease: Lease,
    pub task: TaskId,
    pub attempt: u32,
    pub phase: Phase,
    /// Whether its result is wanted. A run whose lease is lost only ends.
    pub wanted: bool,
    /// Whether its program runs or ran.
    pub started: bool,
    pub question: Option<Question>,
    /// The question that it took back last.
    pub taken_back: Option<RequestId>,
    /// Whether tasks live below it, for which it may wait.
    pub has_below: bool,
    /// What people told the run, so that nothing is told twice.
    pub told: Vec<Told>,
    /// The length of its output that was told last.
    pub told_bytes: u64,
    /// What it had spent when that was told last on this connection.
    pub told_spent: Option<Spending>,
}

/// How far a run is.
#[derive(Debug)]
pub(super) enum Phase {
    /// It waits for an earlier run of the same task, which is being ended, to leave the folder.
    Parked(Box<Attempt>),
    /// The slot works on it.
    Running(runner::Run),
    /// It is over, and its result is being written to the outbox.
    Storing,
}

/// A question that nobody has answered.
#[derive(Debug, Clone)]
pub(super) struct Question {
    /// Names it towards the run.
    pub number: u32,
    pub request_id: RequestId,
    pub asks: runner::Question,
}

/// All slots.
#[derive(Debug)]
pub(super) struct Runs {
    slots: Vec<Option<Run>>,
}

impl Runs {
    pub fn new(slots: usize) -> Self {
        Self { slots: (0..slots).map(|_| None).collect() }
    }

    pub fn free_slot(&self) -> Option<usize> {
        self.slots.iter().position(Option::is_none)
    }

    pub fn free(&self) -> usize {
        self.slots.iter().filter(|slot| slot.is_none()).count()
    }

    pub fn count(&self) -> usize {
        self.slots.len() - self.free()
    }

    /// How many runs wait for a person, or may wait for tasks that they submitted: their slots serve others.
    pub fn waiting(&self) -> usize {
        self.slots.iter().flatten().filter(|run| run.question.is_some() || run.has_below).count()
    }

    pub fn is_empty(&self) -> bool {
        self.slots.iter().all(Option::is_none)
    }

    pub fn put(&mut self, slot: usize, run: Run) {
        debug_assert!(self.slots[slot].is_none(), "a slot holds one run");
        self.slots[slot] = Some(run);
    }

    pub fn take(&mut self, slot: usize) -> Option<Run> {
        self.slots.get_mut(slot)?.take()
    }

    pub fn get_mut(&mut self, slot: usize) -> Option<&mut Run> {
        self.slots.get_mut(slot)?.as_mut()
    }

    pub fn slot_of(&self, lease: Lease) -> Option<usize> {
        self.slots.iter().position(|slot| slot.as_ref().is_some_and(|run| run.lease == lease))
    }

    /// The slot of a run of this task whose folder is in use.
    pub fn at_work_on(&self, task: TaskId) -> Option<usize> {
        let works = |run: &Run| run.task == task && matches!(run.phase, Phase::Running(_));
        self.slots.iter().position(|slot| slot.as_ref().is_some_and(works))
    }

    /// The slot of a run that waits for the folder of this task.
    pub fn parked_on(&self, task: TaskId) -> Option<usize> {
        let waits = |run: &Run| run.task == task && matches!(run.phase, Phase::Parked(_));
        self.slots.iter().position(|slot| slot.as_ref().is_some_and(waits))
    }

    /// The slots that hold a run.
    pub fn held(&self) -> Vec<usize> {
        (0..self.slots.len()).filter(|slot| self.slots[*slot].is_some()).collect()
    }

    fn wanted(&self) -> impl Iterator<Item = &Run> {
        self.slots.iter().flatten().filter(|run| run.wanted)
    }

    pub fn leases(&self) -> impl Iterator<Item = Lease> {
        self.wanted().map(|run| run.lease)
    }

    /// Runs of which it is to be said that they began.
    pub fn started(&self) -> Vec<Started> {
        self.wanted().filter(|run| run.started).map(|run| Started { lease: run.lease }).collect()
    }

    /// Questions that nobody has answered.
    pub fn asked(&self) -> Vec<Asked> {
        self.wanted().filter_map(Run::asked).collect()
    }

    /// The last question of each run that it took back, which may not have been heard.
    pub fn withdrawn(&self) -> Vec<Withdrawn> {
        self.wanted().filter_map(Run::withdrawn).collect()
    }

    pub fn asking(&mut self, request_id: RequestId) -> Option<&mut Run> {
        let asks = |run: &&mut Run| run.question.as_ref().is_some_and(|one| one.request_id == request_id);
        self.slots.iter_mut().flatten().find(asks)
    }

    /// Whether there is output to watch.
    pub fn any_running(&self) -> bool {
        self.wanted().any(|run| matches!(run.phase, Phase::Running(_)))
    }

    /// Makes every length worth telling again.
    pub fn tell_output_again(&mut self) {
        for run in self.slots.iter_mut().flatten() {
            run.told_bytes = 0;
        }
    }

    /// Makes what every run has spent worth telling, also where that is nothing.
    pub fn tell_spent_again(&mut self) {
        self.slots.iter_mut().flatten().for_each(|run| run.told_spent = None);
    }

    /// What runs have spent, where that is not what was told last.
    pub fn spent(&mut self) -> Vec<Spent> {
        self.slots.iter_mut().flatten().filter(|run| run.wanted).filter_map(Run::spent).collect()
    }

    /// The outputs that have grown since they were told last.
    pub fn grown(&mut self) -> Vec<OutputLength> {
        self.slots.iter_mut().flatten().filter(|run| run.wanted).filter_map(Run::grown).collect()
    }
}

impl Run {
    /// Takes that the run wants no answer to a question any more.
    pub fn take_back(&mut self, number: u32) -> Option<Withdrawn> {
        let question = self.question.take_if(|question| question.number == number)?;
        self.taken_back = Some(question.request_id);
        self.withdrawn()
    }

    fn withdrawn(&self) -> Option<Withdrawn> {
        self.taken_back.map(|request_id| Withdrawn { lease: self.lease, request_id })
    }

    pub fn asked(&self) -> Option<Asked> {
        self.question.as_ref().map(|question| Asked {
            lease: self.lease,
            request_id: question.request_id,
            kind: question.asks.kind.as_str().to_owned(),
            text: question.asks.text.clone(),
            tool: question.asks.tool.clone(),
            // What is left after secrets are taken out may be no JSON any more.
            input: question.asks.input.clone().and_then(|input| RawValue::from_string(input).ok()),
        })
    }

    fn spent(&mut self) -> Option<Spent> {
        let Phase::Running(run) = &self.phase else { return None };
        let spent = run.progress.borrow().spent;
        let is_known = self.told_spent.replace(spent) == Some(spent);
        let Amount { usd_micros, tokens } = spent.amount;
        let usage = report::usage(spent.usage);
        (!is_known).then_some(Spent { lease: self.lease, usd_micros, tokens, usage })
    }

    pub fn grown(&mut self) -> Option<OutputLength> {
        let Phase::Running(run) = &self.phase else { return None };
        let bytes = run.progress.borrow().output_bytes;
        self.grown_to(bytes)
    }

    pub fn grown_to(&mut self, bytes: u64) -> Option<OutputLength> {
        let grown = bytes > self.told_bytes;
        self.told_bytes = bytes;
        grown.then_some(OutputLength { lease: self.lease, bytes })
    }

    /// Tells the run something; what is said before it is given to its slot is told then.
    pub fn tell(&mut self, message: Told) {
        if self.told.len() >= MAX_TOLD || self.told.iter().any(|known| known.id == message.id) {
            return;
        }
        if let Phase::Running(run) = &self.phase {
            run.control.tell(message.text.clone());
        }
        self.told.push(message);
    }

    /// Hears whether tasks live below it.
    pub fn below(&mut self, any: bool) {
        self.has_below = any;
        if let (true, Phase::Running(run)) = (any, &self.phase) {
            run.control.lend();
        }
    }

    /// Says what came before it was given to its slot.
    pub fn tell_all(&self) {
        if let Phase::Running(run) = &self.phase {
            if self.has_below {
                run.control.lend();
            }
            self.told.iter().for_each(|message| run.control.tell(message.text.clone()));
        }
    }

    /// Ends the program, where there is one.
    pub fn end(&self, end: runner::End) {
        if let Phase::Running(run) = &self.phase {
            run.control.end(end);
        }
    }
}
