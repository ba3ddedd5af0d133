//! Pages of lists: how many items, in which order, from where.

use crate::limit::{PAGE_ITEMS_DEFAULT, PAGE_ITEMS_MAX};

/// The order in which a list is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Oldest, or lowest name, first.
    Ascending,
    /// Newest, or highest name, first.
    Descending,
}

/// Which page of a list is wanted. `K` is what the list is ordered by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<K> {
    /// Items at most, 1–250.
    pub items: u16,
    /// The order in which the list is shown.
    pub order: Order,
    /// Where the page begins; none is the list's beginning.
    pub from: From<K>,
}

/// Where a page begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum From<K> {
    /// At the list's beginning.
    Start,
    /// Right after this item (an `iterator`).
    After(K),
    /// The items right before this one (a `prevIterator`), still shown in the list's order.
    Before(K),
}

impl<K> Page<K> {
    /// A first page.
    #[must_use]
    pub const fn first(items: u16, order: Order) -> Self {
        Self { items, order, from: From::Start }
    }

    /// Whether the store must walk keys upwards to fill this page.
    #[must_use]
    pub fn walks_up(&self) -> bool {
        (self.order == Order::Ascending) != matches!(self.from, From::Before(_))
    }

    /// The key that the walk starts beyond.
    #[must_use]
    pub const fn bound(&self) -> Option<&K> {
        match &self.from {
            From::Start => None,
            From::After(key) | From::Before(key) => Some(key),
        }
    }

    /// Makes a [`Slice`] of what the walk found: `found` holds up to `items + 1` rows in walking order.
    #[must_use]
    pub fn slice<T>(&self, found: Vec<T>) -> Slice<T> {
        self.slice_of(found, false)
    }

    /// The same for a walk that may have been `cut`: it ended early, since what it found is enough for a page by its
    /// size in bytes.
    #[must_use]
    pub fn slice_of<T>(&self, mut found: Vec<T>, cut: bool) -> Slice<T> {
        let more = cut || found.len() > usize::from(self.items);
        found.truncate(self.items.into());
        if matches!(self.from, From::Before(_)) {
            found.reverse();
            // Going backwards, what follows the page is where we came from; before the first item there is nothing.
            let done = found.is_empty();
            return Slice { items: found, done };
        }
        Slice { items: found, done: !more }
    }
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice<T> {
    /// The items in the list's order.
    pub items: Vec<T>,
    /// Whether the list ends with them.
    pub done: bool,
}

impl<T> Slice<T> {
    /// The same page of other items.
    pub fn map<U>(self, f: impl FnMut(T) -> U) -> Slice<U> {
        Slice { items: self.items.into_iter().map(f).collect(), done: self.done }
    }
}

/// How many items a page has when asked for `limit`: none or 0 means 50, and 250 is the most.
///
/// # Errors
/// The limit, when it is above 250.
pub const fn items(limit: Option<u64>) -> Result<u16, u64> {
    match limit {
        None | Some(0) => Ok(PAGE_ITEMS_DEFAULT),
        Some(n) if n > PAGE_ITEMS_MAX as u64 => Err(n),
        Some(n) => Ok(n as u16),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_of_zero_is_the_default_and_over_250_is_refused() {
        assert_eq!(
            [None, Some(0), Some(1), Some(250), Some(251)].map(items),
            [Ok(50), Ok(50), Ok(1), Ok(250), Err(251)]
        );
    }

    #[test]
    fn paging_backwards_shows_the_items_in_the_lists_order() {
        let page = Page { items: 2, order: Order::Descending, from: From::Before(5) };
        assert!(page.walks_up());
        assert_eq!(page.slice(vec![6, 7, 8]), Slice { items: vec![7, 6], done: false });
        assert_eq!(page.slice(Vec::<u8>::new()), Slice { items: vec![], done: true });
    }

    #[test]
    fn the_last_page_is_done() {
        let page = Page { items: 2, order: Order::Ascending, from: From::After(1) };
        assert_eq!(page.slice(vec![2, 3, 4]), Slice { items: vec![2, 3], done: false });
        assert_eq!(page.slice(vec![2]), Slice { items: vec![2], done: true });
        assert_eq!(page.slice_of(vec![2], true), Slice { items: vec![2], done: false });
    }
}
