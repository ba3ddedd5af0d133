//! A QR code (ISO/IEC 18004), as the path of an inline picture: no request, no script, no style.

use qrcodegen::{QrCode, QrCodeEcc};
use std::fmt::Write;

/// What stays empty around it, in modules (ISO/IEC 18004, section 9.1).
const QUIET: i32 = 4;

/// The dark modules of a QR code.
#[derive(Clone, Debug, Default)]
pub(crate) struct Qr {
    /// Its width and height in modules, what stays empty included.
    pub(crate) size: i32,
    /// The path that the dark modules fill (SVG 2, section 9.3).
    pub(crate) path: String,
}

/// The QR code of a text; none when it is too long for one.
pub(crate) fn qr(text: &str) -> Option<Qr> {
    let code = QrCode::encode_text(text, QrCodeEcc::Medium).ok()?;
    let mut path = String::new();
    for y in 0..code.size() {
        let mut x = 0;
        while x < code.size() {
            let dark = (x..code.size()).take_while(|x| code.get_module(*x, y)).count() as i32;
            if dark > 0 {
                let _ = write!(path, "M{} {}h{dark}v1h-{dark}z", x + QUIET, y + QUIET);
            }
            x += dark + 1;
        }
    }
    Some(Qr { size: code.size() + 2 * QUIET, path })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_becomes_modules_with_something_empty_around() {
        let Qr { size, path } = qr("A").unwrap();
        assert_eq!(size, 21 + 8);
        // The upper edge of the first of the three squares by which readers find it.
        assert!(path.starts_with("M4 4h7v1h-7z"), "{path}");
        assert!(qr(&"A".repeat(5_000)).is_none());
    }
}
