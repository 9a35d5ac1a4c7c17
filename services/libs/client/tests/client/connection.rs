//! One connection: many requests, streams, slow readers and its end.

use std::time::Duration;

use crate::fake::{KEY, Peer, raw};
use conductor_client::{Control, Error, Options, Target, WhenFull};
use conductor_core::TaskId;
use conductor_protocol::control::{
    ActorView, Call, Done, Events, Groups, Output, OutputEnd, Role, Submit, Submitted,
};
use conductor_protocol::event::EventView;
use conductor_protocol::{Code, Problem};
use tokio::io::DuplexStream;

const ID: TaskId = TaskId(42);

async fn pair(options: Options) -> (Control, Peer<DuplexStream>) {
    let (here, there) = tokio::io::duplex(64 << 10);
    let (control, peer) = tokio::join!(Control::over(here, KEY, options), Peer::accept(there));
    (control.unwrap(), peer)
}

fn options() -> Options {
    Options::new("test")
}

fn output() -> Output {
    Output { id: ID, attempt: Some(1), offset: 0, follow: true, limit: None }
}

fn event(seq: u64) -> EventView {
    let json = serde_json::json!({"seq": seq, "at": "2026-01-31T08:00:00Z", "topic": "tasks", "kind": "x"});
    serde_json::from_value(json).unwrap()
}

/// Long enough for any step of a test, so that one that hangs fails.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("it hangs")
}

#[tokio::test]
async fn answers_find_their_requests_in_any_order() {
    let (control, mut peer) = pair(options()).await;
    assert_eq!(control.welcome().pid, 7);
    let server = tokio::spawn(async move {
        let mut requests = Vec::new();
        while requests.len() < 100 {
            requests.push(peer.request().await.unwrap());
        }
        for request in requests.into_iter().rev() {
            let Call::DrainAgent(drain) = request.call else { panic!("asked {:?}", request.call) };
            peer.answer(request.id, &drain.name).await;
        }
        peer
    });
    let mut asked = tokio::task::JoinSet::new();
    for number in 0..100 {
        let control = control.clone();
        asked.spawn(async move {
            let name = format!("agent-{number}");
            let call = Call::DrainAgent(conductor_protocol::control::DrainAgent { name, draining: true });
            let answer: String = control.ask(call).await.unwrap();
            assert_eq!(answer, format!("agent-{number}"));
        });
    }
    soon(asked.join_all()).await;
    server.await.unwrap();
}

#[tokio::test]
async fn requests_are_made_on_behalf_of_the_actor() {
    let (control, mut peer) = pair(options()).await;
    let actor = ActorView {
        name: "ci".into(),
        role: Role::Viewer,
        groups: Groups::All,
        via: "http".into(),
        address: None,
        attempt: None,
    };
    let other = control.on_behalf_of(actor.clone());
    let server = async {
        let first = peer.request().await.unwrap();
        peer.answer(first.id, &Done {}).await;
        let second = peer.request().await.unwrap();
        peer.answer(second.id, &Done {}).await;
        (first.actor, second.actor)
    };
    let client = async {
        control.pause(true).await.unwrap();
        other.pause(true).await.unwrap();
    };
    let (actors, ()) = tokio::join!(server, client);
    assert_eq!(actors, (None, Some(actor)));
}

#[tokio::test]
async fn a_wrong_key_is_refused_with_the_problem() {
    let (here, there) = tokio::io::duplex(64 << 10);
    let server = tokio::spawn(Peer::accept(there));
    let error = Control::over(here, "wrong", options()).await.unwrap_err();
    assert!(matches!(&error, Error::Refused(problem) if problem.code == Code::Unauthorized), "{error:?}");
    assert!(!error.is_of_the_connection());
    server.await.unwrap();
}

#[tokio::test]
async fn a_socket_without_a_listener_is_unreachable_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let target = Target::of_socket(&folder.path().join("control.sock"));
    let error = target.connect(options()).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains("control.sock") && error.is_of_the_connection());
}

#[tokio::test]
async fn a_problem_is_the_error_of_its_request_alone() {
    let (control, mut peer) = pair(options()).await;
    let server = tokio::spawn(async move {
        let first = peer.request().await.unwrap();
        peer.refuse(first.id, Problem::new(Code::NotFound, "no such task")).await;
        let second = peer.request().await.unwrap();
        peer.answer(second.id, &Done {}).await;
        peer
    });
    let error = control.delete(ID).await.unwrap_err();
    assert!(matches!(&error, Error::Refused(problem) if problem.code == Code::NotFound), "{error:?}");
    control.delete(ID).await.unwrap();
    assert!(!control.is_lost());
    server.await.unwrap();
}

#[tokio::test]
async fn a_lost_connection_ends_every_request_and_every_later_one() {
    let (control, mut peer) = pair(options()).await;
    let under_way = {
        let control = control.clone();
        tokio::spawn(async move { control.wait(ID, 60_000).await })
    };
    let mut stream = control.output(output()).await.unwrap();
    peer.request().await.unwrap();
    peer.request().await.unwrap();
    drop(peer);
    assert!(matches!(soon(under_way).await.unwrap(), Err(Error::Lost(_))));
    assert!(matches!(soon(stream.next()).await, Err(Error::Lost(_))));
    assert!(matches!(soon(control.lost()).await, Error::Lost(_)));
    assert!(matches!(soon(control.get(ID)).await, Err(Error::Lost(_))));
    assert!(control.is_lost());
}

#[tokio::test]
async fn a_stream_brings_its_pieces_and_then_its_end() {
    let (control, mut peer) = pair(options()).await;
    let server = tokio::spawn(async move {
        let request = peer.request().await.unwrap();
        peer.bytes(request.id, 0, b"hel").await;
        peer.bytes(request.id, 3, b"lo").await;
        peer.answer(request.id, &OutputEnd { attempt: 1, offset: 5, bytes: 0 }).await;
        peer
    });
    let mut chunks = control.output(output()).await.unwrap();
    let first = soon(chunks.next()).await.unwrap().unwrap();
    assert_eq!((first.offset, &first.bytes[..]), (0, &b"hel"[..]));
    assert_eq!(soon(chunks.next()).await.unwrap().unwrap().offset, 3);
    assert_eq!(soon(chunks.next()).await.unwrap(), None);
    assert_eq!(chunks.end().unwrap().offset, 5);
    assert_eq!(soon(chunks.next()).await.unwrap(), None, "the end stays the end");
    server.await.unwrap();
}

#[tokio::test]
async fn a_stream_that_nobody_reads_ends_and_holds_nothing_up() {
    let (control, mut peer) = pair(options()).await;
    let mut events = control.events(Events { since: Some(0), follow: true }).await.unwrap();
    let server = tokio::spawn(async move {
        let stream = peer.request().await.unwrap();
        for seq in 0..2_000 {
            peer.item(stream.id, &event(seq)).await;
        }
        let (mut stopped, mut paused) = (None, false);
        while stopped.is_none() || !paused {
            let request = peer.request().await.unwrap();
            peer.answer(request.id, &Done {}).await;
            match request.call {
                Call::Stop(stop) => stopped = Some(stop.request == stream.id),
                other => paused = matches!(other, Call::Pause(_)),
            }
        }
        (stopped, peer)
    });
    soon(control.pause(true)).await.unwrap();
    let (stopped, _peer) = soon(server).await.unwrap();
    assert_eq!(stopped, Some(true), "the orchestrator was told to stop");
    let mut read = 0;
    let error = loop {
        match soon(events.next()).await {
            Ok(Some(event)) => {
                assert_eq!(event.seq, read);
                read += 1;
            }
            Ok(None) => panic!("a cut stream looks like a whole one"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::Slow), "{error:?}");
    assert!((1_000..2_000).contains(&read), "{read}");
}

#[tokio::test]
async fn a_connection_that_waits_brings_everything_to_a_slow_reader() {
    let (control, mut peer) = pair(options().when_full(WhenFull::Wait)).await;
    let server = tokio::spawn(async move {
        let request = peer.request().await.unwrap();
        for number in 0..500_u64 {
            peer.bytes(request.id, number * 1_000, &[7; 1_000]).await;
        }
        peer.answer(request.id, &OutputEnd { attempt: 1, offset: 500_000, bytes: 0 }).await;
        peer
    });
    let mut chunks = control.output(output()).await.unwrap();
    let mut offset = 0;
    while let Some(chunk) = soon(chunks.next()).await.unwrap() {
        assert_eq!(chunk.offset, offset);
        offset += chunk.bytes.len() as u64;
        tokio::task::yield_now().await;
    }
    assert_eq!(offset, 500_000);
    server.await.unwrap();
}

#[tokio::test]
async fn a_dropped_stream_is_ended_at_the_orchestrator() {
    let (control, mut peer) = pair(options()).await;
    let stream = control.output(output()).await.unwrap();
    let request = peer.request().await.unwrap();
    drop(stream);
    let stop = soon(peer.request()).await.unwrap();
    assert!(matches!(stop.call, Call::Stop(stop) if stop.request == request.id), "{:?}", stop.call);
    // Neither what was on its way nor the last word disturbs others.
    peer.bytes(request.id, 0, b"late").await;
    peer.answer(request.id, &OutputEnd { attempt: 1, offset: 4, bytes: 0 }).await;
    peer.answer(stop.id, &Done {}).await;
    let server = tokio::spawn(async move {
        let request = peer.request().await.unwrap();
        peer.answer(request.id, &Done {}).await;
        peer
    });
    soon(control.pause(false)).await.unwrap();
    server.await.unwrap();
}

#[tokio::test]
async fn the_connection_ends_with_its_last_holder() {
    let (control, mut peer) = pair(options()).await;
    let stream = control.output(output()).await.unwrap();
    drop(control);
    peer.request().await.expect("the stream holds the connection");
    drop(stream);
    while soon(peer.request()).await.is_some() {}
}

#[tokio::test]
async fn a_request_that_is_too_large_is_refused_before_it_is_sent() {
    let (control, peer) = pair(options()).await;
    let tasks = vec![raw(&"x".repeat(17 << 20))];
    let error = control.submit(Submit { tasks, key: None }).await.unwrap_err();
    assert!(matches!(&error, Error::Refused(problem) if problem.code == Code::PayloadTooLarge), "{error:?}");
    assert!(!control.is_lost());
    drop(peer);
}

#[tokio::test]
async fn two_sides_that_both_write_much_do_not_wait_for_each_other() {
    let (control, mut peer) = pair(options()).await;
    // The orchestrator writes a megabyte in answer to each request before it reads the next.
    let server = tokio::spawn(async move {
        for _ in 0..16 {
            let request = peer.request().await.unwrap();
            peer.answer(request.id, &"y".repeat(1 << 20)).await;
        }
        peer
    });
    let mut asked = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let control = control.clone();
        asked.spawn(async move {
            let submit = Submit { tasks: vec![raw(&"x".repeat(1 << 20))], key: None };
            control.ask::<String>(Call::Submit(submit)).await.unwrap().len()
        });
    }
    assert_eq!(soon(asked.join_all()).await, [1 << 20; 16]);
    server.await.unwrap();
}

#[tokio::test]
async fn an_answer_of_another_kind_is_malformed_and_not_a_panic() {
    let (control, mut peer) = pair(options()).await;
    let server = tokio::spawn(async move {
        let request = peer.request().await.unwrap();
        peer.answer(request.id, &"surprise").await;
        peer
    });
    let error = control.ask::<Submitted>(Call::Status).await.unwrap_err();
    assert!(matches!(error, Error::Malformed(_)), "{error:?}");
    server.await.unwrap();
}
