//! Keys without a letter, as WebDriver writes them (W3C WebDriver, "Keyboard actions").

/// Enter.
pub const ENTER: &str = "\u{E007}";
/// Tab.
pub const TAB: &str = "\u{E004}";
/// Escape.
pub const ESCAPE: &str = "\u{E00C}";
/// The space bar.
pub const SPACE: &str = " ";
/// Backspace.
pub const BACKSPACE: &str = "\u{E003}";
/// Delete.
pub const DELETE: &str = "\u{E017}";
/// Home.
pub const HOME: &str = "\u{E011}";
/// End.
pub const END: &str = "\u{E010}";
/// Page up.
pub const PAGE_UP: &str = "\u{E00E}";
/// Page down.
pub const PAGE_DOWN: &str = "\u{E00F}";
/// Arrow left.
pub const LEFT: &str = "\u{E012}";
/// Arrow up.
pub const UP: &str = "\u{E013}";
/// Arrow right.
pub const RIGHT: &str = "\u{E014}";
/// Arrow down.
pub const DOWN: &str = "\u{E015}";
/// Shift; held until the text ends.
pub const SHIFT: &str = "\u{E008}";
/// Control; held until the text ends.
pub const CONTROL: &str = "\u{E009}";
/// Alt; held until the text ends.
pub const ALT: &str = "\u{E00A}";

/// Whether it does something only together with others.
pub(super) fn is_modifier(key: char) -> bool {
    [SHIFT, CONTROL, ALT].iter().any(|modifier| modifier.starts_with(key))
}
