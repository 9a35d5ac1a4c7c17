//! Small pieces of the page that many views share.

use std::fmt;

use conductor_core::Wall;
use conductor_protocol::task::{State, TaskView, reason_text};

use crate::format;
use crate::words::Words;

/// HTML that was made here, from escaped parts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Html(String);

impl Html {
    /// Takes HTML as it is. What comes from outside has to be escaped before.
    #[must_use]
    pub fn made(html: String) -> Self {
        Self(html)
    }

    /// Escapes a text.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self(escape(text))
    }
}

impl fmt::Display for Html {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl askama::filters::HtmlSafe for Html {}

/// Escapes what would be markup in a text or a quoted attribute.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            char => escaped.push(char),
        }
    }
    escaped
}

/// A state as a coloured word.
#[must_use]
pub fn badge(words: &Words, state: State) -> Html {
    Html(format!("<span class=\"badge s-{}\">{}</span>", state.as_str(), words.state(state)))
}

/// The mark of what no model made.
#[must_use]
pub fn simulated(words: &Words, is_simulated: bool) -> Html {
    match is_simulated {
        true => {
            Html(format!("<span class=\"sim\" title=\"{}\">{}</span>", words.simulated_long, words.simulated))
        }
        false => Html::default(),
    }
}

/// An instant as how long ago it was; the page's script keeps it true.
#[must_use]
pub fn ago(words: &Words, now: Wall, at: Wall) -> Html {
    let told = words.ago(now.0 - at.0);
    Html(format!(
        "<time datetime=\"{}\" title=\"{}\" data-ago>{told}</time>",
        format::rfc3339(at),
        format::instant(at)
    ))
}

/// An instant as date and time.
#[must_use]
pub fn instant(at: Wall) -> Html {
    Html(format!("<time datetime=\"{}\" data-full>{}</time>", format::rfc3339(at), format::instant(at)))
}

/// How long something has been going on; the page's script lets it tick.
#[must_use]
pub fn ticking(now: Wall, since: Wall) -> Html {
    Html(format!("<span data-since=\"{}\">{}</span>", format::rfc3339(since), format::between(since, now)))
}

/// A bar of a list of counts.
#[must_use]
pub fn bar(count: u64, most: u64) -> Html {
    let width = 100.0 * count as f64 / most.max(1) as f64;
    Html(format!(
        "<svg viewBox=\"0 0 100 8\" preserveAspectRatio=\"none\" aria-hidden=\"true\"><rect width=\"{width:.1}\" height=\"8\" rx=\"2\"/></svg>"
    ))
}

/// How full a budget is: what is spent, and beside it what is set aside.
#[must_use]
pub fn meter(spent: f64, held: f64, limit: f64) -> Html {
    let share = |amount: f64| if limit > 0.0 { (100.0 * amount / limit).clamp(0.0, 100.0) } else { 100.0 };
    let (spent, held) = (share(spent), share(spent + held));
    Html(format!(
        "<svg viewBox=\"0 0 100 8\" preserveAspectRatio=\"none\" aria-hidden=\"true\"><rect class=\"c-wait\" width=\"100\" height=\"8\"/>\
         <rect class=\"c-held\" width=\"{held:.1}\" height=\"8\"/><rect class=\"c-spent\" width=\"{spent:.1}\" height=\"8\"/></svg>"
    ))
}

/// A task as a row of a list.
#[derive(Debug)]
pub struct Row {
    pub id: String,
    /// Changes with whatever the row tells, but for the time that passes: a row whose mark is the same is left alone.
    pub mark: String,
    pub short_id: String,
    pub title: String,
    pub state: &'static str,
    pub badge: Html,
    pub simulated: Html,
    pub runner: String,
    pub group: String,
    pub priority: u8,
    pub labels: Vec<(String, String)>,
    pub created: Html,
    pub time: Html,
    pub cost: String,
    pub why: Option<String>,
}

/// The most labels of a task that a row shows.
const ROW_LABELS: usize = 4;
/// The longest explanation that a row shows, in characters.
const WHY_CHARS: usize = 160;

impl Row {
    /// Tells a task in one row.
    #[must_use]
    pub fn new(words: &Words, now: Wall, task: &TaskView) -> Self {
        let failure = task.failure.as_ref();
        let why = failure.map(|failure| match failure.message.is_empty() {
            true => reason_text(failure.reason).to_owned(),
            false => format!("{}: {}", reason_text(failure.reason), words.told(&failure.message)),
        });
        let why = why.or_else(|| words.pending(task)).map(|why| format::cut(&why, WHY_CHARS));
        Self {
            id: task.id.to_string(),
            mark: mark(task, why.as_deref()),
            short_id: format::short_id(&task.id),
            title: format::title(task),
            state: task.state.as_str(),
            badge: badge(words, task.state),
            simulated: simulated(words, task.simulated),
            runner: runner(task).to_owned(),
            group: task.group.clone(),
            priority: task.priority,
            labels: task.labels.iter().take(ROW_LABELS).map(|(k, v)| (k.clone(), v.clone())).collect(),
            created: ago(words, now, task.created_at),
            time: time(now, task),
            cost: task.usage.cost_usd.map(format::dollars).unwrap_or_default(),
            why,
        }
    }
}

/// Tells apart what the row of a task can say. Times are not in it: the page's script keeps those true.
fn mark(task: &TaskView, why: Option<&str>) -> String {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    (task.seq, task.state.as_str(), task.simulated, runner(task), why, format::title(task)).hash(&mut hasher);
    task.usage.cost_usd.map(f64::to_bits).hash(&mut hasher);
    format!("{:x}", hasher.finish())
}

/// What ran or will run a task.
#[must_use]
pub fn runner(task: &TaskView) -> &str {
    let last = task.attempts.last().map(|attempt| attempt.runner.as_str());
    last.filter(|runner| !runner.is_empty()).unwrap_or(&task.runner)
}

/// How long a task ran, or runs, or waits.
#[must_use]
pub fn time(now: Wall, task: &TaskView) -> Html {
    match (task.started_at, task.finished_at) {
        (Some(from), Some(to)) => Html::text(&format::between(from, to)),
        (Some(from), None) => ticking(now, from),
        (None, Some(_)) => Html::text("–"),
        (None, None) => ticking(now, task.queued_at.unwrap_or(task.created_at)),
    }
}

/// A small drawing. All are decoration: the words beside them say what they mean.
#[must_use]
pub fn icon(name: &str) -> Html {
    let paths = match name {
        "logo" => "M3 4.5 6.5 8 3 11.5M8 12h5M8 4h5",
        "overview" => "M2.5 2.5h4.5v5H2.5zM9 2.5h4.5v3H9zM9 7.5h4.5v6H9zM2.5 9.5h4.5v4H2.5z",
        "tasks" => "M2.5 4l1.2 1.2L6 2.8M8 4h5.5M2.5 9l1.2 1.2L6 7.8M8 9h5.5M8 13.5h5.5M3 13.5h2",
        "queue" => "M2.5 3.5h11v2.5h-11zM2.5 8h11M2.5 10.5h11M2.5 13h11",
        "agents" => {
            "M4.5 4.5h7v7h-7zM6.5 2v2.5M9.5 2v2.5M6.5 11.5V14M9.5 11.5V14M2 6.5h2.5M2 9.5h2.5M11.5 6.5H14M11.5 9.5H14"
        }
        "schedules" => "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12zM8 4.8V8l2.2 1.6",
        "audit" => "M8 1.8l5 1.8v4c0 3.2-2 5.4-5 6.6-3-1.2-5-3.4-5-6.6v-4zM5.8 8l1.6 1.6 2.9-3",
        "settings" => {
            "M2.5 4.5h6M11.5 4.5h2M2.5 11.5h2M7.5 11.5h6M10 6a1.5 1.5 0 1 0 0-3 1.5 1.5 0 0 0 0 3zM6 13a1.5 1.5 0 1 0 0-3 1.5 1.5 0 0 0 0 3z"
        }
        "bell" => "M4 11V7a4 4 0 0 1 8 0v4l1.2 1.5H2.8zM6.8 14h2.4",
        "keys" => "M1.8 4h12.4v8H1.8zM4.3 6.5h.01M6.8 6.5h.01M9.3 6.5h.01M11.8 6.5h.01M5 9.5h6",
        "globe" => {
            "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12zM2 8h12M8 2c2 2 2.5 4 2.5 6S10 12 8 14c-2-2-2.5-4-2.5-6S6 4 8 2z"
        }
        "out" => "M6 2.5H3v11h3M10.5 5l3 3-3 3M13.5 8H6.5",
        "plus" => "M8 3.5v9M3.5 8h9",
        "search" => "M7 11.5a4.5 4.5 0 1 0 0-9 4.5 4.5 0 0 0 0 9zM10.3 10.3l3.2 3.2",
        "file" => "M4 2h5l3 3v9H4zM9 2v3h3",
        "folder" => "M2 4.5V13h12V5.5H8L6.5 3.5H2z",
        "copy" => "M5.5 5.5h8v8h-8zM10.5 5.5v-3h-8v8h3",
        "pin" => "M6 2.5h4l-.5 4 2.5 2.5H4L6.5 6.5zM8 9v4.5",
        "play" => "M5 3.5l7 4.5-7 4.5z",
        "pause" => "M5.5 3.5v9M10.5 3.5v9",
        _ => "",
    };
    Html(format!("<svg class=\"i\" viewBox=\"0 0 16 16\" aria-hidden=\"true\"><path d=\"{paths}\"/></svg>"))
}

/// What a reader should know of a result, in words; a flag that is not known is shown as it is.
pub fn flags(words: &Words, flags: &[String]) -> Vec<String> {
    let text = |flag: &String| match flag.as_str() {
        "no_tool_calls" => words.no_tool_calls.to_owned(),
        "real_credential" => words.real_credential.to_owned(),
        "changed_read_only" => words.changed_read_only.to_owned(),
        "submodules_not_pushed" => words.submodules_not_pushed.to_owned(),
        other => other.to_owned(),
    };
    flags.iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::Lang;

    #[test]
    fn what_is_markup_is_escaped() {
        assert_eq!(escape("<a href='x' y=\"&\">"), "&lt;a href=&#39;x&#39; y=&quot;&amp;&quot;&gt;");
        assert_eq!(Html::text("<script>").to_string(), "&lt;script&gt;");
    }

    #[test]
    fn every_icon_that_a_template_names_is_drawn() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
        let mut names = Vec::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
            names.extend(
                text.split("f.icon(\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()),
            );
        }
        assert!(names.len() > 5);
        for name in names {
            assert!(!icon(&name).to_string().contains("d=\"\""), "{name}");
        }
    }

    #[test]
    fn a_flag_is_told_in_words_and_an_unknown_one_as_it_is() {
        let told = flags(Lang::En.words(), &["no_tool_calls".to_owned(), "of_tomorrow".to_owned()]);
        assert!(told[0].contains("without using a single tool"));
        assert_eq!(told[1], "of_tomorrow");
    }

    #[test]
    fn only_simulated_results_are_marked() {
        assert!(simulated(Lang::En.words(), true).to_string().contains(">simulated<"));
        assert_eq!(simulated(Lang::En.words(), false).to_string(), "");
    }
}
