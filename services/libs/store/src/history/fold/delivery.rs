//! What events make of deliveries.

use conductor_core::{Answer, Notice, Route, Seq, TaskId, Tried, Wall};

use crate::history::record::{DeliveryRecord, DeliveryState};

/// Something about a delivery.
#[derive(Debug)]
pub(crate) enum Told {
    /// It became due.
    Due(DeliveryRecord),
    /// It was tried.
    Tried { delivery: Seq, at: Wall, tried: Tried, answer: Answer },
}

pub(super) fn due(seq: Seq, at: Wall, task: TaskId, route: &Route, notice: Notice) -> DeliveryRecord {
    DeliveryRecord {
        seq,
        task,
        route: route.clone(),
        notice,
        to: None,
        tries: 0,
        state: DeliveryState::Pending { next_at: at },
        status: None,
        error: None,
        last_at: at,
    }
}
