//! A PATCH's field: absent keeps, null clears, a value sets.

/// What becomes of one field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Change<T> {
    /// Stays as it is.
    #[default]
    Keep,
    /// Goes back to its empty value.
    Clear,
    /// Becomes this.
    Set(T),
}

impl<T> Change<T> {
    /// Applies the change to a field that may be empty.
    pub fn apply_to(self, field: &mut Option<T>) {
        match self {
            Self::Keep => {}
            Self::Clear => *field = None,
            Self::Set(value) => *field = Some(value),
        }
    }

    /// Applies the change to a field with a default.
    pub fn apply_or_default(self, field: &mut T)
    where
        T: Default,
    {
        match self {
            Self::Keep => {}
            Self::Clear => *field = T::default(),
            Self::Set(value) => *field = value,
        }
    }

    /// The same with the new value turned into another.
    #[must_use]
    pub fn map<U>(self, turn: impl FnOnce(T) -> U) -> Change<U> {
        match self {
            Self::Keep => Change::Keep,
            Self::Clear => Change::Clear,
            Self::Set(value) => Change::Set(turn(value)),
        }
    }

    /// The new value, if one is set.
    #[must_use]
    pub const fn value(&self) -> Option<&T> {
        match self {
            Self::Set(value) => Some(value),
            Self::Keep | Self::Clear => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_keeps_null_clears_and_a_value_sets() {
        let mut field = Some(1);
        Change::Keep.apply_to(&mut field);
        assert_eq!(field, Some(1));
        Change::Set(2).apply_to(&mut field);
        assert_eq!(field, Some(2));
        Change::Clear.apply_to(&mut field);
        assert_eq!(field, None);
        let mut text = "old".to_owned();
        Change::Clear.apply_or_default(&mut text);
        assert_eq!(text, "");
    }
}
