//! The steps that the mock reads from a prompt: one a line, or parted by `;`.

use std::time::Duration;

/// The longest `print` of a size.
const MAX_PRINT_BYTES: u64 = 1 << 40;

/// One step of a simulation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Sleep(Duration),
    Print(String),
    /// So many bytes of made-up lines.
    PrintBytes(u64),
    Write {
        path: String,
        text: String,
    },
    Use {
        tokens: u64,
    },
    Tool(String),
    Ask(String),
    Fail(String),
    Exit(i32),
    Crash,
    Hang,
    /// Anything else: it is said back.
    Say(String),
}

/// Reads a prompt. Every prompt has a reading: what is no step is something to say.
pub(super) fn parse(prompt: &str) -> Vec<Step> {
    prompt.split(['\n', ';']).map(str::trim).filter(|step| !step.is_empty()).map(step).collect()
}

fn step(text: &str) -> Step {
    let (word, rest) =
        text.split_once(char::is_whitespace).map_or((text, ""), |(word, rest)| (word, rest.trim()));
    let step = match word {
        "sleep" => duration(rest).map(Step::Sleep),
        "print" => Some(size(rest).map_or_else(|| Step::Print(rest.to_owned()), Step::PrintBytes)),
        "write" => {
            let (path, text) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            (!path.is_empty()).then(|| Step::Write { path: path.to_owned(), text: text.trim().to_owned() })
        }
        "use" => rest
            .strip_suffix("tokens")
            .and_then(|number| number.trim().parse().ok())
            .map(|tokens| Step::Use { tokens }),
        "tool" => {
            (!rest.is_empty() && !rest.contains(char::is_whitespace)).then(|| Step::Tool(rest.to_owned()))
        }
        "ask" => (!rest.is_empty()).then(|| Step::Ask(rest.to_owned())),
        "fail" => {
            Some(Step::Fail(if rest.is_empty() { "it was told to fail".to_owned() } else { rest.to_owned() }))
        }
        "exit" => rest.parse().ok().filter(|code| (0..=255).contains(code)).map(Step::Exit),
        "crash" => rest.is_empty().then_some(Step::Crash),
        "hang" => rest.is_empty().then_some(Step::Hang),
        _ => None,
    };
    step.unwrap_or_else(|| Step::Say(text.to_owned()))
}

fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = number_and_unit(text)?;
    let ms = match unit {
        "ms" => 1,
        "s" | "" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.checked_mul(ms).map(Duration::from_millis)
}

fn size(text: &str) -> Option<u64> {
    let (number, unit) = number_and_unit(text)?;
    let bytes = match unit {
        "B" => 1,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(bytes).filter(|&bytes| bytes <= MAX_PRINT_BYTES)
}

fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let (number, unit) = text.split_at(text.find(|char: char| !char.is_ascii_digit()).unwrap_or(text.len()));
    Some((number.parse().ok()?, unit.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(text: &str) -> Step {
        Step::Say(text.into())
    }

    #[test]
    fn steps_are_parted_by_lines_and_semicolons() {
        let steps =
            parse("sleep 200ms; print hello  world\n\n;write a/b.txt some text\nuse 1200 tokens;tool grep");
        assert_eq!(
            steps,
            [
                Step::Sleep(Duration::from_millis(200)),
                Step::Print("hello  world".into()),
                Step::Write { path: "a/b.txt".into(), text: "some text".into() },
                Step::Use { tokens: 1_200 },
                Step::Tool("grep".into()),
            ]
        );
        let steps = parse("ask May I?;fail no luck;exit 3;crash;hang;print 10MB;sleep 2s;sleep 1");
        assert_eq!(
            steps,
            [
                Step::Ask("May I?".into()),
                Step::Fail("no luck".into()),
                Step::Exit(3),
                Step::Crash,
                Step::Hang,
                Step::PrintBytes(10_000_000),
                Step::Sleep(Duration::from_secs(2)),
                Step::Sleep(Duration::from_secs(1)),
            ]
        );
    }

    #[test]
    fn anything_else_is_said_back() {
        for text in [
            "Say hello",
            "sleep well",
            "sleep 99999999999999999999s",
            "exit stage left",
            "exit 256",
            "exit -1",
            "tool belts are useful",
            "use more tokens",
            "crash course in Rust",
            "hang on",
            "write",
            "ask",
            "日本語 で",
        ] {
            assert_eq!(parse(text), [say(text)], "{text}");
        }
        assert_eq!(parse(" ; \n"), []);
    }

    #[test]
    fn a_print_of_no_size_is_text() {
        assert_eq!(parse("print 10 green bottles"), [Step::Print("10 green bottles".into())]);
        assert_eq!(parse("print"), [Step::Print(String::new())]);
        assert_eq!(parse("print 3B"), [Step::PrintBytes(3)]);
        assert_eq!(parse("print 9999999999GB"), [Step::Print("9999999999GB".into())]);
    }
}
