//! Waiting for something that happens in another process: looked for again and again, and never for longer than said.

use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(10);

/// Looks until something is there.
///
/// # Panics
/// When it is not there in time.
pub async fn eventually<T>(limit: Duration, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let until = Instant::now() + limit;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < until, "not within {} s: {what}", limit.as_secs_f32());
        tokio::time::sleep(PAUSE).await;
    }
}

/// Waits for a future to end.
///
/// # Panics
/// When it does not in time.
pub async fn within<T>(limit: Duration, what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(limit, future).await {
        Ok(value) => value,
        Err(_) => panic!("not within {} s: {what}", limit.as_secs_f32()),
    }
}
