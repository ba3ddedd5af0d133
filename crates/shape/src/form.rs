//! `application/x-www-form-urlencoded`: members by name, nested ones in brackets as PHP, Rails and most frameworks read
//! them back: `data[user][name]=Ann&data[tags][0]=new`. A null is an empty value; an empty object or list is left out.

use crate::tree::Tree;
use url::form_urlencoded::Serializer;

/// Writes a value as a form. What is not an object stands under the name `payload`.
pub(crate) fn write(tree: &Tree<'_>) -> String {
    let mut form = Serializer::new(String::new());
    match tree {
        Tree::Object(members) => members.iter().for_each(|(name, value)| put(&mut form, name, value)),
        other => put(&mut form, "payload", other),
    }
    form.finish()
}

fn put(form: &mut Serializer<'_, String>, name: &str, tree: &Tree<'_>) {
    match tree {
        Tree::Null => drop(form.append_pair(name, "")),
        Tree::Bool(value) => drop(form.append_pair(name, if *value { "true" } else { "false" })),
        Tree::Number(digits) => drop(form.append_pair(name, digits)),
        Tree::Text(text) => drop(form.append_pair(name, text)),
        Tree::List(items) => {
            items.iter().enumerate().for_each(|(index, item)| put(form, &format!("{name}[{index}]"), item));
        }
        Tree::Object(members) => {
            members.iter().for_each(|(inner, value)| put(form, &format!("{name}[{inner}]"), value));
        }
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
            write(&Tree::parse(json.as_bytes()).unwrap()),
            "amount=1.10&user%5Bname%5D=Ann+%26+Bob&user%5Btags%5D%5B0%5D=a&user%5Btags%5D%5B1%5D=b&none=&ok=true"
        );
        assert_eq!(wrong(b"a=1&b%5Bc%5D=x+y"), None);
        assert!(["a b", "a=%4", "a=\u{e9}", "a=<"].iter().all(|bad| wrong(bad.as_bytes()).is_some()));
        assert_eq!(write(&Tree::parse(b"[1,\"x\"]").unwrap()), "payload%5B0%5D=1&payload%5B1%5D=x");
    }
}
