//! What the API measures of itself.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use conductor_protocol::control::Histogram;
use tokio::time::Instant;

use crate::exposition::Text;
use crate::server::App;

/// The bounds of the buckets of durations, in seconds.
const SECONDS: [f64; 12] = [0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];
/// How the requests to no route are named, so that no path of a client's becomes a label.
const NO_ROUTE: &str = "none";

/// What the API measures of itself. There are as many histograms as routes, methods and statuses, which nobody outside
/// can add to.
#[derive(Debug, Default)]
pub(crate) struct Measures {
    answered: Mutex<BTreeMap<Answered, Durations>>,
    ws_clients: AtomicI64,
}

/// Which requests are measured together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Answered {
    route: Cow<'static, str>,
    method: &'static str,
    status: u16,
}

/// How often a duration fell between which bounds.
#[derive(Debug, Clone, Copy, Default)]
struct Durations {
    counts: [u64; SECONDS.len() + 1],
    sum: f64,
}

impl Measures {
    /// Everything measured, as Prometheus reads it.
    pub(crate) fn render(&self) -> String {
        let mut text = Text::default();
        text.alone(
            "ws_clients",
            "gauge",
            "WebSockets and event streams that are open.",
            self.ws_clients.load(Ordering::Relaxed),
        );
        let answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let help = "How long the API took to begin an answer.";
        text.family("api_request_seconds", "histogram", help);
        for (of, durations) in answered {
            let status = of.status.to_string();
            let labels = [("route", &*of.route), ("method", of.method), ("status", &status)];
            let Durations { counts, sum } = durations;
            let histogram = Histogram { bounds: SECONDS.to_vec(), counts: counts.to_vec(), sum };
            text.histogram("api_request_seconds", &labels, &histogram);
        }
        text.into_string()
    }

    fn answered(&self, of: Answered, seconds: f64) {
        let bucket = SECONDS.iter().position(|bound| seconds <= *bound).unwrap_or(SECONDS.len());
        let mut answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        let durations = answered.entry(of).or_default();
        durations.counts[bucket] += 1;
        durations.sum += seconds;
    }
}

/// Counts a WebSocket or event stream among the clients for as long as it lives.
#[derive(Debug)]
pub(crate) struct CountedClient(App);

impl CountedClient {
    pub(crate) fn begin(app: &App) -> Self {
        app.measures.ws_clients.fetch_add(1, Ordering::Relaxed);
        Self(app.clone())
    }
}

impl Drop for CountedClient {
    fn drop(&mut self) {
        self.0.measures.ws_clients.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Measures one request.
pub(crate) async fn measure(State(app): State<App>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let route = match request.extensions().get::<MatchedPath>() {
        Some(path) => Cow::Owned(path.as_str().to_owned()),
        None => Cow::Borrowed(NO_ROUTE),
    };
    let method = known_method(request.method().as_str());
    let response = next.run(request).await;
    let of = Answered { route, method, status: response.status().as_u16() };
    app.measures.answered(of, began.elapsed().as_secs_f64());
    response
}

/// Methods that nobody knows are one label: a client makes up as many as it likes.
fn known_method(method: &str) -> &'static str {
    ["GET", "POST", "DELETE", "HEAD", "PUT", "PATCH", "OPTIONS"]
        .into_iter()
        .find(|known| *known == method)
        .unwrap_or("other")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_falls_into_one_bucket_and_those_above_it() {
        let measures = Measures::default();
        let of = |status| Answered { route: Cow::Borrowed("/v1/x"), method: "GET", status };
        measures.answered(of(200), 0.001);
        measures.answered(of(200), 0.3);
        measures.answered(of(404), 99.0);
        let text = measures.render();
        for line in [
            r#"conductor_api_request_seconds_bucket{route="/v1/x",method="GET",status="200",le="0.001"} 1"#,
            r#"conductor_api_request_seconds_bucket{route="/v1/x",method="GET",status="200",le="0.25"} 1"#,
            r#"conductor_api_request_seconds_bucket{route="/v1/x",method="GET",status="200",le="0.5"} 2"#,
            r#"conductor_api_request_seconds_bucket{route="/v1/x",method="GET",status="404",le="30"} 0"#,
            r#"conductor_api_request_seconds_count{route="/v1/x",method="GET",status="404"} 1"#,
            "conductor_ws_clients 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}
