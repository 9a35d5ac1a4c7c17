//! A connection for one thread that waits for every answer.

use std::io;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Cmd, FromRedisValue, RedisResult};
use tokio::runtime::{Builder, Runtime};

use super::address::{Address, waiting};
use super::call::{Answer, Call, Fault};

/// A connection, made when it is first wanted and again when it broke. Its driver runs while somebody waits.
pub(super) struct Wire {
    runtime: Runtime,
    address: Address,
    response: Option<Duration>,
    connection: Option<MultiplexedConnection>,
}

impl Wire {
    /// Prepares one. An answer may take as long as `response` says, or for ever.
    pub(super) fn new(address: Address, response: Option<Duration>) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(Self { runtime, address, response, connection: None })
    }

    /// Runs a script. It may have run even when the answer is an error, and twice when it is not.
    pub(super) fn call(&mut self, call: &Call) -> RedisResult<Answer> {
        self.again(async |connection| call.run(connection).await)
    }

    /// Asks for something that may be asked twice.
    pub(super) fn query<T: FromRedisValue>(&mut self, command: &Cmd) -> RedisResult<T> {
        self.again(async |connection| command.query_async(connection).await)
    }

    /// Asks, and once more when the connection had broken while nobody used it.
    fn again<T>(
        &mut self,
        ask: impl AsyncFn(&mut MultiplexedConnection) -> RedisResult<T>,
    ) -> RedisResult<T> {
        let was_open = self.connection.is_some();
        match self.once(&ask) {
            Err(error) if was_open && Fault::of(&error) == Fault::Away && !error.is_timeout() => {
                self.once(&ask)
            }
            answered => answered,
        }
    }

    fn once<T>(&mut self, ask: impl AsyncFn(&mut MultiplexedConnection) -> RedisResult<T>) -> RedisResult<T> {
        let Self { runtime, address, response, connection } = self;
        let answered = runtime.block_on(async {
            if connection.is_none() {
                let config = waiting(*response);
                *connection =
                    Some(address.client().get_multiplexed_async_connection_with_config(&config).await?);
            }
            ask(connection.as_mut().expect("it was just made")).await
        });
        if answered.as_ref().is_err_and(|error| Fault::of(error) == Fault::Away) {
            *connection = None;
        }
        answered
    }
}
