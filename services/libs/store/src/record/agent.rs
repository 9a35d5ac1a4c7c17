//! Records of agents, their credentials, and schedules.

use conductor_core::{
    AgentId, AgentLanes, CatchUp, InstanceId, Lane, Name, Overlap, Profile, RunnerLane, RunnerOffer,
    Schedule, ScheduleId, TaskId, Trouble, Wall,
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

mirror_struct!(Lane => LaneV1 {
    name: Name,
    closed: bool,
    rests_until: Option<Wall>,
    auth_failures: u8,
    trust: u8,
});

mirror_struct!(RunnerLane => RunnerLaneV1 { runner: Name, lane: Name });

mirror_struct!(AgentLanes => AgentLanesV1 { agent: AgentId, lanes: Box<[RunnerLane]> });

mirror_struct!(Trouble => TroubleV1 {
    task: TaskId,
    lane: Option<Name>,
    limits: u16,
    new_session: bool,
});
