//! What is wrong with a value of many parts: each place with a sentence of its own.

use std::borrow::Cow;

/// A wrong part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// Where: names and `[index]`es.
    pub at: Vec<Cow<'static, str>>,
    /// A sentence on what is wrong and what is allowed.
    pub what: String,
}

/// Collects wrong parts below a place.
#[derive(Debug)]
pub struct Found<'a> {
    at: Vec<Cow<'static, str>>,
    found: &'a mut Vec<Wrong>,
}

impl<'a> Found<'a> {
    /// Collects into `found`, from the top.
    #[must_use]
    pub const fn new(found: &'a mut Vec<Wrong>) -> Self {
        Self { at: Vec::new(), found }
    }

    /// The same, one name deeper.
    #[must_use]
    pub fn below(&mut self, name: &'static str) -> Found<'_> {
        self.deeper(Cow::Borrowed(name))
    }

    /// The same for one item of a list.
    #[must_use]
    pub fn item(&mut self, index: usize) -> Found<'_> {
        self.deeper(Cow::Owned(format!("[{index}]")))
    }

    fn deeper(&mut self, name: Cow<'static, str>) -> Found<'_> {
        let at = self.at.iter().cloned().chain([name]).collect();
        Found { at, found: self.found }
    }

    /// Notes that the part at this place is wrong.
    pub fn add(&mut self, what: impl ToString) {
        self.found.push(Wrong { at: self.at.clone(), what: what.to_string() });
    }

    /// Notes that the part `name` below this place is wrong.
    pub fn wrong(&mut self, name: &'static str, what: impl ToString) {
        self.below(name).add(what);
    }

    /// Notes what a check of the part `name` found.
    pub fn check<E: ToString>(&mut self, name: &'static str, checked: Result<(), E>) {
        if let Err(what) = checked {
            self.wrong(name, what.to_string());
        }
    }
}
