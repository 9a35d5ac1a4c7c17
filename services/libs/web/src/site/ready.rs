//! Whether anything can be served.

use super::Site;
use crate::refusal::problem_of;

/// How long the answer holds whether the orchestrator is ready.
const READY_MS: u64 = 500;

impl Site {
    /// Why nothing can be served; nothing when it can. The answer is remembered for a moment: anybody may ask.
    pub async fn why_not_ready(&self) -> Option<String> {
        if let Some(why) = self.shared.orchestrator.why_away() {
            return Some(why.to_string());
        }
        if self.shared.shutdown.is_draining() {
            return Some("this program is stopping".to_owned());
        }
        let now_ms = self.shared.clock.now().mono_ms;
        let mut ready = self.shared.ready.lock().await;
        match &*ready {
            Some((at_ms, why)) if now_ms.saturating_sub(*at_ms) < READY_MS => why.clone(),
            Some(_) | None => {
                let why = self.ask_whether_ready().await;
                *ready = Some((now_ms, why.clone()));
                why
            }
        }
    }

    async fn ask_whether_ready(&self) -> Option<String> {
        match self.control().map_err(|problem| problem.detail) {
            Ok(control) => match control.status().await {
                Ok(status) if status.draining => Some("the orchestrator is stopping".to_owned()),
                Ok(_) => None,
                Err(error) => Some(problem_of(error).detail),
            },
            Err(why) => Some(why),
        }
    }
}
