//! The known name nearest to a mistyped one.

/// The nearest of `names`, if it is near enough to be what was meant: at most a third of the letters differ.
pub(super) fn nearest(typed: &str, names: impl Iterator<Item = String>) -> Option<String> {
    let typed = typed.to_ascii_lowercase();
    names
        .map(|name| (distance(typed.as_bytes(), name.to_ascii_lowercase().as_bytes()), name))
        .min()
        .filter(|(distance, name)| *distance * 3 <= name.len())
        .map(|(_, name)| name)
}

/// Letters to insert, remove or replace (Levenshtein's distance), a row of the table at a time.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.iter().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, right) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(left != right);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_finds_its_name_and_a_stranger_finds_none() {
        let names = || ["listen", "log", "log_format", "retention_days"].map(str::to_owned).into_iter();
        assert_eq!(nearest("lisen", names()), Some("listen".into()));
        assert_eq!(nearest("LOGFORMAT", names()), Some("log_format".into()));
        assert_eq!(nearest("colour", names()), None);
        assert_eq!(distance(b"kitten", b"sitting"), 3);
    }
}
