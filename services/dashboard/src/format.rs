//! Numbers, sizes, times and ids as people read them.

use conductor_core::Wall;
use conductor_protocol::task::TaskView;
pub use conductor_protocol::text::rfc3339;
pub use conductor_web::bytes;

/// The longest title of a task in characters.
const TITLE_CHARS: usize = 120;

/// A duration in at most two units.
#[must_use]
pub fn seconds(seconds: f64) -> String {
    let seconds = seconds.max(0.0);
    match seconds {
        0.0 => "0 s".to_owned(),
        s if s < 0.9995 => format!("{:.0} ms", (s * 1_000.0).max(1.0)),
        s if s < 9.95 => format!("{s:.1} s"),
        s if s < 59.5 => format!("{s:.0} s"),
        s if s < 3_599.5 => two(s, 60.0, "m", "s"),
        s if s < 86_399.5 => two(s / 60.0, 60.0, "h", "m"),
        s => two(s / 3_600.0, 24.0, "d", "h"),
    }
}

fn two(small: f64, per: f64, large_unit: &str, small_unit: &str) -> String {
    let small = small.round();
    let (large, rest) = ((small / per).floor(), small % per);
    if rest == 0.0 {
        format!("{large:.0}{large_unit}")
    } else {
        format!("{large:.0}{large_unit} {rest:.0}{small_unit}")
    }
}

/// The time between two instants.
#[must_use]
pub fn between(from: Wall, to: Wall) -> String {
    seconds((to.0 - from.0).max(0) as f64 / 1_000.0)
}

/// A count with its thousands parted.
#[must_use]
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count in few characters.
#[must_use]
pub fn short_number(value: f64) -> String {
    let trim = |text: String| text.replace(".0", "");
    match value {
        v if v < 10.0 && v.fract() != 0.0 => trim(format!("{v:.1}")),
        v if v < 1_000.0 => format!("{v:.0}"),
        v if v < 1_000_000.0 => format!("{}k", trim(format!("{:.1}", v / 1_000.0))),
        v if v < 1e9 => format!("{}M", trim(format!("{:.1}", v / 1e6))),
        v => format!("{}G", trim(format!("{:.1}", v / 1e9))),
    }
}

/// Money.
#[must_use]
pub fn dollars(amount: f64) -> String {
    if amount > 0.0 && amount < 0.01 { format!("${amount:.4}") } else { format!("${amount:.2}") }
}

/// An instant as the hour and minute in UTC; the page's script makes it local.
#[must_use]
pub fn clock(at: Wall) -> String {
    match jiff::Timestamp::from_millisecond(at.0) {
        Ok(at) => at.strftime("%H:%M").to_string(),
        Err(_) => "–".to_owned(),
    }
}

/// An instant as a date and time in UTC; the page's script makes it local.
#[must_use]
pub fn instant(at: Wall) -> String {
    match jiff::Timestamp::from_millisecond(at.0) {
        Ok(at) => at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        Err(_) => "–".to_owned(),
    }
}

/// What a task is called: its name, or how its prompt or command begins.
#[must_use]
pub fn title(task: &TaskView) -> String {
    let text = match (&task.name, &task.prompt, &task.command) {
        (Some(name), _, _) => name.clone(),
        (None, Some(prompt), _) => {
            prompt.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("").to_owned()
        }
        (None, None, Some(command)) => command.join(" "),
        (None, None, None) => task.id.to_string(),
    };
    cut(&text, TITLE_CHARS)
}

/// The first characters of a text, and a sign when there are more.
#[must_use]
pub fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The end of an id, which tells ids of the same minute apart.
#[must_use]
pub fn short_id(id: &impl ToString) -> String {
    let id = id.to_string();
    id.get(id.len().saturating_sub(8)..).unwrap_or(&id).to_owned()
}

/// A part of a URL's path or query, with everything that means something in it escaped.
#[must_use]
pub fn escape_url(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

/// A path whose segments are escaped.
#[must_use]
pub fn escape_path(path: &str) -> String {
    path.split('/').map(escape_url).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_told_in_at_most_two_units() {
        let told = [0.0, 0.0004, 0.25, 1.0, 59.4, 60.0, 61.0, 3_599.6, 5_400.0, 90_000.0].map(seconds);
        assert_eq!(told, ["0 s", "1 ms", "250 ms", "1.0 s", "59 s", "1m", "1m 1s", "1h", "1h 30m", "1d 1h"]);
    }

    #[test]
    fn counts_are_short() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0.0, 2.5, 500.0, 1_500.0, 2e6].map(short_number), ["0", "2.5", "500", "1.5k", "2M"]);
        assert_eq!([0.0, 0.0012, 3.0].map(dollars), ["$0.00", "$0.0012", "$3.00"]);
    }

    #[test]
    fn a_text_is_cut_at_a_character() {
        assert_eq!(cut("漢字仮名", 2), "漢字…");
        assert_eq!(cut("ab", 2), "ab");
    }

    #[test]
    fn paths_are_escaped_segment_by_segment() {
        assert_eq!(escape_path("a b/c?d#e/ü.txt"), "a%20b/c%3Fd%23e/%C3%BC.txt");
        assert_eq!(escape_url("a/b&c"), "a%2Fb%26c");
    }
}
