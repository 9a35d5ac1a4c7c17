//! Accepting connections, bounded and tracked.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use conductor_runtime::lifecycle::{Shutdown, TaskName};
use conductor_runtime::listen::UnixListener;
use tokio::net::UnixStream;
use tokio::sync::Semaphore;

/// Pause after a failed accept, as when there are no file descriptors left.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections until the drain begins; at most `limit` are served at once, the others wait to be accepted.
pub(crate) async fn run<F>(
    listener: &UnixListener,
    limit: usize,
    shutdown: &Shutdown,
    name: TaskName,
    serve: impl Fn(UnixStream) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(limit));
    loop {
        let accepted = async {
            let place = places.clone().acquire_owned().await.expect("the places are never closed");
            (listener.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            () = shutdown.draining() => return,
            accepted = accepted => accepted,
        };
        match accepted {
            Ok(stream) => {
                let serving = serve(stream);
                shutdown.spawn(name, async move {
                    serving.await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, listener = name, "failed to accept a connection");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}
