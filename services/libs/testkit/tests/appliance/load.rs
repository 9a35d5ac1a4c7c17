//! Somebody who goes on submitting, whatever happens meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use conductor_testkit::appliance::Http;
use serde_json::{Value, json};

/// The pause between two submits.
const PAUSE: Duration = Duration::from_millis(150);

/// Submits one task after the other, and remembers those that were acknowledged.
pub struct Load {
    over: Arc<AtomicBool>,
    thread: JoinHandle<Vec<String>>,
}

pub fn task(_: usize) -> Value {
    json!({"runner": "mock", "prompt": "sleep 200ms; print done"})
}

impl Load {
    pub fn start(api: Http) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&over);
        let thread = std::thread::spawn(move || {
            let mut acknowledged = Vec::new();
            while !is_over.load(Ordering::Relaxed) {
                let answer = api.post("/v1/tasks", &task(0));
                if answer.status == 201 {
                    acknowledged.push(answer.json()["id"].as_str().unwrap().to_owned());
                }
                std::thread::sleep(PAUSE);
            }
            acknowledged
        });
        Self { over, thread }
    }

    /// Ends it and gives what was acknowledged.
    pub fn end(self) -> Vec<String> {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}
