//! Bodies: read field by field, so that a caller hears of all wrong fields at once.
//!
//! A wire type is a struct of [`Field`]s. Reading it never fails at a field: each is asked for its value as what it
//! must be, and notes what it is instead. Unknown fields are ignored.

use crate::error::{Failure, Outcome};
use crate::received::Received;
use app::change::Change;
use app::{AppError, Problems};
use domain::clock::Timestamp;
use domain::limit::JSON_DEPTH_MAX;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::marker::PhantomData;

/// A path below the body.
pub(crate) type At = Vec<Cow<'static, str>>;

/// A field as it came: absent, null, or a value that should be a `T`.
#[derive(Clone, Debug)]
pub(crate) struct Field<T> {
    value: Option<Value>,
    kind: PhantomData<fn() -> T>,
}

/// A type that a field can have.
pub(crate) trait Wire: Sized {
    /// What it is called in errors.
    const NAME: &'static str;

    /// Reads a value; notes at `at` what is wrong.
    fn read(value: Value, at: &At, problems: &mut Problems) -> Option<Self>;
}

impl Received {
    /// The body as a wire type.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Outcome<T> {
        object(&self.body)
    }
}

/// Reads a JSON object.
pub(crate) fn object<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Outcome<T> {
    check_depth(body)?;
    // A struct would also be read from an array, item by item.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(match serde_json::from_slice::<IgnoredAny>(body) {
            Ok(_) => whole("must be an object"),
            Err(error) => Failure::NotJson(format!("The body is not JSON: {error}.")),
        });
    }
    serde_json::from_slice(body).map_err(|error| {
        if error.is_data() {
            whole(error)
        } else {
            Failure::NotJson(format!("The body is not JSON: {error}."))
        }
    })
}

fn whole(message: impl ToString) -> Failure {
    let mut problems = Problems::default();
    problems.add_at([], message);
    problems.finish().map_or_else(Failure::App, |()| Failure::App(AppError::NotFound))
}

/// Refuses what is nested too deep, before anything walks it. Most bodies have too few brackets to be.
pub(crate) fn check_depth(body: &[u8]) -> Outcome<()> {
    // `{` and `[` differ in one bit; without branches, and in sums that fit a byte, this counts many bytes at once.
    let count = |few: &[u8]| few.iter().map(|byte| u8::from(byte | 0x20 == b'{')).sum::<u8>();
    let brackets: usize = body.chunks(usize::from(u8::MAX)).map(|few| usize::from(count(few))).sum();
    if brackets <= JSON_DEPTH_MAX || depth(body) <= JSON_DEPTH_MAX {
        return Ok(());
    }
    Err(Failure::NotJson(format!("The body is nested deeper than {JSON_DEPTH_MAX} levels (json_depth_max).")))
}

/// How deep brackets outside of strings are nested.
fn depth(body: &[u8]) -> usize {
    let (mut deepest, mut now, mut in_string, mut escaped) = (0_usize, 0_usize, false, false);
    for byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => {
                now += 1;
                deepest = deepest.max(now);
            }
            b'}' | b']' => now = now.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

impl<T> Default for Field<T> {
    fn default() -> Self {
        Self { value: None, kind: PhantomData }
    }
}

impl<'de, T> Deserialize<'de> for Field<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self { value: Some(Value::deserialize(deserializer)?), kind: PhantomData })
    }
}

impl<T: Wire> Field<T> {
    /// The value of a field that must be there.
    pub(crate) fn required(self, name: &'static str, problems: &mut Problems) -> T
    where
        T: Default,
    {
        match self.value {
            None => problems.add(name, format!("is missing: give {}", T::NAME)),
            Some(value) => return T::read(value, &vec![name.into()], problems).unwrap_or_default(),
        }
        T::default()
    }

    /// The value of a field that may be absent or null.
    pub(crate) fn optional(self, name: &'static str, problems: &mut Problems) -> Option<T> {
        let value = self.value.filter(|value| !value.is_null())?;
        T::read(value, &vec![name.into()], problems)
    }

    /// The value of a field that may be absent; null is not one of its values.
    pub(crate) fn present(self, name: &'static str, problems: &mut Problems) -> Option<T> {
        T::read(self.value?, &vec![name.into()], problems)
    }

    /// What a PATCH makes of the field.
    pub(crate) fn change(self, name: &'static str, problems: &mut Problems) -> Change<T> {
        match self.value {
            None => Change::Keep,
            Some(Value::Null) => Change::Clear,
            Some(value) => T::read(value, &vec![name.into()], problems).map_or(Change::Keep, Change::Set),
        }
    }

    /// This field, or its deprecated other name.
    pub(crate) fn or(self, alias: Self) -> Self {
        if self.value.is_some() { self } else { alias }
    }
}

fn wrong<T: Wire>(value: &Value, at: &At, problems: &mut Problems) -> Option<T> {
    let found = match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    let shown = if value.is_number() { format!(" ({value})") } else { String::new() };
    problems.add_at(at.clone(), format!("must be {}, and is {found}{shown}", T::NAME));
    None
}

impl Wire for String {
    const NAME: &'static str = "a string";

    fn read(value: Value, at: &At, problems: &mut Problems) -> Option<Self> {
        match value {
            Value::String(text) => Some(text),
            other => wrong(&other, at, problems),
        }
    }
}

impl Wire for bool {
    const NAME: &'static str = "true or false";

    fn read(value: Value, at: &At, problems: &mut Problems) -> Option<Self> {
        value.as_bool().or_else(|| wrong(&value, at, problems))
    }
}

macro_rules! whole_number {
    ($($type:ty: $name:literal),+) => {$(
        impl Wire for $type {
            const NAME: &'static str = $name;

            fn read(value: Value, at: &At, problems: &mut Problems) -> Option<Self> {
                let number = value.as_i64().and_then(|number| Self::try_from(number).ok());
                number.or_else(|| wrong(&value, at, problems))
            }
        }
    )+};
}

whole_number!(
    u16: "a whole number from 0 to 65535",
    u64: "a whole number of 0 or more",
    i64: "a whole number"
);

impl Wire for Timestamp {
    const NAME: &'static str = "a date-time as RFC 3339 writes it (2026-11-21T22:57:41Z)";

    fn read(value: Value, at: &At, problems: &mut Problems) -> Option<Self> {
        let read = value.as_str().and_then(|text| Self::parse(text).ok());
        read.or_else(|| wrong(&value, at, problems))
    }
}

impl Wire for Map<String, Value> {
    const NAME: &'static str = "an object";

    fn read(value: Value, at: &At, problems: &mut Problems) -> Option<Self> {
        match value {
            Value::Object(map) => Some(map),
            other => wrong(&other, at, problems),
        }
    }
}

impl<T: Wire> Wire for Vec<T> {
    const NAME: &'static str = "a list";

    fn read(value: Value, at: &At, problems: &mut Problems) -> Option<Self> {
        let Value::Array(items) = value else { return wrong(&value, at, problems) };
        let read = |(index, item)| T::read(item, &below(at, format!("[{index}]")), problems);
        let items: Vec<_> = items.into_iter().enumerate().map(read).collect();
        items.into_iter().collect()
    }
}

impl<T: Wire> Wire for BTreeMap<String, T> {
    const NAME: &'static str = "an object";

    fn read(value: Value, at: &At, problems: &mut Problems) -> Option<Self> {
        let Value::Object(map) = value else { return wrong(&value, at, problems) };
        let read = |(key, item): (String, Value)| {
            let item = T::read(item, &below(at, key.clone()), problems);
            item.map(|item| (key, item))
        };
        let pairs: Vec<_> = map.into_iter().map(read).collect();
        pairs.into_iter().collect()
    }
}

impl<T: Wire> Wire for Option<T> {
    const NAME: &'static str = T::NAME;

    fn read(value: Value, at: &At, problems: &mut Problems) -> Option<Self> {
        if value.is_null() { Some(None) } else { T::read(value, at, problems).map(Some) }
    }
}

fn below(at: &At, name: String) -> At {
    at.iter().cloned().chain([Cow::Owned(name)]).collect()
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
