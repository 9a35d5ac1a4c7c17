//! What is kept for how long, what is pinned, and what a dry run says.

use std::fs;

use conductor_core::TaskId;
use conductor_protocol::Code;
use conductor_protocol::control::{AuditCall, GcKind, GcView};
use serde_json::json;

use super::rights::refused;
use super::server::Server;

const DAY: u64 = 86_400;
/// So that the disk of the machine that tests decides nothing.
const ROOMY: (&str, &str) = ("CONDUCTOR__RETENTION__MAX_VOLUME_PERCENT", "100");

/// A task that is over, with a folder.
async fn ended(server: &Server) -> TaskId {
    let task = server.submit(json!({"prompt": "x"})).await;
    server.control.cancel(task, None).await.unwrap();
    fs::create_dir_all(server.home().tasks().join(task.to_string()).join("work")).unwrap();
    task
}

fn told(view: &GcView) -> Vec<(TaskId, GcKind)> {
    view.items.iter().map(|item| (item.id, item.what)).collect()
}

fn has(server: &Server, task: TaskId, folder: &str) -> bool {
    server.home().tasks().join(task.to_string()).join(folder).exists()
}

#[tokio::test]
async fn work_folders_go_after_three_days_and_runs_after_thirty_unless_they_are_pinned() {
    let mut server = Server::with(&[ROOMY]).await;
    let (pinned, other) = (ended(&server).await, ended(&server).await);
    server.control.pin(pinned, true).await.unwrap();
    assert!(server.view(pinned).await.pinned && !server.view(other).await.pinned);
    assert!(told(&server.control.gc(true).await.unwrap()).is_empty(), "nothing is old yet");

    server.advance(4 * DAY);
    let would = server.control.gc(true).await.unwrap();
    assert_eq!(told(&would), [(other, GcKind::WorkFolder)]);
    assert!(would.dry_run && would.items[0].why.contains("retention.work_hours"), "{would:?}");
    assert_eq!((would.runs, would.work_folders, would.pinned), (0, 1, 1));
    assert!(has(&server, other, "work"), "a dry run deletes nothing");
    let did = server.control.gc(false).await.unwrap();
    assert_eq!((did.runs, did.work_folders), (0, 1));
    assert!(has(&server, pinned, "work") && has(&server, other, "") && !has(&server, other, "work"));

    // A pin outlasts the orchestrator.
    server.restart(std::time::Duration::from_secs(30 * DAY)).await;
    let would = server.control.gc(true).await.unwrap();
    assert_eq!((told(&would), would.runs), (vec![(other, GcKind::Run)], 1));
    assert!(would.items[0].why.contains("retention.runs_days"), "{would:?}");
    let did = server.control.gc(false).await.unwrap();
    assert_eq!((did.runs, did.pinned), (1, 1));
    assert!(has(&server, pinned, "work") && !has(&server, other, ""));
    assert_eq!(server.control.list(Default::default()).await.unwrap().items.len(), 1);

    let delete = conductor_protocol::control::Call::Delete(conductor_protocol::control::Id { id: pinned });
    let problem = refused(&server.control, delete).await.expect("it is pinned");
    assert!(problem.code == Code::Conflict && problem.detail.contains("unpin"), "{problem}");
    server.control.pin(pinned, false).await.unwrap();
    server.control.pin(pinned, false).await.unwrap();
    let audit = server.control.audit(AuditCall::default()).await.unwrap().items;
    let told: Vec<_> = audit.iter().filter(|entry| entry.action.ends_with("pin")).collect();
    assert_eq!(told.iter().map(|entry| entry.action.as_str()).collect::<Vec<_>>(), ["unpin", "pin"]);
    assert!(told.iter().all(|entry| entry.subject.contains(&pinned.to_string())), "{told:?}");
    assert_eq!(server.control.gc(false).await.unwrap().runs, 1);
    assert!(!has(&server, pinned, ""));
}

#[tokio::test]
async fn a_volume_that_is_too_full_is_told_and_what_still_has_its_work_stays() {
    // Every volume is fuller than that.
    let server = Server::with(&[("CONDUCTOR__RETENTION__MAX_VOLUME_PERCENT", "1")]).await;
    let (kept, old) = (ended(&server).await, ended(&server).await);
    server.control.pin(kept, true).await.unwrap();
    server.advance(4 * DAY);
    let new = ended(&server).await;
    let would = server.control.gc(true).await.unwrap();
    assert!(told(&would).contains(&(old, GcKind::RunUntilRoom)), "{would:?}");
    let why = &would.items.iter().find(|item| item.what == GcKind::RunUntilRoom).unwrap().why;
    assert!(why.contains("retention.max_volume_percent is 1"), "{why}");
    assert!(!told(&would).iter().any(|(task, _)| [kept, new].contains(task)), "{would:?}");
    let did = server.control.gc(false).await.unwrap();
    assert_eq!(did.runs, 1);
    assert!(has(&server, kept, "work") && has(&server, new, "work") && !has(&server, old, ""));
}
