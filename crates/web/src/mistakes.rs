//! What was wrong with a form: shown above it, and at each field.

use app::error::Problem;
use std::borrow::Cow;

/// A wrong field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    /// The name of the field in the form: `auth.password`, `routes`.
    pub(crate) field: String,
    /// Where in it, for lists: `[2].url`.
    pub(crate) part: String,
    /// A sentence without its subject: "must not be empty".
    pub(crate) message: String,
}

/// All wrong fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mistakes {
    pub(crate) all: Vec<Mistake>,
    /// What is wrong as a whole.
    pub(crate) general: Option<String>,
}

impl Mistakes {
    /// Those that a use case found.
    pub(crate) fn of(problems: Vec<Problem>) -> Self {
        Self { all: problems.into_iter().map(mistake).collect(), general: None }
    }

    /// Something that concerns no field.
    pub(crate) fn general(text: impl Into<String>) -> Self {
        Self { all: Vec::new(), general: Some(text.into()) }
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty() && self.general.is_none()
    }

    /// Notes one.
    pub(crate) fn add(&mut self, field: &str, message: impl Into<String>) {
        self.all.push(Mistake { field: field.to_owned(), part: String::new(), message: message.into() });
    }

    /// What is wrong with a field; empty when nothing is.
    pub(crate) fn at(&self, field: &str) -> String {
        let here = self.all.iter().filter(|mistake| mistake.field == field);
        let texts: Vec<_> = here
            .map(|mistake| match &*mistake.part {
                "" => mistake.message.clone(),
                part => format!("{part}: {}", mistake.message),
            })
            .collect();
        texts.join(". ")
    }

    /// Whether one of these fields is wrong: then the part of the form that holds them must be open.
    pub(crate) fn any(&self, fields: &[&str]) -> bool {
        self.all.iter().any(|mistake| fields.iter().any(|field| mistake.field == *field))
    }
}

/// Objects are fields of their own; what is in a list stands at the list.
fn mistake(problem: Problem) -> Mistake {
    let names: Vec<Cow<'static, str>> = problem.at.into_iter().skip(1).collect();
    let list = names.iter().position(|name| name.starts_with('[')).unwrap_or(names.len());
    let (field, part) = names.split_at(list);
    Mistake { field: field.join("."), part: part.join("."), message: problem.message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_stand_at_their_fields() {
        let at = |path: &[&'static str], message: &str| Problem {
            at: path.iter().map(|name| Cow::Borrowed(*name)).collect(),
            message: message.into(),
        };
        let mistakes = Mistakes::of(vec![
            at(&["body", "url"], "must be https"),
            at(&["body", "auth", "password"], "is missing"),
            at(&["body", "routes", "[1]", "url"], "is no URL"),
        ]);
        assert_eq!(mistakes.at("url"), "must be https");
        assert_eq!(mistakes.at("auth.password"), "is missing");
        assert_eq!(mistakes.at("routes"), "[1].url: is no URL");
        assert_eq!(mistakes.at("name"), "");
        assert!(mistakes.any(&["name", "routes"]) && !mistakes.any(&["name"]));
    }
}
