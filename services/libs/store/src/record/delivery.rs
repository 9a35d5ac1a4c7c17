//! Records of what somebody is told.

use conductor_core::{Answer, Delivery, Name, Notice, Route, Seq, TaskId, Tried, Wall};

use super::context::{Context, Invalid};
use super::mirror::{Mirror, mirror_enum, mirror_names, mirror_struct};

mirror_names!(Notice => NoticeV1 { Finished, Failed, Waiting, Unservable, DiskFloor, ScheduleStopped, LaneClosed, BudgetNear });

mirror_enum!(Route => RouteV1 { Webhook, Rule(name: Name) });

mirror_enum!(Tried => TriedV1 { Delivered, Again { next_at: Wall }, GivenUp });

mirror_struct!(Answer => AnswerV1 { to: Box<str>, status: Option<u16>, error: Option<Box<str>> });

mirror_struct!(Delivery => DeliveryV1 {
    seq: Seq,
    made_at: Wall,
    task: Option<TaskId>,
    route: Route,
    notice: Notice,
    detail: Box<str>,
    tries: u16,
    next_at: Wall,
});
