//! Pages: `limit`, `iterator` and `order` of a request; `data`, `iterator`, `prevIterator` and `done` of an answer.

use crate::answer::{Answer, put};
use crate::error::Outcome;
use crate::query::Query;
use app::AppError;
use domain::limit::PAGE_ITEMS_MAX;
use domain::page::{self, From, Order, Page, Slice};
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

/// Begins an iterator that pages backwards.
const BACKWARDS: char = '-';

/// The page that a query asks for; `read` makes the key of an iterator's id.
pub(crate) fn of<K>(query: &Query<'_>, order: Order, read: impl Fn(&str) -> Option<K>) -> Outcome<Page<K>> {
    let items = page::items(query.number("limit")?)
        .map_err(|limit| AppError::invalid_query("limit", format!("{limit} is over {PAGE_ITEMS_MAX} (page_items_max)")))?;
    let from = match query.text("iterator") {
        None => From::Start,
        Some(text) => {
            let wrong = || AppError::invalid_query("iterator", "is not an iterator of this list: use one that it answered");
            match text.strip_prefix(BACKWARDS) {
                Some(id) => From::Before(read(id).ok_or_else(wrong)?),
                None => From::After(read(text).ok_or_else(wrong)?),
            }
        }
    };
    Ok(Page { items, order, from })
}

/// A page of a list.
#[derive(ToSchema)]
pub(crate) struct ListResponse<T> {
    /// The items.
    pub(crate) data: Vec<T>,
    /// The id of the last item: where the next page begins.
    #[schema(required)]
    pub(crate) iterator: Option<String>,
    /// Where the page before ends.
    #[schema(rename = "prevIterator")]
    pub(crate) prev_iterator: Option<String>,
    /// Whether the list ends here.
    pub(crate) done: bool,
}

/// Something that is written as JSON into an answer.
pub(crate) trait Out {
    /// Appends it.
    fn write(&self, out: &mut Vec<u8>);
}

impl<T: Serialize> Out for T {
    fn write(&self, out: &mut Vec<u8>) {
        put(out, self);
    }
}

impl<T: Out> ListResponse<T> {
    /// The page of these items, each with the id that iterators use.
    pub(crate) fn of(slice: Slice<(String, T)>) -> Self {
        let first = slice.items.first().map(|(id, _)| format!("{BACKWARDS}{id}"));
        let last = slice.items.last().map(|(id, _)| id.clone());
        let data = slice.items.into_iter().map(|(_, item)| item).collect();
        Self { data, iterator: last, prev_iterator: first, done: slice.done }
    }

    /// The answer.
    pub(crate) fn answer(&self) -> Answer {
        let mut out = Vec::with_capacity(64 + 512 * self.data.len());
        out.extend_from_slice(b"{\"data\":[");
        for (index, item) in self.data.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            item.write(&mut out);
        }
        out.extend_from_slice(b"],\"iterator\":");
        put(&mut out, &self.iterator);
        out.extend_from_slice(b",\"prevIterator\":");
        put(&mut out, &self.prev_iterator);
        out.extend_from_slice(b",\"done\":");
        put(&mut out, &self.done);
        out.push(b'}');
        Answer { status: StatusCode::OK, body: out.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Failure;

    fn asked(query: &str) -> Outcome<Page<u32>> {
        let uri = format!("/?{query}").parse().unwrap();
        of(&Query::of(&uri), Order::Descending, |text| text.parse().ok())
    }

    #[test]
    fn an_iterator_pages_forwards_and_with_a_dash_backwards() {
        assert_eq!(asked(""), Ok(Page { items: 50, order: Order::Descending, from: From::Start }));
        assert_eq!(asked("limit=0&iterator=7").map(|p| (p.items, p.from)), Ok((50, From::After(7))));
        assert_eq!(asked("limit=250&iterator=-7").map(|p| (p.items, p.from)), Ok((250, From::Before(7))));
        assert!(matches!(asked("limit=251"), Err(Failure::App(AppError::Invalid(_)))));
        assert!(matches!(asked("iterator=x"), Err(Failure::App(AppError::Invalid(_)))));
        assert!(matches!(asked("limit=x"), Err(Failure::BadQuery(_))));
    }

    #[test]
    fn a_page_tells_its_ends() {
        let body = |items: Vec<(String, u8)>| ListResponse::of(Slice { items, done: true }).answer().body;
        let two = vec![("b".to_owned(), 2), ("a".to_owned(), 1)];
        assert_eq!(body(two), &br#"{"data":[2,1],"iterator":"a","prevIterator":"-b","done":true}"#[..]);
        assert_eq!(body(vec![]), &br#"{"data":[],"iterator":null,"prevIterator":null,"done":true}"#[..]);
    }
}
