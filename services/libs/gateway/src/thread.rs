//! The thread on which everything runs.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

/// The most orders that wait for the thread; who gives more waits.
const MAX_ORDERS: usize = 1_024;

/// Why nothing could be opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("listen on loopback")]
    Listen(#[source] io::Error),
    #[error("start the thread of gateways")]
    Thread(#[source] io::Error),
    #[error("the thread of gateways is gone")]
    Gone,
}

/// Something that is served until it is over.
pub(crate) type Serving = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Opens gateways; all that it opened ends with the last clone of it. The thread is started with the first gateway.
#[derive(Debug, Clone, Default)]
pub struct Gateways {
    thread: Arc<Mutex<Option<Thread>>>,
}

#[derive(Debug)]
struct Thread {
    orders: Option<mpsc::Sender<Serving>>,
    handle: Option<JoinHandle<()>>,
}

/// Ends what is served when it goes.
#[derive(Debug)]
pub(crate) struct Open {
    address: SocketAddr,
    open: watch::Sender<bool>,
}

impl Open {
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it now: no connection is left, and the port is closed soon after.
    pub fn close(&self) {
        self.open.send_replace(false);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.close();
    }
}

impl Gateways {
    /// Has each connection to a listener served, so many at the same time; more wait to be taken. Without a listener it
    /// listens on a free port of loopback.
    pub(crate) fn open<F, S>(
        &self,
        listener: Option<TcpListener>,
        max_connections: usize,
        serve: F,
    ) -> Result<Open, Error>
    where
        F: Fn(TcpStream) -> S + Send + 'static,
        S: Future<Output = ()> + Send + 'static,
    {
        let listener = match listener {
            Some(listener) => listener,
            None => TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(Error::Listen)?,
        };
        listener.set_nonblocking(true).map_err(Error::Listen)?;
        let address = listener.local_addr().map_err(Error::Listen)?;
        let (open, mut is_open) = watch::channel(true);
        let serving = async move {
            let listener = match tokio::net::TcpListener::from_std(listener) {
                Ok(listener) => listener,
                Err(error) => return tracing::error!(%error, "a gateway cannot listen"),
            };
            let closed = async move {
                // A sender that is gone has closed it too.
                let _ = is_open.wait_for(|open| !open).await;
            };
            tokio::select! {
                () = serve_each(listener, max_connections, serve) => {}
                () = closed => {}
            }
        };
        self.orders()?.blocking_send(Box::pin(serving)).map_err(|_| Error::Gone)?;
        Ok(Open { address, open })
    }

    fn orders(&self) -> Result<mpsc::Sender<Serving>, Error> {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        let thread = match &mut *thread {
            Some(thread) => thread,
            none => none.insert(Thread::start()?),
        };
        thread.orders.clone().ok_or(Error::Gone)
    }
}

impl Thread {
    fn start() -> Result<Self, Error> {
        let (orders, receiver) = mpsc::channel(MAX_ORDERS);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(Error::Thread)?;
        let handle = std::thread::Builder::new()
            .name("gateways".into())
            .spawn(move || runtime.block_on(serve(receiver)))
            .map_err(Error::Thread)?;
        Ok(Self { orders: Some(orders), handle: Some(handle) })
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        drop(self.orders.take());
        if let Some(handle) = self.handle.take() {
            // A panic in it was reported by the panic hook.
            let _ = handle.join();
        }
    }
}

/// Serves each connection to a listener, and ends them all when it is dropped.
async fn serve_each<F, S>(listener: tokio::net::TcpListener, max_connections: usize, serve: F)
where
    F: Fn(TcpStream) -> S,
    S: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < max_connections => {
                if let Ok((stream, _)) = accepted {
                    connections.spawn(serve(stream));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Serves what is ordered until nobody can order more; then all ends.
async fn serve(mut orders: mpsc::Receiver<Serving>) {
    let mut all = JoinSet::new();
    loop {
        tokio::select! {
            order = orders.recv() => match order {
                Some(order) => { all.spawn(order); }
                None => return,
            },
            Some(_) = all.join_next() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_port_is_closed_with_what_opened_it() {
        let gateways = Gateways::default();
        let open = gateways.open(None, 1, |stream| async move { drop(stream) }).unwrap();
        let address = open.address();
        assert!(std::net::TcpStream::connect(address).is_ok());
        drop(open);
        let since = Instant::now();
        while std::net::TcpStream::connect(address).is_ok() {
            assert!(since.elapsed() < Duration::from_secs(20), "the port stays open");
            std::thread::yield_now();
        }
    }
}
