use conductor_core::{Incarnation, TaskId};
use conductor_protocol::agent::{Assign, EndRun, LogPosition};
use conductor_runtime::listen::UnixListener;
use serde_json::value::RawValue;
use tempfile::TempDir;

use super::*;

struct Orchestrator {
    folder: TempDir,
    listener: UnixListener,
    _key: StartKey,
}

type Server = WebSocketStream<UnixStream>;

impl Orchestrator {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let listener = UnixListener::bind(&folder.path().join("agent.sock")).expect("a socket");
        let key = StartKey::create(&folder.path().join("agent.key")).expect("a key");
        Self { folder, listener, _key: key }
    }

    fn agent(&self) -> Agent {
        Agent::new(Options::new(&self.folder.path().join("agent.sock"), "fake").slots(3))
    }

    async fn accept(&self, stale: Vec<Lease>) -> (Server, Hello) {
        let stream = self.listener.accept().await.expect("a connection");
        let mut socket = tokio_tungstenite::accept_async(stream).await.expect("a handshake");
        let Opening::Hello(hello) = hear(&mut socket).await.expect("an opening") else { panic!("no hello") };
        let welcome = Welcome {
            version: "0".into(),
            heartbeat_seconds: 30,
            lease_seconds: 120,
            stale,
            draining: false,
            workspace: "/".into(),
            log: LogPosition::default(),
        };
        socket.send(text(&Answer::Welcome(welcome))).await.expect("it listens");
        (socket, *hello)
    }
}

fn lease(number: u64) -> Lease {
    Lease { incarnation: Incarnation(1), number }
}

fn assign(numbers: impl IntoIterator<Item = u64>) -> ToAgent {
    let assign = |number: u64| Assign {
        task: TaskId(number.into()),
        lease: lease(number),
        attempt: 1,
        runner: "mock".into(),
        group: "default".into(),
        timeout_ms: 1_000,
        after: None,
        starts_from: None,
        uploads: Vec::new(),
        limit: Default::default(),
        token: None,
        body: RawValue::from_string("{}".into()).expect("JSON"),
    };
    ToAgent { assign: numbers.into_iter().map(assign).collect(), ..ToAgent::default() }
}

fn leases(finished: &[Finished]) -> Vec<u64> {
    finished.iter().map(|finished| finished.lease.number).collect()
}

#[tokio::test]
async fn results_are_said_again_until_they_are_acknowledged() {
    let orchestrator = Orchestrator::start();
    let mut agent = orchestrator.agent();
    let server = async {
        let (mut socket, hello) = orchestrator.accept(Vec::new()).await;
        assert_eq!((hello.credits, hello.held.len()), (3, 0));
        socket.send(text(&assign([1, 2, 3]))).await.unwrap();
        let said: FromAgent = hear(&mut socket).await.unwrap();
        assert_eq!((said.credits, said.started.len(), leases(&said.finished)), (3, 3, vec![1, 2, 3]));
        let acknowledged = ToAgent { acknowledged: vec![lease(2)], ..ToAgent::default() };
        socket.send(text(&acknowledged)).await.unwrap();
        drop(socket);
        let (mut socket, hello) = orchestrator.accept(vec![lease(3)]).await;
        assert_eq!(hello.held, [lease(1), lease(3)]);
        let said: FromAgent = hear(&mut socket).await.unwrap();
        assert_eq!(leases(&said.finished), [1]);
    };
    let client = async {
        let mut session = agent.connect().await.unwrap();
        assert!(matches!(session.drain(3).await, Err(Error::Closed)));
        drop(session);
        assert_eq!(agent.books().acknowledged(), 1);
        agent.connect().await.unwrap();
    };
    tokio::join!(server, client);
}

#[tokio::test]
async fn a_run_that_is_to_end_ends_as_cancelled_and_a_revoked_one_is_forgotten() {
    let orchestrator = Orchestrator::start();
    let mut agent = orchestrator.agent();
    let server = async {
        let (mut socket, _) = orchestrator.accept(Vec::new()).await;
        let end = [(1, false), (2, true)].map(|(number, revoked)| EndRun { lease: lease(number), revoked });
        let said = ToAgent { end: end.into(), ..ToAgent::default() };
        socket.send(text(&assign([1, 2]))).await.unwrap();
        socket.send(text(&said)).await.unwrap();
        let said: FromAgent = hear(&mut socket).await.unwrap();
        assert_eq!(said.finished[0].end, End::Cancelled);
    };
    let client = async {
        let mut session = agent.connect().await.unwrap();
        assert_eq!(session.hear().await.unwrap().assign.len(), 2);
        session.hear().await.unwrap();
        assert!(session.books().is_to_end(lease(1)));
        assert_eq!(session.books().working().collect::<Vec<_>>(), [(lease(1), TaskId(1))]);
        session.finish([lease(1)], &End::Succeeded).await.unwrap();
    };
    tokio::join!(server, client);
}
