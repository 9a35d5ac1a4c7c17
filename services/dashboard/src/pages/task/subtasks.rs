//! The tasks below a task.

use conductor_client::Control;
use conductor_core::TaskId;
use conductor_protocol::control::{Filter, ListRequest, Sort};
use conductor_web::Refusal;

use crate::frame::Frame;
use crate::ui::Row;
use crate::visitor::Visitor;

/// How many subtasks a task's page shows; the list has all of them.
const SUBTASKS: u32 = 50;

/// The tasks below a task.
#[derive(Debug)]
pub struct Subtasks {
    /// The first of them.
    pub rows: Vec<Row>,
    /// Where all of them are listed.
    pub link: String,
    /// Whether there are more.
    pub is_cut: bool,
}

/// Reads the tasks below a task; nothing when there are none.
pub async fn read(
    visitor: &Visitor,
    control: &Control,
    f: &Frame,
    id: TaskId,
) -> Result<Option<Subtasks>, Refusal> {
    let request = ListRequest {
        filter: Filter { parent: Some(id.to_string()), ..Filter::default() },
        sort: Sort::Oldest,
        limit: Some(SUBTASKS),
        cursor: None,
        // What the frame tells of is on the page too.
        at_least_seq: Some(f.seq),
    };
    let list = visitor.list(control, request).await?;
    let (w, now) = (visitor.words(), visitor.now());
    Ok((!list.items.is_empty()).then(|| Subtasks {
        rows: list.items.iter().map(|task| Row::new(w, now, task)).collect(),
        link: f.url(&format!("/tasks?parent={id}&sort=oldest")),
        is_cut: list.next_cursor.is_some(),
    }))
}
