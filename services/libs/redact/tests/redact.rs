//! Secrets in every spelling, whole and in pieces.

use std::sync::{Arc, LazyLock};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use conductor_redact::{MARK, Redactor, Stream};
use proptest::prelude::*;

const SECRET: &str = r#"p@ss/w"o\rd+é-0123456789_ABCDEFGH="#;
const KEY: &str = "sk-ant-api03-4hT9xLq2Wm8ZbV1cNs7Kd0FgJpQrYuIoAeXw5R6t3E_U-yHjMnBvCzSaDfGhTkLp";

fn redactor(secrets: &[&str]) -> Redactor {
    Redactor::new(secrets.iter().map(|secret| secret.as_bytes())).expect("they fit")
}

static BOTH: LazyLock<Arc<Redactor>> = LazyLock::new(|| Arc::new(redactor(&[SECRET, KEY])));

fn percent(text: &str, keep: fn(char) -> bool) -> String {
    let one = |byte: u8| match char::from(byte) {
        c if byte.is_ascii() && keep(c) => c.to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(one).collect()
}

fn wrapped(text: &str, width: usize, end: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    chars.chunks(width).map(|line| line.iter().collect::<String>()).collect::<Vec<_>>().join(end)
}

fn json(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '"' | '\\' | '/' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            c if !c.is_ascii() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

/// The ways in which a program may write a secret.
fn spellings(secret: &str) -> Vec<String> {
    let mut all = vec![
        secret.to_owned(),
        percent(secret, |c| c.is_ascii_alphanumeric()),
        percent(secret, |_| false),
        percent(secret, |_| false).to_lowercase(),
        json(secret),
        json(&json(secret)),
        json(&json(&json(secret))),
        hex::encode(secret),
        hex::encode_upper(secret),
    ];
    for around in [("", ""), ("a", "z"), ("ab", "yz"), ("user:", "@host")] {
        let text = format!("{}{secret}{}", around.0, around.1);
        let encoded = STANDARD.encode(&text);
        all.extend([
            URL_SAFE_NO_PAD.encode(&text),
            wrapped(&encoded, 76, "\n"),
            wrapped(&encoded, 20, "\r\n"),
            wrapped(&encoded, 20, "\\n"),
            wrapped(&encoded, 20, "\n+"),
            wrapped(&encoded, 20, "\n    "),
            encoded,
        ]);
    }
    all
}

#[test]
fn a_secret_is_found_in_every_spelling() {
    for secret in [SECRET, KEY] {
        let redactor = redactor(&[secret]);
        for spelling in spellings(secret) {
            let text = format!("before {spelling} after");
            let kept = redactor.text(&text);
            let rest = kept.strip_prefix("before ").and_then(|rest| rest.strip_suffix(" after"));
            let rest = rest.unwrap_or_else(|| panic!("{kept}")).replace(MARK, "");
            // Of base64 the characters that belong to a neighbour as well are left.
            assert!(rest.len() <= 14 && rest.len() * 2 < spelling.len(), "{spelling}: {kept}");
        }
    }
}

#[test]
fn json_stays_json() {
    let secret = r#"\begins"and/ends\"#;
    let redactor = redactor(&[secret, SECRET]);
    for text in [secret, SECRET, &format!("a\\{secret}\\b"), &format!("\"{SECRET}\"\n")] {
        let line = format!(r#"{{"text":"{}","n":1}}"#, json(text));
        let kept = redactor.text(&line);
        assert!(kept.contains(MARK), "{kept}");
        let strings = kept.replace("\\\\", "").replace("\\\"", "");
        assert_eq!(strings.matches('"').count(), 6, "{kept}");
        assert!(!strings.contains("\\[") && !strings.contains("]\\\""), "{kept}");
    }
}

#[test]
fn the_lines_of_a_key_are_found_one_by_one() {
    let pem =
        "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQ\nEFAASCBKcwggSjAgEAAoIBAQ==\n-----END KEY-----\n";
    let redactor = redactor(&[pem]);
    let diff = "+-----BEGIN KEY-----\n+MIIEvQIBADANBgkqhkiG9w0BAQ\n x\n+EFAASCBKcwggSjAgEAAoIBAQ==\n";
    assert_eq!(redactor.text(diff), format!("+-----BEGIN KEY-----\n+{MARK}\n x\n+{MARK}\n"));
    assert_eq!(redactor.text(pem), MARK);
}

#[test]
fn ordinary_text_passes_at_once() {
    let mut stream = Stream::new(Arc::new(redactor(&[KEY])));
    for line in ["is this all? (y/n) s", "50%", "C:\\", "\n", "sk-", "x"] {
        assert_eq!(&*stream.push(line.as_bytes()), line.as_bytes());
    }
    assert!(stream.finish().is_empty());
}

#[test]
fn what_may_become_a_secret_is_held_and_let_go_when_it_does_not() {
    let mut stream = Stream::new(Arc::new(redactor(&[KEY])));
    assert_eq!(&*stream.push(b"key: sk-ant-api"), b"key: ");
    assert_eq!(&*stream.push(b"03-4h"), b"");
    assert_eq!(&*stream.push(b" no\n"), b"sk-ant-api03-4h no\n");
    assert_eq!(&*stream.push(b"sk-ant-api03"), b"");
    assert_eq!(stream.finish(), b"sk-ant-api03");
    assert_eq!(&*stream.push(KEY.as_bytes()), MARK.as_bytes());
}

#[test]
fn what_is_held_is_bounded() {
    let mut stream = Stream::new(Arc::new(redactor(&[KEY])));
    let mut passed = stream.push(b"sk-ant-api03").len();
    for _ in 0..100 {
        passed += stream.push(&[b' '; 100]).len();
    }
    assert!(passed > 9_000, "{passed}");
    assert_eq!(passed + stream.finish().len(), 10_012);
}

/// Cuts bytes where the proportions say.
fn pieces<'a>(bytes: &'a [u8], cuts: &[u16]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| usize::from(*cut) * bytes.len() / 65_536).collect();
    places.extend([0, bytes.len()]);
    places.sort_unstable();
    places.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

fn streamed(redactor: &Arc<Redactor>, pieces: &[&[u8]]) -> Vec<u8> {
    let mut stream = Stream::new(Arc::clone(redactor));
    let mut out: Vec<u8> = pieces.iter().flat_map(|piece| stream.push(piece).into_owned()).collect();
    out.extend(stream.finish());
    out
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        4 => "[ -~\n]{0,12}".prop_map(String::into_bytes),
        1 => proptest::collection::vec(any::<u8>(), 0..8),
        1 => (0..spellings(SECRET).len()).prop_map(|at| spellings(SECRET)[at].clone().into_bytes()),
        1 => (0..spellings(KEY).len()).prop_map(|at| spellings(KEY)[at].clone().into_bytes()),
        // Beginnings and ends of secrets, which are none.
        1 => (1..30usize).prop_map(|count| KEY.as_bytes()[..count].to_vec()),
        1 => (1..30usize).prop_map(|count| KEY.as_bytes()[count..].to_vec()),
    ];
    proptest::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// However it is cut, no secret passes, and what is no secret passes whole and in order.
    #[test]
    fn cuts_do_not_matter(text in text(), cuts in proptest::collection::vec(any::<u16>(), 0..12)) {
        let redactor = &*BOTH;
        let out = streamed(redactor, &pieces(&text, &cuts));
        prop_assert_eq!(&*redactor.bytes(&out), &out[..], "something was left to be found");
        // What passed is the text with some ranges replaced: it is found in it again, in order.
        let mut rest = &text[..];
        for kept in split(&out) {
            let at = find(rest, kept);
            prop_assert!(at.is_some(), "bytes that never came: {:?}", String::from_utf8_lossy(kept));
            rest = &rest[at.unwrap_or(0) + kept.len()..];
        }
    }

    /// A text without secrets passes byte for byte.
    #[test]
    fn nothing_else_is_lost(text in proptest::collection::vec(any::<u8>(), 0..4_000), cuts in proptest::collection::vec(any::<u16>(), 0..12)) {
        let redactor = &*BOTH;
        prop_assert_eq!(streamed(redactor, &pieces(&text, &cuts)), text);
    }

    /// Byte by byte, no more than the first few characters of a secret pass before it is known.
    #[test]
    fn a_secret_byte_by_byte_shows_no_more_than_its_beginning(at in 0..spellings(KEY).len()) {
        let redactor = &*BOTH;
        let spelling = &spellings(KEY)[at];
        let text = format!("before {spelling} after");
        let out = streamed(redactor, &text.as_bytes().chunks(1).collect::<Vec<_>>());
        let out = String::from_utf8(out).unwrap();
        let left = out.strip_prefix("before ").and_then(|rest| rest.strip_suffix(" after")).unwrap().replace(MARK, "");
        prop_assert!(left.len() <= 24, "{}", out);
    }
}

fn split(bytes: &[u8]) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    let mut rest = bytes;
    while let Some(at) = find(rest, MARK.as_bytes()) {
        parts.push(&rest[..at]);
        rest = &rest[at + MARK.len()..];
    }
    parts.push(rest);
    parts
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    if wanted.is_empty() {
        return Some(0);
    }
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// What passing through costs beside a plain copy; a figure for people: `cargo nextest run --release --run-ignored only`.
#[test]
#[ignore = "it measures, and tells nothing of what is right"]
fn throughput_beside_a_plain_copy() {
    use std::hint::black_box;
    use std::time::Instant;
    let line =
        "test runner::secrets::tests::a_line_as_builds_print_them ... ok (12.5 ms) [path/to/file.rs:123]\n";
    let part = line.repeat(700).into_bytes();
    let time = |pass: &mut dyn FnMut(&[u8])| {
        let since = Instant::now();
        (0..2_000).for_each(|_| pass(black_box(&part)));
        (2_000 * part.len()) as f64 / since.elapsed().as_secs_f64() / 1e6
    };
    let mut copy = Vec::with_capacity(part.len());
    let copied = time(&mut |bytes| {
        copy.clear();
        copy.extend_from_slice(bytes);
        black_box(&copy);
    });
    let mut stream = Stream::new(Arc::clone(&BOTH));
    let passed = time(&mut |bytes| {
        black_box(stream.push(bytes));
    });
    println!("copied {copied:.0} MB/s, passed {passed:.0} MB/s: {:.3}", passed / copied);
}
