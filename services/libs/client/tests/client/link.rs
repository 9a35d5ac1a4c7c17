//! A link over an orchestrator that goes away and comes back.

use std::path::Path;
use std::time::Duration;

use crate::fake::{KEY, Peer, raw};
use conductor_client::{Error, Link, Options, Patience, Target};
use conductor_core::TaskId;
use conductor_protocol::control::{Call, Output, OutputEnd, Submit, Submitted};
use conductor_runtime::listen::UnixListener;
use tokio::net::UnixStream;

const ID: TaskId = TaskId(42);

struct Place {
    folder: tempfile::TempDir,
    target: Target,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let target = Target::of_socket(&folder.path().join("run/control.sock"));
        std::fs::create_dir(folder.path().join("run")).unwrap();
        std::fs::write(folder.path().join("run/control.key"), KEY).unwrap();
        Self { folder, target }
    }

    fn socket(&self) -> std::path::PathBuf {
        self.folder.path().join("run/control.sock")
    }

    fn link(&self, patience: Patience) -> Link {
        Link::new(self.target.clone(), Options::new("test"), patience)
    }
}

async fn accept(path: &Path) -> (UnixListener, Peer<UnixStream>) {
    let listener = UnixListener::bind(path).unwrap();
    let peer = Peer::accept(listener.accept().await.unwrap()).await;
    (listener, peer)
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("it hangs")
}

#[tokio::test]
async fn a_submit_whose_answer_was_lost_is_repeated_under_the_same_key() {
    let place = Place::new();
    let path = place.socket();
    let server = tokio::spawn(async move {
        let mut keys = Vec::new();
        for round in 0..3 {
            let (_listener, mut peer) = accept(&path).await;
            let request = peer.request().await.unwrap();
            let Call::Submit(submit) = request.call else { panic!("{:?}", request.call) };
            keys.push(submit.key.expect("a key was made"));
            if round == 2 {
                peer.answer(request.id, &Submitted { ids: vec![ID], repeated: true }).await;
                assert!(peer.request().await.is_none());
            }
        }
        keys
    });
    let mut link = place.link(Patience::For(Duration::from_secs(15)));
    let submit = Submit { tasks: vec![raw(&serde_json::json!({"prompt": "x"}))], key: None };
    assert_eq!(soon(link.submit(submit)).await.unwrap().ids, [ID]);
    drop(link);
    let keys = soon(server).await.unwrap();
    assert!(keys.len() == 3 && keys.iter().all(|key| *key == keys[0]), "{keys:?}");
}

#[tokio::test]
async fn two_submits_have_two_keys() {
    let place = Place::new();
    let path = place.socket();
    let server = tokio::spawn(async move {
        let (_listener, mut peer) = accept(&path).await;
        let mut keys = std::collections::BTreeSet::new();
        for _ in 0..2 {
            let request = peer.request().await.unwrap();
            let Call::Submit(submit) = request.call else { panic!("{:?}", request.call) };
            keys.insert(submit.key);
            peer.answer(request.id, &Submitted { ids: vec![ID], repeated: false }).await;
        }
        keys.len()
    });
    let mut link = place.link(Patience::For(Duration::from_secs(15)));
    for _ in 0..2 {
        soon(link.submit(Submit { tasks: Vec::new(), key: None })).await.unwrap();
    }
    assert_eq!(soon(server).await.unwrap(), 2);
}

#[tokio::test]
async fn an_output_goes_on_at_its_byte_and_in_its_attempt() {
    let place = Place::new();
    let path = place.socket();
    let text: Vec<u8> = (0..100_000_u32).map(|number| (number % 251) as u8).collect();
    let sent = text.clone();
    let server = tokio::spawn(async move {
        let mut offsets = Vec::new();
        for round in 0..4_usize {
            let (_listener, mut peer) = accept(&path).await;
            let request = peer.request().await.unwrap();
            let Call::Output(output) = request.call else { panic!("{:?}", request.call) };
            assert_eq!(output.attempt, Some(2), "another attempt would tear the output");
            let from = usize::try_from(output.offset).unwrap();
            offsets.push(from);
            // A few bytes that are known already may come again.
            let begin = from.saturating_sub(10);
            let until = if round == 3 { sent.len() } else { from + 20_000 };
            for (index, part) in sent[begin..until].chunks(7_000).enumerate() {
                peer.bytes(request.id, (begin + index * 7_000) as u64, part).await;
            }
            if round == 3 {
                peer.answer(request.id, &OutputEnd { attempt: 2, offset: sent.len() as u64, bytes: 0 }).await;
                assert!(peer.request().await.is_none());
            }
        }
        offsets
    });
    let mut link = place.link(Patience::For(Duration::from_secs(15)));
    let mut read = Vec::new();
    let output = Output { id: ID, attempt: Some(2), offset: 0, follow: true, limit: None };
    let end = soon(link.output(output, async |bytes: &[u8]| {
        read.extend_from_slice(bytes);
        Ok::<(), Error>(())
    }))
    .await
    .unwrap();
    assert_eq!(end.offset, 100_000);
    assert!(read == text, "the output was torn");
    drop(link);
    let offsets = soon(server).await.unwrap();
    assert_eq!(offsets[0], 0);
    assert!(offsets.is_sorted_by(|a, b| a < b), "{offsets:?}");
}

#[tokio::test]
async fn an_output_with_a_hole_is_an_error() {
    let place = Place::new();
    let path = place.socket();
    let server = tokio::spawn(async move {
        let (_listener, mut peer) = accept(&path).await;
        let request = peer.request().await.unwrap();
        peer.bytes(request.id, 5, b"late").await;
        while peer.request().await.is_some() {}
    });
    let mut link = place.link(Patience::For(Duration::from_secs(15)));
    let output = Output { id: ID, attempt: Some(1), offset: 0, follow: true, limit: None };
    let result = soon(link.output(output, async |_: &[u8]| Ok::<(), Error>(()))).await;
    assert!(matches!(result, Err(Error::Malformed(_))), "{result:?}");
    drop(link);
    soon(server).await.unwrap();
}

#[tokio::test]
async fn patience_ends() {
    let place = Place::new();
    let asked = Call::Status;
    let error = place.link(Patience::None).ask::<String>(&asked).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    let mut link = place.link(Patience::For(Duration::from_millis(100)));
    let error = soon(link.ask::<String>(&asked)).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
}
