//! `application/x-www-form-urlencoded`: members by name, nested ones in brackets as PHP, Rails and most frameworks read
//! them back: `data[user][name]=Ann&data[tags][0]=new`. A null is an empty value; an empty object or list is left out.

use crate::tree::Tree;
use url::form_urlencoded::byte_serialize;

/// Writes a value as a form. What is not an object stands under the name `payload`. Each value repeats the names around
/// it: writing ends soon after `max` bytes, and whoever gets more than that has not got the whole.
pub(crate) fn write(tree: &Tree<'_>, max: usize) -> String {
    let mut form = Form { out: String::new(), name: String::new(), max };
    match tree {
        Tree::Object(members) => members.iter().for_each(|(name, value)| form.below(|at| *at += name, value)),
        other => form.below(|at| *at += "payload", other),
    }
    form.out
}

struct Form {
    out: String,
    /// Where it stands: `data[user][name]`.
    name: String,
    max: usize,
}

impl Form {
    fn below(&mut self, enter: impl FnOnce(&mut String), tree: &Tree<'_>) {
        let before = self.name.len();
        enter(&mut self.name);
        self.put(tree);
        self.name.truncate(before);
    }

    fn put(&mut self, tree: &Tree<'_>) {
        if self.out.len() > self.max {
            return;
        }
        match tree {
            Tree::Null => self.pair(""),
            Tree::Bool(value) => self.pair(if *value { "true" } else { "false" }),
            Tree::Number(digits) => self.pair(digits),
            Tree::Text(text) => self.pair(text),
            Tree::List(items) => items.iter().enumerate().for_each(|(index, item)| {
                self.below(|name| name.extend(["[", &index.to_string(), "]"]), item);
            }),
            Tree::Object(members) => members.iter().for_each(|(inner, value)| {
                self.below(|name| name.extend(["[", inner, "]"]), value);
            }),
        }
    }

    fn pair(&mut self, value: &str) {
        if !self.out.is_empty() {
            self.out.push('&');
        }
        self.out.extend(byte_serialize(self.name.as_bytes()));
        self.out.push('=');
        self.out.extend(byte_serialize(value.as_bytes()));
    }
}

/// What is wrong with bytes that should be a form; none when they are one.
pub(crate) fn wrong(bytes: &[u8]) -> Option<String> {
    let mut rest = bytes;
    while let Some((first, after)) = rest.split_first() {
        let fits = first.is_ascii_alphanumeric() || b"*-._~+&=!'()".contains(first);
        let escaped =
            *first == b'%' && after.get(..2).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        if !fits && !escaped {
            let shown = char::from(*first).escape_default();
            return Some(format!(
                "`{shown}` must be percent-encoded (`{{{{ data.name|urlencode }}}}` does it)"
            ));
        }
        rest = if escaped { &after[2..] } else { after };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_members_stand_in_brackets() {
        let json = r#"{"amount":1.10,"user":{"name":"Ann & Bob","tags":["a","b"]},"none":null,"ok":true,"empty":{}}"#;
        assert_eq!(
            write(&Tree::parse(json.as_bytes()).unwrap(), 1_000),
            "amount=1.10&user%5Bname%5D=Ann+%26+Bob&user%5Btags%5D%5B0%5D=a&user%5Btags%5D%5B1%5D=b&none=&ok=true"
        );
        assert_eq!(wrong(b"a=1&b%5Bc%5D=x+y"), None);
        assert!(["a b", "a=%4", "a=\u{e9}", "a=<"].iter().all(|bad| wrong(bad.as_bytes()).is_some()));
        assert_eq!(write(&Tree::parse(b"[1,\"x\"]").unwrap(), 1_000), "payload%5B0%5D=1&payload%5B1%5D=x");
    }

    #[test]
    fn a_long_name_around_many_values_ends_soon_after_the_most() {
        let json = format!(r#"{{"{}":[{}1]}}"#, "k".repeat(100_000), "1,".repeat(100_000));
        let written = write(&Tree::parse(json.as_bytes()).unwrap(), 1_000_000);
        assert!((1_000_001..1_200_000).contains(&written.len()), "{}", written.len());
    }
}
