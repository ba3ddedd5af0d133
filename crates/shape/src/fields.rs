//! Keeps only the parts of a payload that were chosen, by JSON paths (RFC 9535).
//!
//! Paths name members, items, slices and all of them (`*`), and may look at every depth (`..`) once. Selecting by value
//! (`?…`) is for filters and transformations. What is kept stays where it was, written as it was; a path that finds nothing
//! is no error, for payloads differ. Of lists, the items that are not chosen are left out.

use crate::tree::{self, Tree};
use domain::limit::FIELD_BYTES_MAX;
use jsonpath_rust::parser::model::{JpQuery, Segment, Selector};
use jsonpath_rust::parser::parse_json_path;
use std::borrow::Cow;

/// Looks of a path at a value that choosing may take: an endpoint with its most of paths on an event of 100,000 values.
const STEPS_MAX: usize = 10_000_000;

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
    /// A sentence, when it is not JSON, or so large that choosing takes too long.
    pub fn keep(&self, payload: &[u8]) -> Result<Vec<u8>, String> {
        let payload = tree::mended(payload);
        let tree = Tree::parse(&payload).map_err(|error| error.to_string())?;
        let rests: Vec<_> = self.0.iter().map(|query| &query.segments[..]).collect();
        let mut left = STEPS_MAX;
        let kept = prune(tree, &rests, &mut left);
        if left == 0 {
            return Err(format!("choosing takes more than {STEPS_MAX} steps (fields_steps_max)"));
        }
        let mut out = Vec::new();
        tree::write(&kept.unwrap_or(Tree::Object(Vec::new())), &mut out);
        Ok(out)
    }
}

/// What is chosen of a value: `rests` are what is left of each path that led to it.
fn prune<'a>(tree: Tree<'a>, rests: &[&[Segment]], left: &mut usize) -> Option<Tree<'a>> {
    if rests.iter().any(|rest| rest.is_empty()) {
        return Some(tree);
    }
    match tree {
        Tree::Object(members) => {
            let keep = |(name, inner): (Cow<'a, str>, Tree<'a>)| {
                let below = below(rests, |selector| is_member(selector, &name), left);
                let kept = prune(inner, &below, left)?;
                Some((name, kept))
            };
            let kept: Vec<_> = members.into_iter().filter_map(keep).collect();
            (!kept.is_empty()).then_some(Tree::Object(kept))
        }
        Tree::List(items) => {
            let count = i64::try_from(items.len()).unwrap_or(i64::MAX);
            let keep = |(index, inner): (i64, Tree<'a>)| {
                let below = below(rests, |selector| is_item(selector, index, count), left);
                prune(inner, &below, left)
            };
            let kept: Vec<_> = (0..).zip(items).filter_map(keep).collect();
            (!kept.is_empty()).then_some(Tree::List(kept))
        }
        _ => None,
    }
}

/// What is left of the paths one step further down, where `is_chosen` by a selector or not.
fn below<'p>(
    rests: &[&'p [Segment]],
    is_chosen: impl Fn(&Selector) -> bool,
    left: &mut usize,
) -> Vec<&'p [Segment]> {
    let mut below = Vec::new();
    for rest in rests {
        let Some((first, after)) = rest.split_first() else { continue };
        let (step, stays) = match first {
            Segment::Descendant(inner) => (&**inner, true),
            other => (other, false),
        };
        let selectors = match step {
            Segment::Selector(one) => std::slice::from_ref(one),
            Segment::Selectors(many) => many,
            Segment::Descendant(_) => &[],
        };
        *left = left.saturating_sub(selectors.len());
        if *left == 0 {
            return Vec::new();
        }
        if selectors.iter().any(&is_chosen) {
            below.push(after);
        }
        if stays {
            below.push(rest);
        }
    }
    below
}

fn is_member(selector: &Selector, name: &str) -> bool {
    match selector {
        Selector::Name(wanted) => wanted == name,
        Selector::Wildcard => true,
        Selector::Index(_) | Selector::Slice(..) | Selector::Filter(_) => false,
    }
}

fn is_item(selector: &Selector, index: i64, count: i64) -> bool {
    let from_start = |at: i64| if at < 0 { at.saturating_add(count) } else { at };
    match selector {
        Selector::Wildcard => true,
        Selector::Index(at) => from_start(*at) == index,
        Selector::Slice(start, end, step) => {
            let step = step.unwrap_or(1);
            // RFC 9535, section 2.3.4.2: where it begins is chosen, where it ends is not.
            let chosen = |from: i64, past: i64| (from..past).contains(&index);
            if step > 0 {
                let (from, past) = (from_start(start.unwrap_or(0)).max(0), from_start(end.unwrap_or(count)));
                chosen(from, past) && (index - from) % step == 0
            } else if step < 0 {
                let from = start.map_or(count - 1, from_start).min(count - 1);
                let past = end.map_or(-1, from_start);
                chosen(past.saturating_add(1), from + 1) && (from - index) % step.saturating_neg() == 0
            } else {
                false
            }
        }
        Selector::Name(_) | Selector::Filter(_) => false,
    }
}

fn parse(path: &str) -> Result<JpQuery, String> {
    if path.len() > FIELD_BYTES_MAX {
        return Err(format!("has {} bytes: at most {FIELD_BYTES_MAX} (field_bytes_max)", path.len()));
    }
    // Before it is parsed: what the parser makes of nested functions takes for ever.
    if outside_quotes(path).any(|c| matches!(c, '?' | '(')) {
        return Err("chooses by value (`?`): that is for `filter` or `transformation`".to_owned());
    }
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
        depths += usize::from(matches!(segment, Segment::Descendant(_)));
    }
    if depths > 1 {
        return Err(format!("`{path}` looks at every depth (`..`) more than once: once is allowed"));
    }
    Ok(query)
}

/// The characters that are not part of a name in quotes.
fn outside_quotes(path: &str) -> impl Iterator<Item = char> + '_ {
    let mut within = None;
    let mut escaped = false;
    path.chars().filter(move |c| {
        match (within, *c) {
            (Some(_), '\\') if !escaped => {
                escaped = true;
                return false;
            }
            (Some(quote), c) if c == quote && !escaped => within = None,
            (None, '\'' | '"') => within = Some(*c),
            _ => {}
        }
        escaped = false;
        within.is_none()
    })
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
    fn slices_and_unions_choose_what_the_rfc_says() {
        let list = |path: &str| keep(&[path], "[0,1,2,3,4]");
        for (path, kept) in [
            ("$[1:3]", "[1,2]"),
            ("$[:-2]", "[0,1,2]"),
            ("$[-2:]", "[3,4]"),
            ("$[::2]", "[0,2,4]"),
            ("$[1::2]", "[1,3]"),
            ("$[-9:9]", "[0,1,2,3,4]"),
            ("$[::-2]", "[0,2,4]"),
            ("$[3:0:-1]", "[1,2,3]"),
            ("$[:1:-1]", "[2,3,4]"),
            ("$[0,-1]", "[0,4]"),
            ("$[*]", "[0,1,2,3,4]"),
            ("$[9]", "{}"),
            ("$[::0]", "{}"),
        ] {
            assert_eq!(list(path), kept, "{path}");
        }
        assert_eq!(
            keep(&["$..['a','b'][0]"], r#"{"x":{"a":[1,2]},"b":[3,4]}"#),
            r#"{"x":{"a":[1]},"b":[3]}"#
        );
        assert_eq!(keep(&[r#"$["a\"b",'c\'d']"#], r#"{"a\"b":1,"c'd":2,"e":3}"#), r#"{"a\"b":1,"c'd":2}"#);
    }

    #[test]
    fn no_path_takes_long() {
        let many = "[*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*]".repeat(8);
        let deep = ["[".repeat(8), "]".repeat(8)].concat().replace("[]", "[1,2,3]");
        assert_eq!(keep(&[&format!("${many}")], &deep), deep);
        let wide = format!("[{}1]", "[1,[2]],".repeat(200_000));
        let paths = vec!["$..[*][*][0,1,2]".to_owned(); 100];
        let told = Fields::parse(&paths).unwrap().keep(wide.as_bytes()).unwrap_err();
        assert!(told.contains("fields_steps_max"), "{told}");
    }

    #[test]
    fn paths_that_do_not_read_or_cost_too_much_are_refused() {
        let nested = format!("$[?{}x{}]", "length(".repeat(40), ")".repeat(40));
        let long = "a".repeat(FIELD_BYTES_MAX + 1);
        for path in [nested, long, "$.a[?(@.b)]".to_owned()] {
            assert!(Fields::parse(std::slice::from_ref(&path)).is_err(), "{path}");
        }
        assert!(Fields::parse(&["$['a (b)?'].c".to_owned(), r#"$["it's (?)"]"#.to_owned()]).is_ok());
        let paths = ["", "$.a[", "ok", "$.items[?@.id > 1]", "$..a..b", "a[b]"].map(str::to_owned);
        let wrong = Fields::parse(&paths).unwrap_err();
        assert_eq!(wrong.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [0, 1, 3, 4, 5]);
    }
}
