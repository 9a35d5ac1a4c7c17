use super::*;

fn told(bytes: &[u8]) -> Vec<(String, String)> {
    let mut reader = Reader::default();
    let lines = lines(reader.feed(bytes));
    lines.into_iter().flat_map(|line| line.spans).collect()
}

fn span(classes: &str, text: &str) -> (String, String) {
    (classes.to_owned(), text.to_owned())
}

#[test]
fn colours_become_classes_and_end_with_a_reset() {
    let spans = told(b"plain \x1b[1;31mred\x1b[0m \x1b[92;44mboth\x1b[39m");
    let expected = [span("", "plain "), span("f1 bo", "red"), span("", " "), span("f10 b4", "both")];
    assert_eq!(spans, expected);
}

#[test]
fn colours_beyond_the_sixteen_become_the_nearest() {
    assert_eq!(told(b"\x1b[38;5;196mx")[0].0, "f9");
    assert_eq!(told(b"\x1b[38;2;10;160;20mx")[0].0, "f2");
    assert_eq!(told(b"\x1b[48;5;236mx")[0].0, "b0");
    assert_eq!(told(b"\x1b[38;5mx")[0].0, "");
}

#[test]
fn what_a_terminal_would_obey_is_passed_over() {
    let spans = told(b"a\x1b[2J\x1b[10;5Hb\x1b]0;title\x07c\x1b]8;;http://x/\x1b\\d\x07\x08e\x1b(Bf\x1b7g\x1b[?25lh\x1b[>4mi");
    assert_eq!(spans, [span("", "abcdefghi")]);
}

#[test]
fn any_cut_gives_the_same_lines() {
    let bytes = "one \x1b[33mzwei \u{1f980} 漢字\x1b[0m\r\nthree\x1b]0;t\x07\rfour\n".as_bytes();
    let whole = lines(Reader::default().feed(bytes));
    for cut in 0..bytes.len() {
        let mut reader = Reader::default();
        let mut pieces = reader.feed(&bytes[..cut]);
        pieces.extend(reader.feed(&bytes[cut..]));
        assert_eq!(reader.pending(), 0, "cut at {cut}");
        let text = |lines: &[Line]| -> Vec<String> {
            lines.iter().map(|line| line.spans.iter().map(|(_, text)| text.as_str()).collect()).collect()
        };
        assert_eq!(text(&lines(pieces)), text(&whole), "cut at {cut}");
    }
}

#[test]
fn a_return_writes_the_line_anew_but_not_before_something_comes() {
    assert_eq!(told(b"10%\r50%\r"), [span("", "50%")]);
    let mut reader = Reader::default();
    assert_eq!(lines(reader.feed(b"10%\r\n"))[0].spans, [span("", "10%")]);
}

#[test]
fn bytes_that_are_no_text_are_replaced_and_hold_nothing_up() {
    assert_eq!(told(b"a\xff\xc3(b"), [span("", "a\u{fffd}\u{fffd}(b")]);
}

#[test]
fn an_endless_sequence_is_not_waited_for() {
    let mut reader = Reader::default();
    let mut bytes = b"\x1b[".to_vec();
    bytes.resize(20_000, b'1');
    let pieces = reader.feed(&bytes);
    assert!(reader.pending() <= MAX_SEQUENCE_BYTES + 2, "{} bytes wait", reader.pending());
    assert!(!pieces.is_empty());
    let mut reader = Reader::default();
    let mut bytes = b"\x1b]".to_vec();
    bytes.resize(20_000, b'x');
    assert!(!reader.feed(&bytes).is_empty());
    assert_eq!(reader.pending(), 0);
}

#[test]
fn a_look_can_be_taken_up_elsewhere() {
    let mut reader = Reader::default();
    reader.feed(b"\x1b[1;4;97;41mx");
    let resumed = Reader::resumed(&reader.style().parameters());
    assert_eq!(resumed.style(), reader.style());
    assert_eq!(Reader::resumed("").style(), Style::default());
}

#[test]
fn pieces_are_short_on_the_wire() {
    let pieces = Reader::default().feed(b"\x1b[32mok\x1b[0m\n\r.");
    let json = serde_json::to_string(&pieces).unwrap();
    assert_eq!(json, r#"[["f2","ok"],0,1,["","."]]"#);
}

#[test]
fn a_summary_reads_without_its_colours() {
    assert_eq!(plain("12 \u{1b}[33mwarnings\u{1b}[0m\nand \u{1b}[1mmore"), "12 warnings\nand more");
}
