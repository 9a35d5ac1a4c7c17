//! Records of agents and schedules.

use conductor_core::{
    AgentId, CatchUp, InstanceId, Name, Overlap, Profile, RunnerOffer, Schedule, ScheduleId, TaskId, Wall,
};

use super::context::{Context, Invalid};
use super::mirror::{Mirror, mirror_names, mirror_struct};

mirror_struct!(RunnerOffer => RunnerOfferV1 {
    runner: Name,
    version: Option<Box<str>>,
    ready: bool,
    missing: Option<Box<str>>,
});

mirror_struct!(Profile => ProfileV1 {
    agent_id: AgentId,
    instance: InstanceId,
    name: Name,
    host: Box<str>,
    version: Box<str>,
    slots: u32,
    labels: Box<[Name]>,
    runners: Box<[RunnerOffer]>,
});

mirror_names!(Overlap => OverlapV1 { Skip, Queue, Cancel });

mirror_names!(CatchUp => CatchUpV1 { None, One });

mirror_struct!(Schedule => ScheduleV1 {
    id: ScheduleId,
    name: Option<Box<str>>,
    group: Name,
    overlap: Overlap,
    catch_up: CatchUp,
    next_at: Wall,
    last_task: Option<TaskId>,
});
