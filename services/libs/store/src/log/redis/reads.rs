//! The thread that keeps the lease, and with it the pool of connections by which everybody else asks.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use conductor_core::Seq;
use deadpool_redis::{Manager, Pool, PoolError, Runtime};
use redis::{Cmd, FromRedisValue, RedisError, RedisResult};
use tokio::runtime::{Builder, Handle};
use tokio::sync::Notify;

use super::address::{Address, waiting};
use super::call::{self, Answer, Call, Opening};
use super::open::Lease;
use super::writer::Shared;

/// Connections in the pool.
const CONNECTIONS: usize = 4;

/// How long an answer is waited for.
pub(super) const RESPONSE: Duration = Duration::from_secs(10);

/// The lease is renewed so many times before it would end.
const RENEWALS: u32 = 4;

/// Why something was not answered.
#[derive(Debug)]
pub(super) enum Unanswered {
    /// The log was closed.
    Closed,
    /// Redis said why.
    Redis(RedisError),
}

/// The thread and the way to it.
#[derive(Debug)]
pub(super) struct Reads {
    handle: Handle,
    pool: Pool,
    end: Arc<Notify>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Reads {
    /// Starts the thread.
    pub(super) fn start(opening: Opening, lease: Lease, shared: Arc<Shared>) -> std::io::Result<Self> {
        let pool = pool(&shared.address)?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (handle, end) = (runtime.handle().clone(), Arc::<Notify>::default());
        let keeping = Keeping { pool: pool.clone(), opening, lease, shared };
        let thread = std::thread::Builder::new().name("log-redis".to_owned()).spawn({
            let end = Arc::clone(&end);
            move || {
                runtime.block_on(async {
                    tokio::select! {
                        () = end.notified() => {}
                        () = keeping.run() => {}
                    }
                });
            }
        })?;
        Ok(Self { handle, pool, end, thread: Mutex::new(Some(thread)) })
    }

    /// Runs a script with a connection of the pool. Blocks, on any thread.
    pub(super) fn call(&self, call: Call) -> Result<Answer, Unanswered> {
        self.ask(|pool| async move { call.run(&mut *pool.get().await?).await.map_err(PoolError::Backend) })
    }

    /// Asks for something with a connection of the pool. Blocks, on any thread.
    pub(super) fn query<T: FromRedisValue + Send + 'static>(&self, command: Cmd) -> Result<T, Unanswered> {
        self.ask(|pool| async move {
            command.query_async(&mut *pool.get().await?).await.map_err(PoolError::Backend)
        })
    }

    fn ask<T: Send + 'static, F: Future<Output = Result<T, PoolError>> + Send + 'static>(
        &self,
        ask: impl FnOnce(Pool) -> F,
    ) -> Result<T, Unanswered> {
        let (answer, answered): (SyncSender<RedisResult<T>>, _) = sync_channel(1);
        let asking = ask(self.pool.clone());
        // Whoever asked waits, so that the answer is nowhere but here; with the thread's end it is dropped unasked.
        drop(self.handle.spawn(async move {
            let _ = answer.send(asking.await.map_err(redis_error));
        }));
        match answered.recv() {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(Unanswered::Redis(error)),
            Err(_) => Err(Unanswered::Closed),
        }
    }

    /// Ends the thread.
    pub(super) fn close(&self) {
        self.end.notify_one();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the thread that keeps the lease panicked");
        }
        self.pool.close();
    }
}

fn pool(address: &Address) -> std::io::Result<Pool> {
    let info = address.client().get_connection_info().clone();
    let manager = Manager::new_with_config(info, waiting(Some(RESPONSE))).map_err(std::io::Error::other)?;
    Pool::builder(manager)
        .max_size(CONNECTIONS)
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(RESPONSE))
        .build()
        .map_err(std::io::Error::other)
}

fn redis_error(error: PoolError) -> RedisError {
    match error {
        PoolError::Backend(error) => error,
        other => std::io::Error::other(other.to_string()).into(),
    }
}

/// Keeps the lease.
struct Keeping {
    pool: Pool,
    opening: Opening,
    lease: Lease,
    shared: Arc<Shared>,
}

impl Keeping {
    async fn run(self) {
        let keys = &self.opening.keys;
        let renew = self
            .opening
            .call(&call::RENEW, &[&keys.meta, &keys.lease])
            .arg(&self.lease.place)
            .arg(&self.lease.holder)
            .arg(self.lease.ms());
        let mut trouble = false;
        loop {
            tokio::time::sleep(self.lease.lasts / RENEWALS).await;
            let before = self.shared.status().last;
            let answer = async { renew.run(&mut *self.pool.get().await?).await.map_err(PoolError::Backend) };
            let had_trouble = trouble;
            trouble = match answer.await {
                Ok(answer) => !self.is_well(&answer, before, had_trouble),
                Err(error) => {
                    if !had_trouble {
                        tracing::warn!(%error, "failed to renew the lease on the event log; trying on");
                    }
                    true
                }
            };
        }
    }

    /// Says so when the log is not what it was. The next append ends this orchestrator then.
    fn is_well(&self, answer: &Answer, before: Seq, was_told: bool) -> bool {
        let address = self.shared.address.shown().display();
        let last = answer.number(0).unwrap_or_default();
        let what = match answer.word() {
            "done" if last >= before.0 => return true,
            "fenced" => "another orchestrator leads on the event log now",
            _ => "the event log in Redis lost what was acknowledged",
        };
        if !was_told {
            tracing::error!(%address, last, acknowledged = before.0, "{what}");
        }
        false
    }
}
