//! Query parameters. One that does not parse is a 400; one that parses and is out of range is a 422.

use crate::Api;
use crate::error::{Failure, Outcome};
use app::AppError;
use axum::extract::FromRequestParts;
use domain::clock::Timestamp;
use domain::limit::EVENT_TYPES_MAX;
use domain::name::BadName;
use domain::page::Order;
use http::Uri;
use http::request::Parts;
use std::borrow::Cow;
use std::collections::HashSet;
use url::form_urlencoded;

/// A query's pairs.
#[derive(Debug)]
pub(crate) struct Query<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

/// What an operation reads from its query.
pub(crate) trait FromQuery: Sized {
    /// Reads it.
    fn read(query: &Query<'_>) -> Outcome<Self>;
}

/// The query of requests without a body.
#[derive(Debug)]
pub(crate) struct Asked<Q>(pub(crate) Q);

impl<Q: FromQuery> FromRequestParts<Api> for Asked<Q> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, Failure> {
        Q::read(&Query::of(&parts.uri)).map(Self)
    }
}

impl<A: FromQuery, B: FromQuery> FromQuery for (A, B) {
    fn read(query: &Query<'_>) -> Outcome<Self> {
        Ok((A::read(query)?, B::read(query)?))
    }
}

impl<A: FromQuery, B: FromQuery, C: FromQuery> FromQuery for (A, B, C) {
    fn read(query: &Query<'_>) -> Outcome<Self> {
        Ok((A::read(query)?, B::read(query)?, C::read(query)?))
    }
}

impl<'a> Query<'a> {
    /// The pairs of this address.
    pub(crate) fn of(uri: &'a Uri) -> Self {
        Self(uri.query().map(|text| form_urlencoded::parse(text.as_bytes()).collect()).unwrap_or_default())
    }

    /// The last value of this name; an empty one counts as absent.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().rev().find(|(key, _)| key == name);
        found.map(|(_, value)| &**value).filter(|value| !value.is_empty())
    }

    /// `true` or `false`.
    pub(crate) fn flag(&self, name: &'static str, default: bool) -> Outcome<bool> {
        match self.text(name) {
            None => Ok(default),
            Some("true") => Ok(true),
            Some("false") => Ok(false),
            Some(other) => Err(bad(name, other, "true or false")),
        }
    }

    /// A whole number.
    pub(crate) fn number(&self, name: &'static str) -> Outcome<Option<u64>> {
        let read = |text: &str| text.parse().map_err(|_| bad(name, text, "a whole number"));
        self.text(name).map(read).transpose()
    }

    /// A date-time.
    pub(crate) fn time(&self, name: &'static str) -> Outcome<Option<Timestamp>> {
        // A `+` that a client forgot to encode arrives as a space.
        let read = |text: &str| {
            Timestamp::parse(&text.replace(' ', "+"))
                .map_err(|_| bad(name, text, "a date-time as RFC 3339 writes it, like 2026-11-21T22:57:41Z"))
        };
        self.text(name).map(read).transpose()
    }

    /// The order of a list.
    pub(crate) fn order(&self) -> Outcome<Option<Order>> {
        match self.text("order") {
            None => Ok(None),
            Some("ascending") => Ok(Some(Order::Ascending)),
            Some("descending") => Ok(Some(Order::Descending)),
            Some(other) => Err(bad("order", other, "ascending or descending")),
        }
    }

    /// A name that keeps to an alphabet.
    pub(crate) fn checked(
        &self,
        name: &'static str,
        check: impl Fn(&str) -> Result<(), BadName>,
    ) -> Outcome<Option<String>> {
        let Some(text) = self.text(name) else { return Ok(None) };
        check(text).map_err(|wrong| AppError::invalid_query(name, wrong))?;
        Ok(Some(text.to_owned()))
    }

    /// A list: `name=a,b`, `name=a&name=b`, `name[]=a` or `name[0]=a`.
    pub(crate) fn list(
        &self,
        name: &'static str,
        check: impl Fn(&str) -> Result<(), BadName>,
    ) -> Outcome<Vec<String>> {
        let named = |key: &str| key.strip_prefix(name).is_some_and(is_index);
        let values = self.0.iter().filter(|(key, _)| named(key)).flat_map(|(_, value)| value.split(','));
        let (mut items, mut known) = (Vec::new(), HashSet::new());
        for item in values.filter(|item| !item.is_empty()) {
            check(item).map_err(|wrong| AppError::invalid_query(name, format!("`{item}` {wrong}")))?;
            if known.insert(item) {
                items.push(item.to_owned());
            }
            if items.len() > EVENT_TYPES_MAX {
                let many =
                    format!("has more than {EVENT_TYPES_MAX} items (event_types_max): ask for fewer at once");
                return Err(AppError::invalid_query(name, many).into());
            }
        }
        Ok(items)
    }
}

/// What may follow a list's name.
fn is_index(suffix: &str) -> bool {
    let inner = suffix.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    suffix.is_empty() || inner.is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_digit()))
}

fn bad(name: &str, given: &str, wanted: &str) -> Failure {
    Failure::BadQuery(format!("The query parameter `{name}` is `{given}`: give {wanted}."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::name::check_plain;

    fn query(text: &str) -> Query<'_> {
        Query(form_urlencoded::parse(text.as_bytes()).collect())
    }

    #[test]
    fn a_list_comes_in_four_spellings() {
        for text in ["t=a,b", "t=a&t=b", "t[]=a&t[]=b", "t[0]=a&t[1]=b", "t%5B%5D=a&t=b,a&t="] {
            assert_eq!(
                query(text).list("t", check_plain),
                Ok(vec!["a".to_owned(), "b".to_owned()]),
                "{text}"
            );
        }
        assert_eq!(query("tx=a&t[x]=b").list("t", check_plain), Ok(vec![]));
        assert!(matches!(query("t=a b").list("t", check_plain), Err(Failure::App(AppError::Invalid(_)))));
    }

    #[test]
    fn what_does_not_parse_is_a_bad_query() {
        assert!(matches!(query("f=maybe").flag("f", true), Err(Failure::BadQuery(_))));
        assert!(matches!(query("n=-1").number("n"), Err(Failure::BadQuery(_))));
        assert!(matches!(query("t=today").time("t"), Err(Failure::BadQuery(_))));
        assert!(matches!(query("order=up").order(), Err(Failure::BadQuery(_))));
        assert_eq!(query("f=false&f=").flag("f", true), Ok(true));
        assert!(query("t=2026-11-21T23:57:41+01:00").time("t").is_ok_and(|time| time.is_some()));
    }
}
