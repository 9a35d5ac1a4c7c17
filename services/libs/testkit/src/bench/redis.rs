//! Submits on the event log in Redis, which waits for its disk before it acknowledges, beside those on the one in SQLite.

use std::io;
use std::time::Duration;

use conductor_store::conformance::redis_server::RedisServer;

use super::cpu;
use super::load::{self, Load, Until};
use super::programs::Home;
use super::report::Bar;
use super::suite::Suite;

/// Connections, each with a request under way.
const CONNECTIONS: usize = 32;

/// The part of the rate on SQLite that is asked of Redis.
const PART: f64 = 0.7;

/// Measures how many are acknowledged a second on both, one after the other, and again in the other order: what else the
/// machine does changes meanwhile.
pub fn run(suite: &mut Suite<'_>) -> io::Result<()> {
    let folder = tempfile::Builder::new().prefix("bench-redis-").tempdir_in(&suite.args.dir)?;
    let Some(server) = RedisServer::start(folder.path(), &[]) else {
        println!("  skipped: redis-server is not installed");
        return Ok(());
    };
    let (mut sqlite, mut redis) = (Vec::new(), Vec::new());
    for is_redis in [false, true, true, false] {
        let mut home = suite.home()?;
        if is_redis {
            server.ask("FLUSHALL");
            home.set("CONDUCTOR__STORAGE__EVENT_LOG", "redis");
            home.set("CONDUCTOR__REDIS__REQUIRE_FSYNC", "true");
            home.set("CONDUCTOR__REDIS__URL", &server.url());
        }
        let rate = measure(suite, &home, is_redis.then(|| server.pid()))?;
        if is_redis { redis.push(rate) } else { sqlite.push(rate) }
    }
    let mean = |rates: &[f64]| rates.iter().sum::<f64>() / rates.len() as f64;
    let part = mean(&redis) / mean(&sqlite);
    suite.report.add("submits on Redis, part of those on SQLite", part, "times", Bar::AtLeast(PART));
    Ok(())
}

fn measure(suite: &mut Suite<'_>, home: &Home, redis: Option<u32>) -> io::Result<f64> {
    let (orchestrator, _) = home.orchestrator()?;
    let mut load = Load::open(home, CONNECTIONS, load::submit_frame(1))?;
    load.run(Until::Time(Duration::from_millis(300)))?;
    let mut programs = vec![("orchestrator", orchestrator.pid()), ("generator", std::process::id())];
    programs.extend(redis.map(|pid| ("redis", pid)));
    let before = cpu::read(&programs);
    let time = suite.size(Duration::from_secs(2), Duration::from_secs(6));
    let (answered, took) = load.run(Until::Time(time))?;
    let usage = before.until(&cpu::read(&programs));
    let rate = answered as f64 / took.as_secs_f64();
    let log = if redis.is_some() { "Redis" } else { "SQLite" };
    let measure = format!("submits on {log}, 1 task each, {CONNECTIONS} connections");
    suite.report.add_used(measure, rate, "submits/s", Bar::None, usage);
    orchestrator.stop()?;
    Ok(rate)
}
