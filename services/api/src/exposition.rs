//! The orchestrator's numbers as Prometheus reads them.

use std::fmt::Write as _;

use conductor_protocol::control::{Histogram, MetricsView};

/// The numbers as text, each under its name with what it means.
pub(crate) fn text(view: &MetricsView, version: &str) -> String {
    let mut text = Text::default();
    let runners = &view.runners;
    text.family("tasks_submitted_total", "counter", "Tasks that were accepted.");
    for it in runners {
        text.sample("tasks_submitted_total", &[("runner", &it.runner)], it.submitted);
    }
    text.family("tasks_finished_total", "counter", "Tasks that ended.");
    for it in runners {
        let outcomes = [("succeeded", it.succeeded), ("failed", it.failed), ("cancelled", it.cancelled)];
        for (outcome, count) in outcomes {
            text.sample("tasks_finished_total", &[("runner", &it.runner), ("outcome", outcome)], count);
        }
    }
    text.family("tasks", "gauge", "Tasks that are in a state now.");
    for (state, count) in &view.queue.by_state {
        text.sample("tasks", &[("state", state.as_str())], count);
    }
    text.family("queue_oldest_seconds", "gauge", "How long the oldest queued task has waited.");
    text.sample("queue_oldest_seconds", &[], view.queue.oldest_seconds.unwrap_or(0.0));
    text.family("queue_wait_seconds", "histogram", "How long tasks waited for their first attempt.");
    text.histogram("queue_wait_seconds", &[], &view.queue_wait);
    text.family("task_run_seconds", "histogram", "How long attempts ran.");
    for it in runners {
        text.histogram("task_run_seconds", &[("runner", &it.runner)], &it.run);
    }
    text.family("agents", "gauge", "Agents that are in a state now.");
    for (state, count) in &view.agents {
        text.sample("agents", &[("state", state)], count);
    }
    text.family("agent_slots", "gauge", "Slots of connected agents.");
    let (slots, free) = (view.queue.slots, view.queue.free);
    for (state, count) in [("free", free), ("busy", slots.saturating_sub(free))] {
        text.sample("agent_slots", &[("state", state)], count);
    }
    text.alone(
        "leases_expired_total",
        "counter",
        "Leases that ended unrenewed.",
        view.counters.leases_expired,
    );
    let stale = view.counters.stale_reports_refused;
    text.alone("stale_reports_refused_total", "counter", "Reports under a lease that had ended.", stale);
    text.family("log_append_seconds", "histogram", "How long a batch of events took to be durable.");
    text.histogram("log_append_seconds", &[], &view.log_append);
    text.family("log_batch_events", "histogram", "Events of a batch.");
    text.histogram("log_batch_events", &[], &view.log_batch);
    text.alone(
        "history_lag_events",
        "gauge",
        "How far the history is behind the log.",
        view.history_lag_events,
    );
    text.alone("output_bytes_total", "counter", "Bytes of output of all runs.", view.output_bytes);
    text.family("usage_cost_usd_total", "counter", "What models cost.");
    for it in runners {
        text.sample("usage_cost_usd_total", &[("runner", &it.runner)], it.cost_usd);
    }
    text.family("usage_tokens_total", "counter", "Tokens that models read and wrote.");
    for it in runners {
        let kinds = [
            ("input", it.input_tokens),
            ("output", it.output_tokens),
            ("cached_input", it.cached_input_tokens),
        ];
        for (kind, count) in kinds {
            text.sample("usage_tokens_total", &[("runner", &it.runner), ("kind", kind)], count);
        }
    }
    text.family("disk_free_bytes", "gauge", "What is free on a volume.");
    for volume in &view.volumes {
        text.sample("disk_free_bytes", &[("volume", &volume.name)], volume.free_bytes);
    }
    text.alone(
        "loki_dropped_total",
        "counter",
        "Log events that Loki did not get.",
        view.counters.loki_dropped,
    );
    text.family("build_info", "gauge", "The version that runs.");
    text.sample("build_info", &[("version", version)], 1);
    text.0
}

/// Text in the exposition format, version 0.0.4.
#[derive(Debug, Default)]
pub(crate) struct Text(String);

impl Text {
    pub(crate) fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP conductor_{name} {help}"));
        self.line(format_args!("# TYPE conductor_{name} {kind}"));
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        let labels = written(labels.iter().copied());
        self.line(format_args!("conductor_{name}{labels} {value}"));
    }

    pub(crate) fn alone(&mut self, name: &str, kind: &str, help: &str, value: impl std::fmt::Display) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    /// The buckets of the format hold all values up to their bound; those of a histogram hold each value once.
    pub(crate) fn histogram(&mut self, name: &str, labels: &[(&str, &str)], histogram: &Histogram) {
        let bounds = histogram.bounds.iter().map(ToString::to_string).chain(["+Inf".to_owned()]);
        let mut sum = 0;
        for (bound, count) in bounds.zip(&histogram.counts) {
            sum += count;
            let labels = written(labels.iter().copied().chain([("le", bound.as_str())]));
            self.line(format_args!("conductor_{name}_bucket{labels} {sum}"));
        }
        if !histogram.counts.is_empty() {
            let labels = written(labels.iter().copied());
            self.line(format_args!("conductor_{name}_sum{labels} {}", histogram.sum));
            self.line(format_args!("conductor_{name}_count{labels} {sum}"));
        }
    }

    pub(crate) fn into_string(self) -> String {
        self.0
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.0, "{line}").expect("a text takes every line");
    }
}

fn written<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let quoted = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let labels: Vec<String> = labels.map(|(name, value)| format!("{name}=\"{}\"", quoted(value))).collect();
    if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use conductor_protocol::control::RunnerMetrics;

    #[test]
    fn buckets_count_everything_up_to_their_bound() {
        let queue_wait = Histogram { bounds: vec![0.5, 2.0], counts: vec![3, 0, 1], sum: 7.25 };
        let text = text(&MetricsView { queue_wait, ..MetricsView::default() }, "1.2.3");
        for line in [
            "# TYPE conductor_queue_wait_seconds histogram",
            "conductor_queue_wait_seconds_bucket{le=\"0.5\"} 3",
            "conductor_queue_wait_seconds_bucket{le=\"2\"} 3",
            "conductor_queue_wait_seconds_bucket{le=\"+Inf\"} 4",
            "conductor_queue_wait_seconds_sum 7.25",
            "conductor_queue_wait_seconds_count 4",
            "conductor_build_info{version=\"1.2.3\"} 1",
            "conductor_queue_oldest_seconds 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn a_label_cannot_end_its_quotes() {
        let runner = RunnerMetrics { runner: "a\"b\\c\nd".to_owned(), ..RunnerMetrics::default() };
        let text = text(&MetricsView { runners: vec![runner], ..MetricsView::default() }, "1");
        assert!(text.contains(r#"conductor_tasks_submitted_total{runner="a\"b\\c\nd"} 0"#), "{text}");
    }
}
