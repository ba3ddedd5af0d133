//! Lists in values and in answers: how long a list may be, and which page of one is wanted.

use crate::error::Problems;
use domain::limit::{CHANNELS_MAX, TAGS_MAX};
use domain::name::{BadName, check_channel, check_tag};
use domain::page::Page;
use std::collections::HashSet;

/// Which items of a list, and which page of them.
#[derive(Clone, Debug)]
pub struct Listing<F, K> {
    /// Which items.
    pub filter: F,
    /// Which page.
    pub page: Page<K>,
}

/// What a list in a value must keep to.
pub(crate) struct Rule {
    pub(crate) least: usize,
    pub(crate) most: usize,
    /// The limit's name.
    pub(crate) limit: &'static str,
    pub(crate) item: fn(&str) -> Result<(), BadName>,
}

/// Channels of a message or endpoint.
pub(crate) const CHANNELS: Rule =
    Rule { least: 1, most: CHANNELS_MAX, limit: "channels_max", item: check_channel };
/// Tags of a message.
pub(crate) const TAGS: Rule = Rule { least: 0, most: TAGS_MAX, limit: "tags_max", item: check_tag };

impl Rule {
    /// Notes what is wrong with the list in `field`.
    pub(crate) fn check(&self, problems: &mut Problems, field: &'static str, items: Option<&[String]>) {
        let Some(items) = items else { return };
        let Self { least, most, limit, .. } = self;
        if !(*least..=*most).contains(&items.len()) {
            let count = items.len();
            problems.add(field, format!("has {count} items: {least} to {most} are allowed ({limit})"));
            return;
        }
        for (index, item) in items.iter().enumerate() {
            problems.check_item(field, index, (self.item)(item));
        }
    }
}

/// Up to so many items, looking through those that are kept is cheaper than hashing.
const LOOKED_THROUGH_MAX: usize = 32;

/// The same items, each once, in their order.
pub(crate) fn unique(mut items: Vec<String>) -> Vec<String> {
    if items.len() > LOOKED_THROUGH_MAX {
        let mut seen = HashSet::with_capacity(items.len());
        items.retain(|item| seen.insert(item.clone()));
        return items;
    }
    items.into_iter().fold(Vec::new(), |mut kept, item| {
        if !kept.contains(&item) {
            kept.push(item);
        }
        kept
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_refused_for_its_length_or_for_each_wrong_item() {
        let at = |items: &[&str]| {
            let items: Vec<_> = items.iter().map(ToString::to_string).collect();
            let mut problems = Problems::default();
            CHANNELS.check(&mut problems, "channels", Some(&items));
            match problems.finish() {
                Err(crate::AppError::Invalid(found)) => {
                    found.iter().map(|p| p.at.join("/")).collect::<Vec<_>>()
                }
                _ => Vec::new(),
            }
        };
        assert_eq!(at(&[]), ["body/channels"]);
        assert_eq!(at(&["a"; 11]), ["body/channels"]);
        assert_eq!(at(&["a", "b c", "d", ""]), ["body/channels/[1]", "body/channels/[3]"]);
    }

    #[test]
    fn doubled_items_are_one() {
        let items = ["b", "a", "b"].map(str::to_owned).to_vec();
        assert_eq!(unique(items), ["b", "a"]);
        let many: Vec<_> = (0..100).map(|n| (n % 40).to_string()).collect();
        assert_eq!(unique(many.clone()), many[..40]);
    }
}
