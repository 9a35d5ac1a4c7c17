//! Bad input over the control socket: a clear error each time, nothing kept of it, nothing lost, and the server serves on.

use std::os::unix::net::UnixListener;
use std::time::Duration;

use conductor_client::{Control, Error};
use conductor_core::TaskId;
use conductor_protocol::control::{Call, Id, Opened, Opening, Submit, VERSION};
use conductor_protocol::{Code, Problem};
use conductor_runtime::credentials::StartKey;
use conductor_testkit::world::{Spawned, World, body, submit_one, within};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::UnixStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::{WebSocketStream, client_async};

const LIMIT: Duration = Duration::from_secs(20);

/// An orchestrator with one task in its queue, which must be there still when all is said.
struct Served {
    world: World,
    orchestrator: Spawned,
    control: Control,
    task: TaskId,
}

impl Served {
    async fn new() -> Self {
        let world = World::new();
        let orchestrator = world.orchestrator().await;
        let control = world.connect().await;
        let task = submit_one(&control, &json!({"prompt": "stays"}), world.mark()).await;
        Self { world, orchestrator, control, task }
    }

    /// Nothing came in, nothing was lost, and what is good is still taken.
    async fn is_unharmed(&mut self) {
        assert!(self.orchestrator.ended().is_none(), "the orchestrator ended");
        let live: u64 = self.control.queue().await.unwrap().by_state.iter().map(|(_, count)| count).sum();
        assert_eq!(live, 1, "the queue holds what it held");
        assert_eq!(self.control.get(self.task).await.unwrap().prompt.as_deref(), Some("stays"));
        let again = submit_one(&self.control, &json!({"prompt": "good"}), self.world.mark()).await;
        self.control.cancel(again, None).await.unwrap();
    }

    async fn raw(&self) -> WebSocketStream<UnixStream> {
        let stream = UnixStream::connect(self.world.home().control_socket()).await.unwrap();
        client_async("ws://conductor/control", stream).await.unwrap().0
    }

    /// A connection that is let in, below the client.
    async fn open(&self) -> WebSocketStream<UnixStream> {
        let key = StartKey::read(&self.world.home().control_key()).unwrap().reveal().to_owned();
        let mut socket = self.raw().await;
        match open(&mut socket, key, VERSION).await {
            Opened::Welcome(_) => socket,
            Opened::Refused(problem) => panic!("{problem}"),
        }
    }
}

async fn open(socket: &mut WebSocketStream<UnixStream>, key: String, protocol: u32) -> Opened {
    let opening = Opening { protocol, key, client: "test".into() };
    socket.send(Message::text(serde_json::to_string(&opening).unwrap())).await.unwrap();
    let answer = within(LIMIT, "an answer to the opening", socket.next()).await.unwrap().unwrap();
    serde_json::from_str(answer.to_text().unwrap()).unwrap()
}

async fn refused(control: &Control, tasks: &[Value]) -> Problem {
    let submit = Submit { tasks: tasks.iter().map(|task| body(task, "none")).collect(), key: None };
    match control.submit(submit).await {
        Err(Error::Refused(problem)) => problem,
        other => panic!("{other:?} for {:.200}", format!("{tasks:?}")),
    }
}

fn pointers(problem: &Problem) -> Vec<&str> {
    problem.errors.iter().map(|error| error.pointer.as_str()).collect()
}

#[tokio::test]
async fn a_bad_task_is_refused_with_the_place_and_the_reason() {
    let mut served = Served::new().await;
    let unknown = "0199c000-0000-7000-8000-000000000000";
    let long = "x".repeat(10 << 20);
    let cases = [
        (json!({"prompt": "x", "runner": "gpt-17"}), "runner", "gpt-17"),
        (json!({"prompt": ""}), "prompt", "empty"),
        (json!({"prompt": "\n \t"}), "prompt", "empty"),
        (json!({}), "prompt", "needs"),
        (json!({"prompt": "x", "depends_on": [unknown]}), "depends_on", unknown),
        (json!({"prompt": "x", "depends_on": [{"ref": "nobody"}]}), "depends_on", "nobody"),
        (json!({"prompt": "x", "timeout_seconds": 0}), "timeout_seconds", "from 1"),
        (json!({"prompt": "x", "timeout_seconds": -1}), "timeout_seconds", "-1"),
        (json!({"prompt": long}), "prompt", "at most 1048576 bytes"),
        (json!({"prompt": "x", "files": [{"path": "a/../../b", "content": ""}]}), "files/0/path", ".."),
        (
            json!({"prompt": "x", "files": [{"path": "/etc/passwd", "content": ""}]}),
            "files/0/path",
            "absolute",
        ),
        (json!({"prompt": "x", "priority": 11}), "priority", "11"),
        (json!({"prompt": "x", "promt": "y"}), "promt", "unknown field"),
        (json!({"prompt": "x", "env": {"LD_PRELOAD": "/tmp/x.so"}}), "env/LD_PRELOAD", "may not set"),
        (json!({"prompt": "x", "group": "no spaces allowed"}), "group", ""),
        (json!({"prompt": "x", "run_at": "tomorrow"}), "run_at", ""),
        (json!({"command": []}), "command", "empty"),
        (json!({"prompt": "x", "retry": {"max_attempts": 0}}), "retry/max_attempts", "from 1"),
        (json!({"prompt": "x", "subtasks": [{"prompt": ""}]}), "subtasks/0/prompt", "empty"),
    ];
    for (task, field, words) in cases {
        let problem = refused(&served.control, std::slice::from_ref(&task)).await;
        let shown = format!("{:.200}: {problem:?}", task.to_string());
        assert_eq!(problem.code, Code::InvalidRequest, "{shown}");
        assert!(
            pointers(&problem).iter().any(|pointer| pointer.starts_with(&format!("/{field}"))),
            "{shown}"
        );
        assert!(problem.errors.iter().any(|error| error.detail.contains(words)), "{shown}");
    }
    served.is_unharmed().await;
}

#[tokio::test]
async fn refs_in_a_cycle_are_refused_together() {
    let mut served = Served::new().await;
    let link = |own: &str, other: &str| json!({"prompt": "x", "ref": own, "depends_on": [{"ref": other}]});
    let problem = refused(&served.control, &[link("a", "b"), link("b", "c"), link("c", "a")]).await;
    assert_eq!(problem.code, Code::InvalidRequest, "{problem:?}");
    let names_one = ["\"a\"", "\"b\"", "\"c\""].iter().any(|name| problem.detail.contains(name));
    assert!(problem.detail.contains("circle") && names_one, "{problem:?}");
    let problem = refused(&served.control, &[link("a", "a")]).await;
    assert_eq!(problem.code, Code::InvalidRequest, "{problem:?}");
    served.is_unharmed().await;
}

#[tokio::test]
async fn one_bad_task_in_a_batch_refuses_all_of_it_and_is_named() {
    let mut served = Served::new().await;
    let mut batch = vec![json!({"prompt": "good"}); 20];
    batch[7] = json!({"prompt": "x", "priority": 99});
    let problem = refused(&served.control, &batch).await;
    assert_eq!(pointers(&problem), ["/tasks/7/priority"], "{problem:?}");
    let problem = refused(&served.control, &vec![json!({"prompt": "x"}); 1_001]).await;
    assert!(problem.detail.contains("1000"), "{problem:?}");
    let problem = refused(&served.control, &[]).await;
    assert_eq!(problem.code, Code::InvalidRequest, "{problem:?}");
    served.is_unharmed().await;
}

#[tokio::test]
async fn calls_on_what_is_not_there_say_so() {
    let mut served = Served::new().await;
    let nobody: TaskId = "0199c000-0000-7000-8000-000000000000".parse().unwrap();
    let code = |error: Error| match error {
        Error::Refused(problem) => problem.code,
        other => panic!("{other}"),
    };
    assert_eq!(code(served.control.get(nobody).await.unwrap_err()), Code::NotFound);
    assert_eq!(code(served.control.cancel(nobody, None).await.unwrap_err()), Code::NotFound);
    assert_eq!(code(served.control.retry(nobody).await.unwrap_err()), Code::NotFound);
    assert_eq!(code(served.control.delete(nobody).await.unwrap_err()), Code::NotFound);
    assert_eq!(code(served.control.delete(served.task).await.unwrap_err()), Code::Conflict);
    assert_eq!(code(served.control.retry(served.task).await.unwrap_err()), Code::Conflict);
    assert_eq!(code(served.control.drain_agent("nobody".into(), true).await.unwrap_err()), Code::NotFound);
    let answer = conductor_protocol::control::AnswerBody::Allow;
    assert_eq!(code(served.control.answer(served.task, None, answer).await.unwrap_err()), Code::Conflict);
    served.is_unharmed().await;
}

#[tokio::test]
async fn a_request_that_is_not_json_is_answered_and_the_connection_goes_on() {
    let mut served = Served::new().await;
    let mut socket = served.open().await;
    for text in [
        "",
        "{",
        "null",
        "[]",
        r#"{"id":7}"#,
        r#"{"id":7,"call":"explode"}"#,
        "{\"id\":7,\"call\":{\"get\":{\"id\":\"x\"}}}",
    ] {
        socket.send(Message::text(text)).await.unwrap();
        let answer = within(LIMIT, "an answer", socket.next()).await.unwrap().unwrap();
        let answer: Value = serde_json::from_str(answer.to_text().unwrap()).unwrap();
        assert_eq!(answer["body"]["error"]["code"], "invalid_request", "{text}: {answer}");
        assert_eq!(answer["id"], if text.contains('7') { 7 } else { 0 }, "{text}: {answer}");
    }
    let request =
        conductor_protocol::control::Request { id: 8, actor: None, call: Call::Get(Id { id: served.task }) };
    socket.send(Message::text(serde_json::to_string(&request).unwrap())).await.unwrap();
    let answer = within(LIMIT, "an answer", socket.next()).await.unwrap().unwrap();
    assert!(answer.to_text().unwrap().contains("stays"), "{answer}");
    served.is_unharmed().await;
}

#[tokio::test]
async fn invalid_utf8_in_a_frame_closes_that_connection_alone() {
    let mut served = Served::new().await;
    let mut socket = served.open().await;
    let frame = Frame::message(vec![0xff, 0xfe, 0x80], OpCode::Data(Data::Text), true);
    socket.send(Message::Frame(frame)).await.unwrap();
    within(LIMIT, "the connection is closed", async {
        while let Some(Ok(message)) = socket.next().await {
            assert!(message.is_close(), "{message:?}");
        }
    })
    .await;
    served.is_unharmed().await;
}

#[tokio::test]
async fn a_message_beyond_the_limit_closes_that_connection_alone() {
    let mut served = Served::new().await;
    let mut socket = served.open().await;
    let long = format!(r#"{{"id":1,"call":{{"submit":{{"tasks":["{}"]}}}}}}"#, "x".repeat(18 << 20));
    // The other side may close before it has taken all of it.
    let _ = socket.send(Message::text(long)).await;
    within(LIMIT, "the connection is closed", async {
        while let Some(Ok(message)) = socket.next().await {
            assert!(message.is_close(), "{message:?}");
        }
    })
    .await;
    served.is_unharmed().await;
}

#[tokio::test]
async fn a_wrong_key_and_an_unknown_protocol_are_refused_with_the_reason() {
    let mut served = Served::new().await;
    for key in ["", "wrong", &"0".repeat(64)] {
        match open(&mut served.raw().await, key.into(), VERSION).await {
            Opened::Refused(problem) => assert_eq!(problem.code, Code::Unauthorized, "{problem}"),
            Opened::Welcome(_) => panic!("the key {key:?} opens"),
        }
    }
    let key = StartKey::read(&served.world.home().control_key()).unwrap().reveal().to_owned();
    match open(&mut served.raw().await, key, VERSION + 1).await {
        Opened::Refused(problem) => assert_eq!(problem.code, Code::InvalidRequest, "{problem}"),
        Opened::Welcome(_) => panic!("a protocol of the future is spoken"),
    }
    served.is_unharmed().await;
}

#[tokio::test]
async fn a_key_of_an_earlier_start_does_not_open() {
    let mut served = Served::new().await;
    let old = StartKey::read(&served.world.home().control_key()).unwrap().reveal().to_owned();
    served.orchestrator.kill();
    served.orchestrator = served.world.orchestrator().await;
    served.control = served.world.connect().await;
    match open(&mut served.raw().await, old, VERSION).await {
        Opened::Refused(problem) => assert_eq!(problem.code, Code::Unauthorized, "{problem}"),
        Opened::Welcome(_) => panic!("a key of an earlier start opens"),
    }
    served.is_unharmed().await;
}

#[tokio::test]
async fn a_taken_socket_is_refused_by_its_path_and_stays_with_its_holder() {
    let world = World::new();
    world.home().create().unwrap();
    let path = world.home().control_socket();
    let holder = UnixListener::bind(&path).unwrap();
    let (code, said) = world.refused_orchestrator().await;
    assert_eq!(code, 1, "{said}");
    assert!(said.contains(&path.display().to_string()), "{said}");
    let _guest = std::os::unix::net::UnixStream::connect(&path).expect("the holder still listens");
    drop(holder);
    // A socket that nobody listens on is what a killed orchestrator leaves: it is taken over.
    let mut orchestrator = world.orchestrator().await;
    assert!(orchestrator.ended().is_none());
}
