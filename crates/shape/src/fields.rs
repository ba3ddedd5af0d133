//! Keeps only the parts of a payload that were chosen, by JSON paths (RFC 9535).
//!
//! Paths name members, items, slices and all of them (`*`), and may look at every depth (`..`) once. Selecting by value
//! (`?…`) is for filters and transformations. What is kept stays where it was, written as it was; a path that finds nothing
//! is no error, for payloads differ. Of lists, the items that are not chosen are left out.

use crate::tree::{self, Tree};
use jsonpath_rust::parser::model::{JpQuery, Segment, Selector};
use jsonpath_rust::parser::parse_json_path;
use jsonpath_rust::query::js_path_process;
use serde_json::Value;
use std::borrow::Cow;
use std::collections::HashSet;

/// The paths of an endpoint.
#[derive(Debug)]
pub struct Fields(Vec<JpQuery>);

impl Fields {
    /// Reads paths. The leading `$.` may be left out.
    ///
    /// # Errors
    /// For each path that does not read, its index and a sentence.
    pub fn parse(paths: &[String]) -> Result<Self, Vec<(usize, String)>> {
        let (mut read, mut wrong) = (Vec::new(), Vec::new());
        for (index, path) in paths.iter().enumerate() {
            match parse(path) {
                Ok(query) => read.push(query),
                Err(what) => wrong.push((index, what)),
            }
        }
        if wrong.is_empty() { Ok(Self(read)) } else { Err(wrong) }
    }

    /// The payload with only the chosen parts; `{}` when none is there.
    ///
    /// # Errors
    /// A sentence, when it is not JSON.
    pub fn keep(&self, payload: &[u8]) -> Result<Vec<u8>, String> {
        let value: Value = serde_json::from_slice(payload).map_err(|error| error.to_string())?;
        let tree = Tree::parse(payload).map_err(|error| error.to_string())?;
        let mut chosen = HashSet::new();
        for query in &self.0 {
            let found = js_path_process(query, &value).map_err(|error| error.to_string())?;
            chosen.extend(found.into_iter().map(|one| std::ptr::from_ref(one.val())));
        }
        let kept = prune(&value, tree, &chosen).unwrap_or(Tree::Object(Vec::new()));
        let mut out = Vec::new();
        tree::write(&kept, &mut out);
        Ok(out)
    }
}

/// What is chosen of a tree, which says the same as `value`.
fn prune<'a>(value: &Value, tree: Tree<'a>, chosen: &HashSet<*const Value>) -> Option<Tree<'a>> {
    if chosen.contains(&std::ptr::from_ref(value)) {
        return Some(tree);
    }
    match (value, tree) {
        (Value::Object(map), Tree::Object(members)) => {
            let keep = |(name, inner): (Cow<'a, str>, Tree<'a>)| {
                let kept = prune(map.get(&*name)?, inner, chosen)?;
                Some((name, kept))
            };
            let kept: Vec<_> = members.into_iter().filter_map(keep).collect();
            (!kept.is_empty()).then_some(Tree::Object(kept))
        }
        (Value::Array(values), Tree::List(items)) => {
            let kept: Vec<_> =
                values.iter().zip(items).filter_map(|(value, item)| prune(value, item, chosen)).collect();
            (!kept.is_empty()).then_some(Tree::List(kept))
        }
        _ => None,
    }
}

fn parse(path: &str) -> Result<JpQuery, String> {
    let whole = match path.trim() {
        "" => return Err("is empty: give a path like `$.user.name`".to_owned()),
        given if given.starts_with('$') => given.to_owned(),
        given if given.starts_with(['.', '[']) => format!("${given}"),
        given => format!("$.{given}"),
    };
    let query = parse_json_path(&whole).map_err(|_| {
        format!("`{path}` is not a JSON path (RFC 9535): write `$.user.name` or `$.items[*].id`")
    })?;
    let mut depths = 0;
    for segment in &query.segments {
        check(segment, &mut depths)?;
    }
    if depths > 1 {
        return Err(format!("`{path}` looks at every depth (`..`) more than once: once is allowed"));
    }
    Ok(query)
}

fn check(segment: &Segment, depths: &mut usize) -> Result<(), String> {
    let by_value = |selector: &Selector| matches!(selector, Selector::Filter(_));
    let refused = match segment {
        Segment::Descendant(inner) => {
            *depths += 1;
            return check(inner, depths);
        }
        Segment::Selector(selector) => by_value(selector),
        Segment::Selectors(selectors) => selectors.iter().any(by_value),
    };
    if refused {
        return Err("chooses by value (`?`): that is for `filter` or `transformation`".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep(paths: &[&str], payload: &str) -> String {
        let paths: Vec<_> = paths.iter().map(ToString::to_string).collect();
        String::from_utf8(Fields::parse(&paths).unwrap().keep(payload.as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn what_is_chosen_stays_where_it_was_as_it_was() {
        let payload = r#"{"z":1.10,"user":{"name":"Ann","mail":"a@b.c"},"items":[{"id":1,"x":0},{"id":2}],"a b":12345678901234567890123}"#;
        assert_eq!(keep(&["user.name", "$.z"], payload), r#"{"z":1.10,"user":{"name":"Ann"}}"#);
        assert_eq!(
            keep(&["$.items[*].id", "$['a b']"], payload),
            r#"{"items":[{"id":1},{"id":2}],"a b":12345678901234567890123}"#
        );
        assert_eq!(keep(&["items[-1]"], payload), r#"{"items":[{"id":2}]}"#);
        assert_eq!(keep(&["$..id"], payload), r#"{"items":[{"id":1},{"id":2}]}"#);
        assert_eq!(keep(&["$"], payload), payload);
        assert_eq!(keep(&["nobody", "user.nothing"], payload), "{}");
    }

    #[test]
    fn paths_that_do_not_read_or_cost_too_much_are_refused() {
        let paths = ["", "$.a[", "ok", "$.items[?@.id > 1]", "$..a..b", "a[b]"].map(str::to_owned);
        let wrong = Fields::parse(&paths).unwrap_err();
        assert_eq!(wrong.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [0, 1, 3, 4, 5]);
    }
}
