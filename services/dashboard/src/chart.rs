//! Charts as SVG, drawn on the server: the page shows them without a script, and a script only swaps them.

use std::fmt::Write as _;

use conductor_protocol::control::TrendStep;
use conductor_protocol::task::AttemptView;

use crate::format;
use crate::words::Words;

/// The width of the drawing area; the page scales it.
const WIDTH: f64 = 640.0;
/// The height of the drawing area.
const HEIGHT: f64 = 150.0;
/// The room for the numbers on the left.
const LEFT: f64 = 44.0;
/// The room for the hours below.
const BELOW: f64 = 20.0;
/// The room above.
const ABOVE: f64 = 8.0;
/// Times written below the axis.
const TIMES: usize = 5;
/// The most attempts of a timeline: the last ones.
pub const MAX_ATTEMPTS: usize = 20;
/// The most steps of a chart.
const MAX_STEPS: usize = 400;

/// Escapes text for an element or attribute of the drawing.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Numbers that are easy to read, up to ten.
const EASY: [f64; 5] = [1.0, 2.0, 2.5, 5.0, 10.0];
/// The same for counts, whose halves are counts too.
const EASY_COUNTS: [f64; 5] = [2.0, 4.0, 6.0, 8.0, 10.0];

/// A number that is easy to read, at or above `value`.
fn round_up(value: f64, easy: &[f64]) -> f64 {
    if value <= 0.0 || !value.is_finite() {
        return 1.0;
    }
    let power = 10_f64.powf(value.log10().floor());
    easy.iter().map(|step| step * power).find(|step| *step >= value).unwrap_or(value)
}

/// The drawing area with its lines, numbers and times.
struct Plot {
    svg: String,
    most: f64,
    steps: usize,
}

impl Plot {
    fn new(label: &str, steps: &[TrendStep], most: f64, number: impl Fn(f64) -> String) -> Self {
        let mut svg = format!(
            "<svg class=\"chart\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">",
            escaped(label)
        );
        let plot = Self { svg: String::new(), most, steps: steps.len() };
        for part in [0.0, 0.5, 1.0] {
            let y = plot.y(most * part);
            let _ = write!(
                svg,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text class=\"axis\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LEFT - 6.0,
                y + 3.5,
                escaped(&number(most * part))
            );
        }
        let every = steps.len().div_ceil(TIMES).max(1);
        for (index, step) in steps.iter().enumerate().skip(every / 2).step_by(every) {
            let _ = write!(
                svg,
                "<text class=\"axis\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" data-clock=\"{}\">{}</text>",
                plot.x(index) + plot.step() / 2.0,
                HEIGHT - 5.0,
                format::rfc3339(step.at),
                format::clock(step.at)
            );
        }
        Self { svg, ..plot }
    }

    fn step(&self) -> f64 {
        (WIDTH - LEFT) / self.steps.max(1) as f64
    }

    fn x(&self, index: usize) -> f64 {
        LEFT + self.step() * index as f64
    }

    fn y(&self, value: f64) -> f64 {
        let room = HEIGHT - BELOW - ABOVE;
        ABOVE + room - room * (value / self.most).clamp(0.0, 1.0)
    }

    fn bar(&mut self, class: &str, index: usize, from: f64, to: f64) {
        let (x, width) = (self.x(index), self.step());
        let (top, bottom) = (self.y(to), self.y(from));
        let gap = if width > 4.0 { 1.0 } else { 0.0 };
        let _ = write!(
            self.svg,
            "<rect class=\"{class}\" x=\"{:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\"/>",
            x + gap,
            (width - 2.0 * gap).max(0.5),
            (bottom - top).max(0.0)
        );
    }

    /// What is said about a step when it is pointed at.
    fn say(&mut self, index: usize, text: &str) {
        let (x, width) = (self.x(index), self.step());
        let _ = write!(
            self.svg,
            "<rect class=\"over\" x=\"{x:.1}\" y=\"{ABOVE}\" width=\"{width:.1}\" height=\"{:.1}\"><title>{}</title></rect>",
            HEIGHT - BELOW - ABOVE,
            escaped(text)
        );
    }

    fn finish(mut self) -> String {
        self.svg.push_str("</svg>");
        self.svg
    }
}

/// What ended in each step, by how it ended.
#[must_use]
pub fn throughput(words: &Words, steps: &[TrendStep]) -> String {
    let steps = &steps[steps.len().saturating_sub(MAX_STEPS)..];
    let ended = |step: &TrendStep| step.succeeded + step.failed + step.cancelled;
    let most = round_up(steps.iter().map(ended).max().unwrap_or(0).max(4) as f64, &EASY_COUNTS);
    let mut plot = Plot::new(words.throughput, steps, most, format::short_number);
    for (index, step) in steps.iter().enumerate() {
        let mut from = 0.0;
        for (class, count) in [("c-ok", step.succeeded), ("c-bad", step.failed), ("c-off", step.cancelled)] {
            if count > 0 {
                plot.bar(class, index, from, from + count as f64);
                from += count as f64;
            }
        }
        let text = format!(
            "{} · {} {} · {} {} · {} {}",
            format::clock(step.at),
            step.succeeded,
            words.succeeded,
            step.failed,
            words.failed,
            step.cancelled,
            words.cancelled
        );
        plot.say(index, &text);
    }
    plot.finish()
}

/// How long tasks waited in the queue, in each step.
#[must_use]
pub fn queue_wait(words: &Words, steps: &[TrendStep]) -> String {
    let steps = &steps[steps.len().saturating_sub(MAX_STEPS)..];
    let longest = steps.iter().filter_map(|step| step.mean_wait_seconds).fold(0.0, f64::max);
    let most = round_up(longest.max(0.01), &EASY);
    let mut plot = Plot::new(words.queue_wait, steps, most, format::seconds);
    let mut path = String::new();
    let mut points = String::new();
    let mut is_down = false;
    for (index, step) in steps.iter().enumerate() {
        let Some(wait) = step.mean_wait_seconds else {
            is_down = false;
            continue;
        };
        let (x, y) = (plot.x(index) + plot.step() / 2.0, plot.y(wait));
        let _ = write!(path, "{}{x:.1} {y:.1}", if is_down { 'L' } else { 'M' });
        let _ = write!(points, "<circle class=\"c-dot\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2\"/>");
        is_down = true;
    }
    let _ = write!(plot.svg, "<path class=\"c-line\" d=\"{path}\"/>{points}");
    for (index, step) in steps.iter().enumerate() {
        let wait = step.mean_wait_seconds.map_or_else(|| "–".to_owned(), format::seconds);
        plot.say(index, &format!("{} · {wait}", format::clock(step.at)));
    }
    plot.finish()
}

/// What was spent in each step, and what of it on attempts that failed; none where nothing was.
#[must_use]
pub fn cost(words: &Words, steps: &[TrendStep]) -> Option<String> {
    let steps = &steps[steps.len().saturating_sub(MAX_STEPS)..];
    let dearest = steps.iter().map(|step| step.cost_usd).fold(0.0, f64::max);
    if dearest <= 0.0 {
        return None;
    }
    let mut plot = Plot::new(words.cost, steps, round_up(dearest, &EASY), format::dollars);
    for (index, step) in steps.iter().enumerate().filter(|(_, step)| step.cost_usd > 0.0) {
        let lost = step.failed_cost_usd.clamp(0.0, step.cost_usd);
        plot.bar("c-run", index, lost, step.cost_usd);
        let mut text = format!("{} · {}", format::clock(step.at), format::dollars(step.cost_usd));
        if lost > 0.0 {
            plot.bar("c-bad", index, 0.0, lost);
            let _ = write!(text, " · {} {}", format::dollars(lost), words.cost_of_failures);
        }
        plot.say(index, &text);
    }
    Some(plot.finish())
}

/// When a task waited and when each of its attempts ran, from its beginning to its end or now.
#[must_use]
pub fn timeline(words: &Words, begin: i64, end: i64, attempts: &[AttemptView]) -> String {
    const ROW: f64 = 14.0;
    const MOST_HEIGHT: f64 = 6.0 * ROW;
    let attempts = &attempts[attempts.len().saturating_sub(MAX_ATTEMPTS)..];
    let height = ROW * attempts.len().max(1) as f64;
    let span = (end - begin).max(1) as f64;
    let x = |at: i64| WIDTH * ((at - begin) as f64 / span).clamp(0.0, 1.0);
    let shown = height.min(MOST_HEIGHT);
    let mut svg = format!(
        "<svg class=\"timeline\" height=\"{shown}\" viewBox=\"0 0 {WIDTH} {height}\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{}\">",
        escaped(words.attempts)
    );
    let mut free = begin;
    for (index, attempt) in attempts.iter().enumerate() {
        let y = ROW * index as f64 + 3.0;
        let (from, to) = (attempt.started_at.0, attempt.finished_at.map_or(end, |at| at.0));
        let class = match attempt.state.as_str() {
            "succeeded" => "c-ok",
            "failed" | "crashed" => "c-bad",
            "running" => "c-run",
            _ => "c-off",
        };
        let cost = attempt.usage.cost_usd.map(|cost| format!(" · {}", format::dollars(cost)));
        let cost = cost.unwrap_or_default();
        let _ = write!(
            svg,
            "<rect class=\"c-wait\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"2\"/>\
             <rect class=\"{class}\" x=\"{:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"8\" rx=\"2\"><title>#{} {} · {}{cost}</title></rect>",
            x(free),
            y + 3.0,
            (x(from) - x(free)).max(0.0),
            x(from).min(WIDTH - 2.0),
            (x(to) - x(from)).max(2.0),
            attempt.number,
            escaped(words.attempt_state(&attempt.state)),
            escaped(&format::seconds((to - from).max(0) as f64 / 1_000.0))
        );
        free = to;
    }
    if attempts.is_empty() {
        let _ = write!(svg, "<rect class=\"c-wait\" x=\"0\" y=\"6\" width=\"{WIDTH}\" height=\"2\"/>");
    }
    svg.push_str("</svg>");
    svg
}

#[cfg(test)]
mod tests {
    use conductor_core::Wall;
    use conductor_protocol::task::UsageView;

    use super::*;
    use crate::words::Lang;

    fn step(at: i64, succeeded: u64, failed: u64, wait: Option<f64>) -> TrendStep {
        TrendStep { at: Wall(at), succeeded, failed, mean_wait_seconds: wait, ..TrendStep::default() }
    }

    #[test]
    fn bars_stand_on_each_other_and_nothing_draws_nothing() {
        let steps = [step(0, 3, 1, None), step(60_000, 0, 0, None)];
        let svg = throughput(Lang::En.words(), &steps);
        assert_eq!(svg.matches("class=\"c-ok\"").count(), 1);
        assert_eq!(svg.matches("class=\"c-bad\"").count(), 1);
        assert_eq!(svg.matches("<title>").count(), 2);
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>"));
    }

    #[test]
    fn a_line_is_broken_where_nothing_started() {
        let steps = [
            step(0, 0, 0, Some(1.0)),
            step(1, 0, 0, None),
            step(2, 0, 0, Some(2.0)),
            step(3, 0, 0, Some(3.0)),
        ];
        let svg = queue_wait(Lang::En.words(), &steps);
        let path = svg.split(" d=\"").nth(1).unwrap().split('"').next().unwrap();
        assert_eq!(path.matches('M').count(), 2);
        assert_eq!(path.matches('L').count(), 1);
    }

    #[test]
    fn empty_and_odd_numbers_are_drawn_without_nonsense() {
        for steps in
            [vec![], vec![step(0, 0, 0, Some(0.0))], vec![step(i64::MAX, u64::from(u32::MAX), 0, Some(1e9))]]
        {
            for svg in [throughput(Lang::Ja.words(), &steps), queue_wait(Lang::Ja.words(), &steps)] {
                assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
            }
        }
    }

    #[test]
    fn a_scale_ends_at_a_number_that_is_easy_to_read() {
        let scales = [0.3, 4.0, 11.0, 21.0, 99.0, 101.0].map(|value| round_up(value, &EASY));
        assert_eq!(scales, [0.5, 5.0, 20.0, 25.0, 100.0, 200.0]);
        let counts = [1.0, 4.0, 5.0, 11.0, 99.0].map(|value| round_up(value, &EASY_COUNTS));
        assert_eq!(counts, [2.0, 4.0, 6.0, 20.0, 100.0]);
    }

    #[test]
    fn what_was_spent_on_failures_is_drawn_in_the_cost_and_no_cost_draws_nothing() {
        let spent =
            |cost_usd, failed_cost_usd| TrendStep { cost_usd, failed_cost_usd, ..TrendStep::default() };
        assert_eq!(cost(Lang::En.words(), &[spent(0.0, 0.0)]), None);
        let svg = cost(Lang::En.words(), &[spent(2.0, 0.5), spent(0.0, 0.0), spent(1.0, 0.0)]).unwrap();
        let bars = |class: &str| svg.matches(&format!("class=\"{class}\"")).count();
        assert_eq!((bars("c-run"), bars("c-bad")), (2, 1));
        assert!(svg.contains("$2.00 · $0.50 on failed attempts"), "{svg}");
    }

    #[test]
    fn what_an_agent_says_of_an_attempt_cannot_leave_the_drawing_and_its_cost_is_told() {
        let attempt = |state: &str, cost_usd| AttemptView {
            number: 1,
            agent: "one".to_owned(),
            state: state.to_owned(),
            runner: "claude".to_owned(),
            started_at: Wall(1_000),
            finished_at: Some(Wall(3_000)),
            exit_code: None,
            failure: None,
            usage: UsageView { cost_usd, ..UsageView::default() },
            simulated: false,
        };
        let attempts = [attempt("failed", Some(0.4)), attempt("<script>", None)];
        let svg = timeline(Lang::En.words(), 0, 4_000, &attempts);
        assert!(svg.contains("<title>#1 failed · 2.0 s · $0.40</title>"), "{svg}");
        assert!(svg.contains("<title>#1 &lt;script&gt; · 2.0 s</title>"), "{svg}");
    }
}
