//! An agent: slots, runs, an outbox that outlives its worker, and a connection.

use std::collections::{BTreeMap, VecDeque};

use conductor_core::{
    AgentId, AgentSay, AttemptEnd, Failure, FailureReason, InstanceId, Lease, Name, Profile, Question,
    RequestId, RunnerOffer,
};

use super::action::End;

/// What an agent is told.
#[derive(Debug, Clone)]
pub(super) enum Told {
    Welcome { stale: Vec<Lease> },
    Assign(Lease),
    Acknowledge(Lease),
    EndRun { lease: Lease, revoked: bool },
    Answer(RequestId),
}

/// An agent.
#[derive(Debug)]
pub(super) struct Agent {
    pub(super) id: AgentId,
    name: Name,
    instance: u128,
    slots: u32,
    pub(super) link: Option<Link>,
    /// Runs, and the question that each waits with.
    runs: BTreeMap<Lease, Option<RequestId>>,
    outbox: BTreeMap<Lease, AttemptEnd>,
}

/// A connection.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) session: u64,
    pub(super) said: VecDeque<AgentSay>,
    pub(super) told: VecDeque<Told>,
}

impl Agent {
    pub(super) fn new(number: u128) -> Self {
        Self {
            id: AgentId(number + 1),
            name: Name::new(&format!("agent-{number}")).expect("a name"),
            instance: 1,
            slots: 2,
            link: None,
            runs: BTreeMap::new(),
            outbox: BTreeMap::new(),
        }
    }

    /// Opens a connection and says what it holds.
    pub(super) fn connect(&mut self, session: u64) {
        let runner = RunnerOffer {
            runner: Name::new("mock").expect("a name"),
            version: None,
            ready: true,
            missing: None,
        };
        let profile = Box::new(Profile {
            agent_id: self.id,
            instance: InstanceId(self.instance),
            name: self.name.clone(),
            host: "here".into(),
            version: "1".into(),
            slots: self.slots,
            labels: Box::new([]),
            runners: Box::new([runner]),
        });
        let held = self.runs.keys().chain(self.outbox.keys()).copied().collect();
        let free = self.slots - u32::try_from(self.runs.len()).expect("few runs");
        let said = VecDeque::from([AgentSay::Hello { profile, held }, AgentSay::Credits(free)]);
        self.link = Some(Link { session, said, told: VecDeque::new() });
    }

    /// Takes up the next thing that it was told; answers a lease whose report was acknowledged.
    pub(super) fn take_up(&mut self) -> Option<Lease> {
        match self.link.as_mut()?.told.pop_front()? {
            Told::Welcome { stale } => {
                for lease in stale {
                    self.drop_lease(lease);
                }
                let reports: Vec<_> = self.outbox.iter().map(|(lease, end)| (*lease, end.clone())).collect();
                for (lease, end) in reports {
                    self.say(AgentSay::Finished { lease, end, report: Box::default() });
                }
                let runs: Vec<_> = self.runs.iter().map(|(lease, asked)| (*lease, *asked)).collect();
                for (lease, asked) in runs {
                    self.say(AgentSay::Started(lease));
                    if let Some(request_id) = asked {
                        self.say(asking(lease, request_id));
                    }
                }
            }
            Told::Assign(lease) => {
                self.runs.insert(lease, None);
                assert!(self.runs.len() <= self.slots as usize, "{} has a free slot for {lease}", self.name);
                self.say(AgentSay::Started(lease));
            }
            Told::Acknowledge(lease) => {
                self.outbox.remove(&lease);
                return Some(lease);
            }
            Told::EndRun { lease, revoked: true } => self.drop_lease(lease),
            Told::EndRun { lease, revoked: false } => {
                if self.runs.contains_key(&lease) {
                    self.over(lease, AttemptEnd::Cancelled);
                }
            }
            Told::Answer(request_id) => {
                for asked in self.runs.values_mut().filter(|asked| **asked == Some(request_id)) {
                    *asked = None;
                }
            }
        }
        None
    }

    /// Lets one of its runs end by itself, unless it waits for a person.
    pub(super) fn end(&mut self, run: usize, end: End) {
        let Some((lease, None)) = self.nth(run) else { return };
        let end = match end {
            End::Succeeds => AttemptEnd::Succeeded,
            End::Fails => AttemptEnd::Failed(Failure::new(FailureReason::ExitCode, "exit code 1")),
            End::Crashes => AttemptEnd::Crashed("its keeper died".into()),
            End::Stops => AttemptEnd::Stopped,
            End::IsLimited => AttemptEnd::Limited { rest_ms: 20_000, message: "later".into() },
        };
        self.over(lease, end);
    }

    /// Lets one of its runs ask a person.
    pub(super) fn ask(&mut self, run: usize, request_id: RequestId) {
        let Some((lease, None)) = self.nth(run) else { return };
        self.runs.insert(lease, Some(request_id));
        self.say(asking(lease, request_id));
    }

    /// Loses its runs and its connection, and comes back as another instance.
    pub(super) fn kill(&mut self) {
        self.runs.clear();
        self.link = None;
        self.instance += 1;
    }

    /// Says that it lives.
    pub(super) fn beat(&mut self) {
        self.say(AgentSay::Heartbeat);
    }

    /// Whether it has nothing to do and nothing to report.
    pub(super) fn is_idle(&self) -> bool {
        self.runs.is_empty() && self.outbox.is_empty()
    }

    /// Whether it works under this lease.
    pub(super) fn runs(&self, lease: Lease) -> bool {
        self.runs.contains_key(&lease)
    }

    pub(super) fn run_count(&self) -> usize {
        self.runs.len()
    }

    fn nth(&self, run: usize) -> Option<(Lease, Option<RequestId>)> {
        let run = run.checked_rem(self.runs.len())?;
        self.runs.iter().nth(run).map(|(lease, asked)| (*lease, *asked))
    }

    /// A run is over: its result is in the outbox before it is reported.
    fn over(&mut self, lease: Lease, end: AttemptEnd) {
        self.runs.remove(&lease);
        self.outbox.insert(lease, end.clone());
        self.say(AgentSay::Finished { lease, end, report: Box::default() });
        self.say(AgentSay::Credits(1));
    }

    /// What was done under a lease is not wanted.
    fn drop_lease(&mut self, lease: Lease) {
        self.outbox.remove(&lease);
        if self.runs.remove(&lease).is_some() {
            self.say(AgentSay::Credits(1));
        }
    }

    fn say(&mut self, say: AgentSay) {
        if let Some(link) = &mut self.link {
            link.said.push_back(say);
        }
    }
}

fn asking(lease: Lease, request_id: RequestId) -> AgentSay {
    AgentSay::Asked { lease, question: Question { request_id, detail_json: "{}".into() } }
}
