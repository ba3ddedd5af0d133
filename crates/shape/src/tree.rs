//! JSON as a tree that keeps what it was written with: the order of members, members that are there twice, and the digits of
//! numbers. Encoders that are not JSON read this, so that an amount of `1.10` stays `1.10`.

use domain::limit::JSON_DEPTH_MAX;
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Tree<'a> {
    Null,
    Bool(bool),
    /// As it was written.
    Number(&'a str),
    Text(Cow<'a, str>),
    List(Vec<Tree<'a>>),
    Object(Vec<(Cow<'a, str>, Tree<'a>)>),
}

/// A text that is borrowed where it has no escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a> Tree<'a> {
    /// Reads JSON, nested at most as deep as a posted body may be.
    pub(crate) fn parse(json: &'a [u8]) -> serde_json::Result<Self> {
        serde_json::from_slice::<&RawValue>(json).and_then(|raw| Self::read(raw.get(), JSON_DEPTH_MAX))
    }

    /// Values in it, itself included.
    pub(crate) fn nodes(&self) -> u64 {
        match self {
            Self::List(items) => 1 + items.iter().map(Self::nodes).sum::<u64>(),
            Self::Object(members) => 1 + members.iter().map(|(_, value)| value.nodes()).sum::<u64>(),
            _ => 1,
        }
    }

    fn read(json: &'a str, deeper: usize) -> serde_json::Result<Self> {
        let below = deeper.checked_sub(1);
        let inner = |raw: &'a RawValue| {
            let depth = below.ok_or_else(|| {
                de::Error::custom(format!("nested deeper than {JSON_DEPTH_MAX} levels (json_depth_max)"))
            })?;
            Self::read(raw.get(), depth)
        };
        Ok(match json.as_bytes().first() {
            Some(b'{') => {
                let Members(members) = serde_json::from_str(json)?;
                let read = |(name, raw)| Ok((name, inner(raw)?));
                Self::Object(members.into_iter().map(read).collect::<serde_json::Result<_>>()?)
            }
            Some(b'[') => {
                let items: Vec<&'a RawValue> = serde_json::from_str(json)?;
                Self::List(items.into_iter().map(inner).collect::<serde_json::Result<_>>()?)
            }
            Some(b'"') => Self::Text(serde_json::from_str::<Text<'a>>(json)?.0),
            Some(b't') => Self::Bool(true),
            Some(b'f') => Self::Bool(false),
            Some(b'n') => Self::Null,
            _ => Self::Number(json),
        })
    }
}

struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((name, raw)) = map.next_entry::<Text<'de>, _>()? {
                    members.push((name.0, raw));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Visitor)
    }
}

impl Serialize for Tree<'_> {
    /// For templates and predicates: numbers as whole ones where they are.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(digits) => number(digits, serializer),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                items.iter().try_for_each(|item| list.serialize_element(item))?;
                list.end()
            }
            Self::Object(members) => {
                let mut map = serializer.serialize_map(Some(members.len()))?;
                members.iter().try_for_each(|(name, value)| map.serialize_entry(name, value))?;
                map.end()
            }
        }
    }
}

fn number<S: Serializer>(digits: &str, serializer: S) -> Result<S::Ok, S::Error> {
    if let Ok(whole) = digits.parse::<i64>() {
        return serializer.serialize_i64(whole);
    }
    if let Ok(whole) = digits.parse::<u64>() {
        return serializer.serialize_u64(whole);
    }
    serializer.serialize_f64(digits.parse().unwrap_or(f64::NAN))
}

/// JSON whose texts can be read: an escaped surrogate without its other half (`"\\ud83d"`, as a cut text is written by some) is
/// U+FFFD in it.
#[must_use]
pub fn mended(json: &[u8]) -> Cow<'_, [u8]> {
    let escape = |at: usize| -> Option<u16> {
        let digits = json.get(at..at + 6)?.strip_prefix(b"\\u")?;
        u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    let mut mended: Option<Vec<u8>> = None;
    let (mut at, mut copied) = (0, 0);
    while let Some(step) = json[at..].iter().position(|byte| *byte == b'\\') {
        at += step;
        let next = match escape(at) {
            // A pair.
            Some(0xd800..=0xdbff) if matches!(escape(at + 6), Some(0xdc00..=0xdfff)) => at + 12,
            Some(0xd800..=0xdfff) => {
                let out = mended.get_or_insert_with(Vec::new);
                out.extend_from_slice(&json[copied..at]);
                out.extend_from_slice(b"\\ufffd");
                copied = at + 6;
                copied
            }
            Some(_) => at + 6,
            None => at + 2,
        };
        at = next.min(json.len());
    }
    match mended {
        None => Cow::Borrowed(json),
        Some(mut out) => {
            out.extend_from_slice(&json[copied..]);
            Cow::Owned(out)
        }
    }
}

/// Writes JSON: numbers as they were written.
pub(crate) fn write(tree: &Tree<'_>, out: &mut Vec<u8>) {
    match tree {
        Tree::Null => out.extend_from_slice(b"null"),
        Tree::Bool(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
        Tree::Number(digits) => out.extend_from_slice(digits.as_bytes()),
        Tree::Text(text) => write_text(text, out),
        Tree::List(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write(item, out);
            }
            out.push(b']');
        }
        Tree::Object(members) => {
            out.push(b'{');
            for (index, (name, value)) in members.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_text(name, out);
                out.push(b':');
                write(value, out);
            }
            out.push(b'}');
        }
    }
}

/// Writes a JSON string.
pub(crate) fn write_text(text: &str, out: &mut Vec<u8>) {
    // Writing into memory does not fail, and every text is a JSON string.
    let _ = serde_json::to_writer(out, text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_of_pairs_are_mended_and_nothing_else() {
        let mend = |json: &str| String::from_utf8(mended(json.as_bytes()).into_owned()).unwrap();
        for (json, expected) in [
            (r#"{"a":"\ud83d"}"#, r#"{"a":"\ufffd"}"#),
            (r#"["\uDE00x","\ud83d\ud83d\ude00"]"#, r#"["\ufffdx","\ufffd\ud83d\ude00"]"#),
            (r#"{"\ud83d":"\\ud83d"}"#, r#"{"\ufffd":"\\ud83d"}"#),
            (r#""\u00e9 \n \\ é""#, r#""\u00e9 \n \\ é""#),
        ] {
            assert_eq!(mend(json), expected);
            assert!(Tree::parse(mend(json).as_bytes()).is_ok(), "{json}");
        }
        assert!(matches!(mended(br#""\ud83d\ude00""#), Cow::Borrowed(_)));
        assert!(mended(b"\\").len() == 1 && mended(b"\\u12").len() == 4);
    }

    #[test]
    fn it_reads_and_writes_what_was_there() {
        for json in [
            r#"{"z":1.10,"a":12345678901234567890123,"a":[],"t":"é\n\u0000","n":null,"b":[true,false,{}]}"#,
            "1e400",
            "-0.0",
            r#""""#,
        ] {
            let tree = Tree::parse(json.as_bytes()).unwrap();
            let mut out = Vec::new();
            write(&tree, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), json);
        }
        assert_eq!(
            Tree::parse(b" [ 1 , 2 ] ").unwrap(),
            Tree::List(vec![Tree::Number("1"), Tree::Number("2")])
        );
        assert!(Tree::parse(b"{\"a\":}").is_err());
        let deep = [vec![b'['; 200], vec![b']'; 200]].concat();
        assert!(Tree::parse(&deep).is_err());
    }
}
