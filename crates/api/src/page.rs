//! Pages: `limit`, `iterator` and `order` of a request; `data`, `iterator`, `prevIterator` and `done` of an answer.

use crate::answer::{Answer, put};
use crate::error::Outcome;
use crate::query::{FromQuery, Query};
use app::AppError;
use domain::limit::PAGE_ITEMS_MAX;
use domain::page::{self, From, Order, Page, Slice};
use domain::wire_id::Kind;
use http::StatusCode;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

/// Begins an iterator that pages backwards.
const BACKWARDS: char = '-';

/// Which page of a list is wanted.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// Items at most.
    #[param(maximum = 250, minimum = 1)]
    limit: Option<u64>,
    /// The `iterator` or `prevIterator` of an earlier answer.
    iterator: Option<String>,
}

/// In which order a list is wanted.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct OrderQuery {
    /// The list's order.
    #[param(value_type = Option<Ordering>, inline)]
    pub(crate) order: Option<Order>,
}

/// The order of a list.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "describes a parameter; it is read as the domain's order")]
pub(crate) enum Ordering {
    /// Oldest, or lowest name, first.
    Ascending,
    /// Newest, or highest name, first.
    Descending,
}

impl FromQuery for PageQuery {
    fn read(query: &Query<'_>) -> Outcome<Self> {
        Ok(Self { limit: query.number("limit")?, iterator: query.text("iterator").map(str::to_owned) })
    }
}

impl FromQuery for OrderQuery {
    fn read(query: &Query<'_>) -> Outcome<Self> {
        Ok(Self { order: query.order()? })
    }
}

impl PageQuery {
    /// The page that is wanted; `read` makes the key of an iterator's id.
    pub(crate) fn page<K>(self, order: Order, read: impl Fn(&str) -> Option<K>) -> Outcome<Page<K>> {
        let over = |limit| format!("is {limit}: at most {PAGE_ITEMS_MAX} (page_items_max)");
        let items = page::items(self.limit).map_err(|limit| AppError::invalid_query("limit", over(limit)))?;
        let wrong = "is not an iterator of this list: give one that the list answered";
        let wrong = || AppError::invalid_query("iterator", wrong);
        let from = match self.iterator {
            None => From::Start,
            Some(text) => match text.strip_prefix(BACKWARDS) {
                Some(id) => From::Before(read(id).ok_or_else(wrong)?),
                None => From::After(read(&text).ok_or_else(wrong)?),
            },
        };
        Ok(Page { items, order, from })
    }
}

/// Reads the iterators of lists that are ordered by text ids of this kind.
pub(crate) fn id_of(kind: Kind) -> impl Fn(&str) -> Option<String> {
    move |text| kind.shaped(text).then(|| text.to_owned())
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
    pub(crate) fn answer(self) -> Answer {
        let mut out = Vec::with_capacity(64 + 512 * self.data.len());
        out.extend_from_slice(b"{\"data\":[");
        // Each item is let go of when it is written: items hold payloads.
        for (index, item) in self.data.into_iter().enumerate() {
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
        PageQuery::read(&Query::of(&uri))?.page(Order::Descending, |text| text.parse().ok())
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
