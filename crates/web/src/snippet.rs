//! Code by which a receiver verifies requests (Standard Webhooks, section "Verifying webhooks"), in the languages that
//! customers write. Each stands in a file of its own, which the tests run where its language is there.

/// Code in one language.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Snippet {
    pub(crate) language: &'static str,
    pub(crate) code: &'static str,
}

/// All of them.
pub(crate) const fn snippets() -> [Snippet; 8] {
    [
        Snippet { language: "JavaScript", code: include_str!("../snippets/verify.mjs") },
        Snippet { language: "Python", code: include_str!("../snippets/verify.py") },
        Snippet { language: "PHP", code: include_str!("../snippets/verify.php") },
        Snippet { language: "Ruby", code: include_str!("../snippets/verify.rb") },
        Snippet { language: "Go", code: include_str!("../snippets/verify.go") },
        Snippet { language: "Java", code: include_str!("../snippets/Verify.java") },
        Snippet { language: "C#", code: include_str!("../snippets/Verify.cs") },
        Snippet { language: "Rust", code: include_str!("../snippets/verify.rs") },
    ]
}
