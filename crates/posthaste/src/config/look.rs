//! The settings of how the console looks.

use super::value::Parsed;
use web::{Colour, Logo, Theme};

/// Where the console's pages and titles have room.
const BRAND_NAME_CHARS_MAX: usize = 40;
/// It comes along with the first page.
const LOGO_BYTES_MAX: u64 = 32 * 1024;

pub(super) fn brand_name(text: &str) -> Parsed<String> {
    let chars = text.chars().count();
    let fits = (1..=BRAND_NAME_CHARS_MAX).contains(&chars) && !text.chars().any(char::is_control);
    fits.then(|| text.to_owned())
        .ok_or_else(|| format!("must be a name of 1 to {BRAND_NAME_CHARS_MAX} characters"))
}

pub(super) fn colour(text: &str) -> Parsed<Colour> {
    text.parse().map_err(|()| "must be a colour like #1d56b8: # and six hexadecimal digits".to_owned())
}

pub(super) fn theme(text: &str) -> Parsed<Theme> {
    match text {
        "auto" => Ok(Theme::Auto),
        "light" => Ok(Theme::Light),
        "dark" => Ok(Theme::Dark),
        _ => Err("must be auto, light or dark".to_owned()),
    }
}

pub(super) fn logo(text: &str) -> Parsed<Logo> {
    let path = text.strip_prefix("file:").unwrap_or(text);
    let unread = |error: std::io::Error| format!("names a file that cannot be read: {error}");
    if std::fs::metadata(path).map_err(unread)?.len() > LOGO_BYTES_MAX {
        return Err(format!(
            "names a file of more than {} KiB: make the picture smaller",
            LOGO_BYTES_MAX / 1024
        ));
    }
    let bytes = std::fs::read(path).map_err(unread)?;
    let media_type = match &*bytes {
        [0x89, b'P', b'N', b'G', ..] => "image/png",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "image/webp",
        bytes if String::from_utf8_lossy(bytes).contains("<svg") => "image/svg+xml",
        _ => return Err("names a file that is neither SVG nor PNG nor WebP".to_owned()),
    };
    Ok(Logo { media_type, bytes: bytes.into() })
}
