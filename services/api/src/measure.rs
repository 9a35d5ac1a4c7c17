//! What the API measures of itself: kept by a recorder of its own, so that several in one process do not mix.

use std::sync::atomic::{AtomicI64, Ordering};

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use metrics::{Key, KeyName, Label, Level, Metadata, Recorder as _, Unit};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use tokio::time::Instant;

use crate::server::App;

/// The bounds of the buckets of durations, in seconds.
const SECONDS: [f64; 12] = [0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];
const REQUEST_SECONDS: &str = "conductor_api_request_seconds";
const WS_CLIENTS: &str = "conductor_ws_clients";
/// How the requests to no route are named, so that no path of a client's becomes a label.
const NO_ROUTE: &str = "none";
static METADATA: Metadata<'_> = Metadata::new("conductor_api", Level::INFO, None);

/// What the API measures of itself.
pub(crate) struct Measures {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    ws_clients: AtomicI64,
}

impl std::fmt::Debug for Measures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Measures").finish_non_exhaustive()
    }
}

impl Measures {
    pub(crate) fn new() -> Self {
        let builder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Full(REQUEST_SECONDS.to_owned()), &SECONDS)
            .expect("there are buckets");
        let recorder = builder.build_recorder();
        recorder.describe_histogram(
            KeyName::from_const_str(REQUEST_SECONDS),
            Some(Unit::Seconds),
            "How long the API took to begin an answer.".into(),
        );
        let handle = recorder.handle();
        Self { recorder, handle, ws_clients: AtomicI64::new(0) }
    }

    /// Everything measured, as Prometheus reads it.
    pub(crate) fn render(&self) -> String {
        let clients = self.ws_clients.load(Ordering::Relaxed);
        let key = Key::from_static_name(WS_CLIENTS);
        self.recorder
            .register_gauge(&key, &METADATA)
            .set(f64::from(i32::try_from(clients).unwrap_or(i32::MAX)));
        self.handle.run_upkeep();
        self.handle.render()
    }

    fn answered(&self, route: String, method: &'static str, status: u16, seconds: f64) {
        let labels = vec![
            Label::new("route", route),
            Label::from_static_parts("method", method),
            Label::new("status", status.to_string()),
        ];
        let key = Key::from_parts(REQUEST_SECONDS, labels);
        self.recorder.register_histogram(&key, &METADATA).record(seconds);
    }
}

/// Counts a WebSocket or event stream among the clients for as long as it lives.
#[derive(Debug)]
pub(crate) struct CountedClient(std::sync::Arc<Measures>);

impl CountedClient {
    pub(crate) fn begin(app: &App) -> Self {
        app.measures.ws_clients.fetch_add(1, Ordering::Relaxed);
        Self(app.measures.clone())
    }
}

impl Drop for CountedClient {
    fn drop(&mut self) {
        self.0.ws_clients.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Measures one request.
pub(crate) async fn measure(State(app): State<App>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let route = request.extensions().get::<MatchedPath>().map_or(NO_ROUTE, MatchedPath::as_str).to_owned();
    let method = known_method(request.method().as_str());
    let response = next.run(request).await;
    app.measures.answered(route, method, response.status().as_u16(), began.elapsed().as_secs_f64());
    response
}

/// Methods that nobody knows are one label: a client makes up as many as it likes.
fn known_method(method: &str) -> &'static str {
    ["GET", "POST", "DELETE", "HEAD", "PUT", "PATCH", "OPTIONS"]
        .into_iter()
        .find(|known| *known == method)
        .unwrap_or("other")
}
