//! XML, well-formed for every JSON there can be.
//!
//! - The document's element is `event`.
//! - A member of an object is an element of its name; where that cannot be an XML name (it begins with a digit or with
//!   `xml`, or holds a space, say), the element is `member` with the name in its attribute `name`.
//! - A list's items are elements `item`.
//! - A null is an empty element with `nil="true"`. Numbers stand as they were written.
//! - Characters that XML 1.0 cannot hold, not even escaped (U+0000 to U+001F but tab, line feed and carriage return; U+FFFE,
//!   U+FFFF), become U+FFFD.

use crate::tree::Tree;
use quick_xml::Writer;
use quick_xml::events::attributes::Attribute;
use quick_xml::events::{BytesDecl, BytesStart, BytesText, Event};
use quick_xml::name::QName;
use std::borrow::Cow;

const ROOT: &str = "event";
const ITEM: &str = "item";
const MEMBER: &str = "member";

/// Writes a value as an XML document. Writing ends soon after `max` bytes, and whoever gets more than that has not got
/// the whole.
pub(crate) fn write(tree: &Tree<'_>, max: usize) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    emit(&mut writer, Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)));
    element(&mut writer, &BytesStart::new(ROOT), tree, max);
    writer.into_inner()
}

/// What is wrong with a text that should be an XML document; none when it is one.
pub(crate) fn wrong(text: &str) -> Option<String> {
    roxmltree::Document::parse(text).err().map(|error| error.to_string())
}

/// Writing into memory does not fail.
fn emit(writer: &mut Writer<Vec<u8>>, event: Event<'_>) {
    let _ = writer.write_event(event);
}

fn element(writer: &mut Writer<Vec<u8>>, start: &BytesStart<'_>, tree: &Tree<'_>, max: usize) {
    if writer.get_ref().len() > max {
        return;
    }
    if matches!(tree, Tree::Null) {
        let nil = start.clone().with_attributes([("nil", "true")]);
        return emit(writer, Event::Empty(nil));
    }
    emit(writer, Event::Start(start.borrow()));
    match tree {
        Tree::Null => {}
        Tree::Bool(value) => text(writer, if *value { "true" } else { "false" }),
        Tree::Number(digits) => text(writer, digits),
        Tree::Text(content) => text(writer, content),
        Tree::List(items) => items.iter().for_each(|item| element(writer, &BytesStart::new(ITEM), item, max)),
        Tree::Object(members) => members.iter().for_each(|(name, value)| {
            let start = if is_name(name) {
                BytesStart::new(&**name)
            } else {
                let attribute = Attribute { key: QName("name"), value: escape(name) };
                BytesStart::new(MEMBER).with_attributes([attribute])
            };
            element(writer, &start, value, max);
        }),
    }
    emit(writer, Event::End(start.to_end()));
}

fn text(writer: &mut Writer<Vec<u8>>, content: &str) {
    emit(writer, Event::Text(BytesText::from_escaped(escape(content))));
}

/// Escaped for text and attributes alike: a carriage return or a tab would be read back as something else.
fn escape(text: &str) -> Cow<'_, str> {
    let plain =
        |c: char| !matches!(c, '\0'..='\u{1f}' | '&' | '<' | '>' | '"' | '\'' | '\u{fffe}' | '\u{ffff}');
    if text.chars().all(plain) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\t' => out.push_str("&#9;"),
            '\n' => out.push_str("&#10;"),
            '\r' => out.push_str("&#13;"),
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// Whether a member's name can be an element's: an XML name (XML 1.0, section 2.3) without a colon, not beginning with `xml`.
fn is_name(name: &str) -> bool {
    let begins = |c: char| {
        matches!(c, 'A'..='Z' | 'a'..='z' | '_' | '\u{c0}'..='\u{d6}' | '\u{d8}'..='\u{f6}' | '\u{f8}'..='\u{2ff}'
            | '\u{370}'..='\u{37d}' | '\u{37f}'..='\u{1fff}' | '\u{200c}'..='\u{200d}' | '\u{2070}'..='\u{218f}'
            | '\u{2c00}'..='\u{2fef}' | '\u{3001}'..='\u{d7ff}' | '\u{f900}'..='\u{fdcf}' | '\u{fdf0}'..='\u{fffd}'
            | '\u{10000}'..='\u{effff}')
    };
    let goes_on = |c: char| {
        begins(c)
            || matches!(c, '-' | '.' | '0'..='9' | '\u{b7}' | '\u{300}'..='\u{36f}' | '\u{203f}'..='\u{2040}')
    };
    let reserved = name.get(..3).is_some_and(|head| head.eq_ignore_ascii_case("xml"));
    name.chars().next().is_some_and(begins) && name.chars().all(goes_on) && !reserved
}

#[cfg(test)]
mod tests {
    use super::*;

    fn xml(json: &str) -> String {
        String::from_utf8(write(&Tree::parse(json.as_bytes()).unwrap(), 1_000_000)).unwrap()
    }

    #[test]
    fn json_becomes_elements() {
        let json = r#"{"amount":1.10,"note":"a < b & \"c\"\r","none":null,"tags":["x",[],true],"1st":{"xml-lang":"de"},"":0}"#;
        assert_eq!(
            xml(json),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><event><amount>1.10</amount>\
             <note>a &lt; b &amp; &quot;c&quot;&#13;</note><none nil=\"true\"/>\
             <tags><item>x</item><item></item><item>true</item></tags>\
             <member name=\"1st\"><member name=\"xml-lang\">de</member></member><member name=\"\">0</member></event>"
        );
    }

    /// Any characters, as names and as texts, read back by another parser.
    #[test]
    fn it_is_well_formed_for_every_json() {
        let nasty = [
            "", "a", "é", ":", "-a", "a b", "xml", "XMLx", "\0", "\u{1}", "\r", "\t\n", "]]>", "<", "&", "'",
            "\"", "--", "\u{fffe}", "\u{ffff}", "\u{85}", "\u{2028}", "🦀", "\u{b7}", "\u{300}", "\u{d7}",
            "9",
        ];
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..2_000 {
            let any = |random: &mut fastrand::Rng| {
                let pieces = random.usize(0..4);
                (0..pieces)
                    .map(|_| {
                        if random.bool() {
                            nasty[random.usize(0..nasty.len())].to_owned()
                        } else {
                            random.char('\0'..='\u{10ffff}').to_string()
                        }
                    })
                    .collect::<String>()
            };
            let (name, value) = (any(&mut random), any(&mut random));
            let json = serde_json::json!({ &name: value, "list": [null, { &name: [&name] }] }).to_string();
            let written = xml(&json);
            let document =
                roxmltree::Document::parse(&written).unwrap_or_else(|error| panic!("{error}: {written}"));
            let member = document
                .root_element()
                .children()
                .find(|n| n.has_tag_name(&*name) || n.attribute("name").is_some());
            let kept = |c: char| {
                if matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}')
                {
                    '\u{fffd}'
                } else {
                    c
                }
            };
            let expected: String = value.chars().map(kept).collect();
            if name != "list" {
                let text = member.map(|n| n.text().unwrap_or_default().to_owned());
                assert_eq!(text.as_deref(), Some(&*expected), "{written}");
            }
        }
    }

    #[test]
    fn what_is_no_document_is_told() {
        for bad in
            ["", "text", "<a>", "<a></b>", "<a/><b/>", "<a/>text", "<a b=1/>", "<a b='1' b='2'></a>", "<"]
        {
            assert!(wrong(bad).is_some(), "{bad}");
        }
        for good in ["<a/>", "<?xml version=\"1.0\"?>\n<a b='1'>x<c/></a>\n"] {
            assert_eq!(wrong(good), None, "{good}");
        }
    }
}
