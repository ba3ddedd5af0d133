//! JSON in colours: cut into pieces, each of which is text.

use serde::de::IgnoredAny;

/// A piece of JSON, with the class that colours it; empty for what has no colour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) class: &'static str,
    pub(crate) text: String,
}

/// Bytes that are coloured; what is longer stays plain.
const COLOURED_MAX: usize = 64 * 1024;

/// The pieces of a text, which need not be JSON.
pub(crate) fn json(text: &str) -> Vec<Piece> {
    if text.len() > COLOURED_MAX {
        return vec![Piece { class: "", text: text.to_owned() }];
    }
    let mut pieces: Vec<Piece> = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (length, class) = match first {
            '"' => string(rest),
            '-' | '0'..='9' => (run(rest, |c| c.is_ascii_digit() || "+-.eE".contains(c)), "j-number"),
            c if c.is_ascii_alphabetic() => (run(rest, |c| c.is_ascii_alphabetic()), "j-word"),
            _ => (run(rest, |c| c != '"' && c != '-' && !c.is_ascii_alphanumeric()), ""),
        };
        let (piece, after) = rest.split_at(length.max(first.len_utf8()));
        pieces.push(Piece { class, text: piece.to_owned() });
        rest = after;
    }
    pieces
}

/// A text of JSON and whether it is a name: then a colon follows.
fn string(text: &str) -> (usize, &'static str) {
    let mut escaped = false;
    let end = text.char_indices().skip(1).find(|(_, c)| {
        let ends = *c == '"' && !escaped;
        escaped = *c == '\\' && !escaped;
        ends
    });
    let end = end.map_or(text.len(), |(index, _)| index + 1);
    let is_name = text[end..].trim_start().starts_with(':');
    (end, if is_name { "j-key" } else { "j-string" })
}

fn run(text: &str, belongs: impl Fn(char) -> bool) -> usize {
    text.find(|c| !belongs(c)).unwrap_or(text.len())
}

/// A payload as people read it: JSON on lines of its own, with the digits and the order that it has.
pub(crate) fn pretty(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    if serde_json::from_str::<IgnoredAny>(&text).is_err() {
        return text.into_owned();
    }
    indent(&text)
}

/// Puts blanks and line ends between what is there: nothing else of it changes.
fn indent(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if in_string {
            out.push(c);
            in_string = c != '"' || escaped;
            escaped = c == '\\' && !escaped;
            continue;
        }
        match c {
            '"' => {
                in_string = true;
                out.push(c);
            }
            '{' | '[' => {
                out.push(c);
                while chars.peek().is_some_and(|next| next.is_whitespace()) {
                    chars.next();
                }
                if !chars.peek().is_some_and(|next| "}]".contains(*next)) {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            '}' | ']' => {
                if !out.ends_with(['{', '[']) {
                    depth = depth.saturating_sub(1);
                    line(&mut out, depth);
                }
                out.push(c);
            }
            ',' => {
                out.push(c);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            c if c.is_whitespace() => {}
            c => out.push(c),
        }
    }
    out
}

fn line(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n("  ", depth));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_the_whole_text() {
        for text in [r#"{"a": [1, -2.5e3, true, null, "x\"y:"], "ü": "…"}"#, "no json: \"open", "", "ü{\"a"]
        {
            let whole: String = json(text).into_iter().map(|piece| piece.text).collect();
            assert_eq!(whole, text);
        }
        let of = |wanted: &str| {
            let pieces = json(r#"{"a": 12, "b": "c", "d": null}"#);
            pieces.into_iter().find(|piece| piece.text == wanted).map(|piece| piece.class)
        };
        assert_eq!(
            [of("\"a\""), of("12"), of("\"c\""), of("null")],
            [Some("j-key"), Some("j-number"), Some("j-string"), Some("j-word")]
        );
    }

    #[test]
    fn a_payload_is_only_spread_over_lines() {
        assert_eq!(
            pretty(br#"{"a":1.10,"b":[],"c":{"d":"x, y: {"}}"#),
            "{\n  \"a\": 1.10,\n  \"b\": [],\n  \"c\": {\n    \"d\": \"x, y: {\"\n  }\n}"
        );
        assert_eq!(pretty(b"{ \"a\" : { } }"), "{\n  \"a\": {}\n}");
        assert_eq!(pretty(b"plain, text"), "plain, text");
        assert_eq!(pretty(br#"["a\\","b\""]"#), "[\n  \"a\\\\\",\n  \"b\\\"\"\n]");
    }
}
