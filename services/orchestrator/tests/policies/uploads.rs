//! Files that are sent before the task that takes them.

use std::time::Duration;

use conductor_client::Error;
use conductor_protocol::control::{ActorView, CreateUpload, Groups, Role, UploadKind, UploadView};
use conductor_protocol::{Code, Problem};
use serde_json::json;

use super::server::{Server, assigned};

const HELLO_SHA256: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

fn raw(bytes: Option<u64>, sha256: Option<&str>) -> CreateUpload {
    CreateUpload { kind: UploadKind::Raw, bytes, sha256: sha256.map(ToOwned::to_owned), reuse: false }
}

fn problem<T: std::fmt::Debug>(result: Result<T, Error>) -> Problem {
    match result.unwrap_err() {
        Error::Refused(problem) => problem,
        other => panic!("{other}"),
    }
}

async fn hello(server: &Server) -> UploadView {
    let upload = server.control.create_upload(raw(Some(5), Some(HELLO_SHA256))).await.unwrap();
    server.control.append_upload(upload.id, 0, b"hello", true).await.unwrap()
}

#[tokio::test]
async fn an_upload_goes_on_where_it_was_also_over_a_restart_and_is_named_to_the_agent() {
    let mut server = Server::new().await;
    let upload = server.control.create_upload(raw(None, None)).await.unwrap();
    server.control.append_upload(upload.id, 0, b"he", false).await.unwrap();
    server.restart(Duration::ZERO).await;
    assert_eq!(server.control.upload(upload.id).await.unwrap().offset, 2);
    let elsewhere = problem(server.control.append_upload(upload.id, 0, b"he", false).await);
    assert_eq!(elsewhere.code, Code::Conflict);
    let files = json!([{"path": "a", "upload": upload.id}]);
    let early = server.try_submit(vec![json!({"prompt": "x", "files": files})], None).await.unwrap_err();
    assert_eq!(early.errors[0].pointer, "/files/0/upload");
    let done = server.control.append_upload(upload.id, 2, b"llo", true).await.unwrap();
    assert_eq!((done.complete, done.bytes, done.sha256.as_deref()), (true, Some(5), Some(HELLO_SHA256)));
    assert_eq!(problem(server.control.append_upload(upload.id, 5, b"!", true).await).code, Code::Conflict);
    let task = server.submit(json!({"prompt": "x", "files": files})).await;
    let mut agent = server.agent("one", 1);
    let mut session = agent.connect().await.unwrap();
    let assign = assigned(&mut session).await;
    assert_eq!(assign.task, task);
    assert_eq!((assign.uploads[0].id, assign.uploads[0].bytes), (upload.id, 5));
    assert_eq!(assign.uploads[0].sha256, HELLO_SHA256);
}

#[tokio::test]
async fn bytes_that_are_not_those_announced_are_refused_and_may_be_sent_anew() {
    let server = Server::new().await;
    let upload = server.control.create_upload(raw(Some(5), Some(HELLO_SHA256))).await.unwrap();
    let long = problem(server.control.append_upload(upload.id, 0, b"hello!", true).await);
    assert_eq!(long.code, Code::PayloadTooLarge);
    let other = problem(server.control.append_upload(upload.id, 0, b"jello", true).await);
    assert_eq!(other.errors[0].pointer, "/sha256");
    assert_eq!(server.control.upload(upload.id).await.unwrap().offset, 0);
    let short = problem(server.control.append_upload(upload.id, 0, b"hell", true).await);
    assert_eq!(short.errors[0].pointer, "/bytes");
    assert!(server.control.append_upload(upload.id, 0, b"hello", true).await.unwrap().complete);
    let bad = problem(server.control.create_upload(raw(None, Some("xyz"))).await);
    assert_eq!(bad.errors[0].pointer, "/sha256");
}

#[tokio::test]
async fn uploads_are_bounded_each_and_together() {
    let server = Server::with(&[("CONDUCTOR__API__MAX_UPLOAD_BYTES", "4")]).await;
    assert_eq!(problem(server.control.create_upload(raw(Some(5), None)).await).code, Code::PayloadTooLarge);
    for _ in 0..16 {
        let upload = server.control.create_upload(raw(None, None)).await.unwrap();
        server.control.append_upload(upload.id, 0, b"1234", true).await.unwrap();
    }
    let upload = server.control.create_upload(raw(None, None)).await.unwrap();
    let full = problem(server.control.append_upload(upload.id, 0, b"1", false).await);
    assert_eq!(full.code, Code::StorageFull);
}

#[tokio::test]
async fn an_upload_of_somebody_else_is_not_there() {
    let server = Server::new().await;
    let upload = hello(&server).await;
    let other = ActorView {
        name: "other".into(),
        role: Role::Operator,
        groups: Groups::All,
        via: "http".into(),
        address: None,
        attempt: None,
    };
    let other = server.control.on_behalf_of(other);
    assert_eq!(problem(other.upload(upload.id).await).code, Code::NotFound);
    assert_eq!(problem(other.append_upload(upload.id, 0, b"x", false).await).code, Code::NotFound);
    let task = serde_json::value::to_raw_value(
        &json!({"prompt": "x", "files": [{"path": "a", "upload": upload.id}]}),
    );
    let submit = conductor_protocol::control::Submit { tasks: vec![task.unwrap()], key: None };
    assert_eq!(problem(other.submit(submit).await).errors[0].pointer, "/files/0/upload");
}

#[tokio::test]
async fn an_upload_goes_when_its_time_is_over_and_no_task_has_it() {
    let mut server = Server::new().await;
    let (taken, free) = (hello(&server).await, hello(&server).await);
    let files = json!([{"path": "a", "upload": taken.id}]);
    let task =
        server.submit(json!({"prompt": "x", "queue_timeout_seconds": 2_000_000, "files": files})).await;
    // Uploads are looked through at every start.
    server.restart(Duration::from_secs(25 * 3_600)).await;
    conductor_testkit::world::eventually(super::server::LIMIT, "what nobody took is gone", async || {
        server.control.upload(free.id).await.is_err().then_some(())
    })
    .await;
    assert!(server.control.upload(taken.id).await.unwrap().complete);
    server.control.cancel(task, None).await.unwrap();
    server.control.delete(task).await.unwrap();
    server.restart(Duration::ZERO).await;
    conductor_testkit::world::eventually(super::server::LIMIT, "it went with its task", async || {
        server.control.upload(taken.id).await.is_err().then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_was_sent_before_stands_in_for_the_same_bytes_of_the_same_owner() {
    let server = Server::new().await;
    let first = hello(&server).await;
    let again = || CreateUpload { reuse: true, ..raw(Some(5), Some(HELLO_SHA256)) };
    let same = server.control.create_upload(again()).await.unwrap();
    assert_eq!((same.id, same.complete, same.offset), (first.id, true, 5));
    let plain = server.control.create_upload(raw(Some(5), Some(HELLO_SHA256))).await.unwrap();
    assert_ne!(plain.id, first.id, "it was not asked for");
    let longer = CreateUpload { bytes: Some(6), ..again() };
    assert_ne!(server.control.create_upload(longer).await.unwrap().id, first.id);
    let other = ActorView {
        name: "other".into(),
        role: Role::Operator,
        groups: Groups::All,
        via: "http".into(),
        address: None,
        attempt: None,
    };
    let foreign = server.control.on_behalf_of(other).create_upload(again()).await.unwrap();
    assert!(foreign.id != first.id && !foreign.complete, "{foreign:?}");
}
