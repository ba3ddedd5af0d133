//! How the console looks: a name, a picture, a colour and a theme of the operator's own.
//!
//! One colour is given. What it becomes on either theme is moved towards black or white until text in it, on it and on its tint can be
//! read: 4.5 to 1 (WCAG 2.2, success criterion 1.4.3).

use crate::{Console, assets};
use aws_lc_rs::digest::{SHA256, digest};
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use std::fmt::Write;
use std::str::FromStr;

/// Which theme pages have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Theme {
    /// As the browser wants it.
    #[default]
    Auto,
    /// Light.
    Light,
    /// Dark.
    Dark,
}

/// A colour: red, green, blue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour(pub [u8; 3]);

impl FromStr for Colour {
    type Err = ();

    /// From `#1d56b8`.
    fn from_str(text: &str) -> Result<Self, ()> {
        let mut bytes = [0; 3];
        hex::decode_to_slice(text.strip_prefix('#').ok_or(())?, &mut bytes).map_err(|_| ())?;
        Ok(Self(bytes))
    }
}

/// A picture, and its media type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logo {
    /// `image/svg+xml` or the like.
    pub media_type: &'static str,
    /// The file.
    pub bytes: Bytes,
}

/// What the operator chose for how it looks.
#[derive(Clone, Debug)]
pub struct Look {
    /// What people call it.
    pub name: String,
    /// Beside the name, and in the browser's tab.
    pub logo: Option<Logo>,
    /// Of links and buttons.
    pub colour: Option<Colour>,
    /// Light, dark, or as the browser wants it.
    pub theme: Theme,
}

impl Default for Look {
    fn default() -> Self {
        Self { name: "Posthaste".to_owned(), logo: None, colour: None, theme: Theme::Auto }
    }
}

/// The same, as pages need it.
#[derive(Clone, Debug)]
pub(crate) struct Brand {
    pub(crate) name: String,
    /// Where the picture is, and its media type.
    pub(crate) icon: String,
    pub(crate) icon_type: &'static str,
    /// Where its styles are, if it has any.
    pub(crate) style: Option<String>,
    /// For browsers, before there are styles.
    pub(crate) scheme: &'static str,
    css: String,
    logo: Option<Logo>,
}

impl Brand {
    pub(crate) fn of(look: Look) -> Self {
        let css = css(&look);
        let hash = |bytes: &[u8]| hex::encode(&digest(&SHA256, bytes).as_ref()[..8]);
        Self {
            icon: look.logo.as_ref().map_or_else(
                || assets::url("icon.svg").to_owned(),
                |logo| format!("/brand/{}/logo", hash(&logo.bytes)),
            ),
            icon_type: look.logo.as_ref().map_or("image/svg+xml", |logo| logo.media_type),
            style: (!css.is_empty()).then(|| format!("/brand/{}/brand.css", hash(css.as_bytes()))),
            scheme: look.theme.scheme(),
            name: look.name,
            css,
            logo: look.logo,
        }
    }
}

impl Theme {
    /// As `color-scheme` has it.
    const fn scheme(self) -> &'static str {
        match self {
            Self::Auto => "light dark",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }
}

pub(crate) fn router() -> Router<Console> {
    Router::new().route("/brand/{hash}/brand.css", get(style)).route("/brand/{hash}/logo", get(logo))
}

async fn style(State(console): State<Console>) -> Response {
    kept("text/css; charset=utf-8", console.brand.css.clone())
}

async fn logo(State(console): State<Console>) -> Response {
    match &console.brand.logo {
        Some(logo) => kept(logo.media_type, logo.bytes.clone()),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Its address holds a hash of what it is, so browsers keep it for ever.
fn kept(media_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    response
}

fn css(look: &Look) -> String {
    let mut rules = String::new();
    // Writing to a string does not fail.
    if look.theme != Theme::Auto {
        _ = write!(rules, "color-scheme:{};", look.theme.scheme());
    }
    if let Some(colour) = look.colour {
        let (light, dark) = (Tones::of(colour, LIGHT), Tones::of(colour, DARK));
        for (name, light, dark) in [
            ("accent", light.accent, dark.accent),
            ("on-accent", light.on_accent, dark.on_accent),
            ("accent-ground", light.tint, dark.tint),
        ] {
            _ = write!(rules, "--{name}:light-dark({},{});", light.hex(), dark.hex());
        }
    }
    if rules.is_empty() { rules } else { format!(":root{{{rules}}}") }
}

const WHITE: Colour = Colour([255; 3]);
const BLACK: Colour = Colour([0; 3]);
/// Contrast of text.
const CONTRAST_MIN: f64 = 4.5;

/// A theme's grounds, as in console.css: `--ground`, `--sheet`, `--raised`.
#[derive(Clone, Copy)]
struct Grounds {
    all: [Colour; 3],
    /// What moves a colour away from them.
    away: Colour,
    /// How much of the colour its tint has, in hundredths.
    tint: u8,
}

const LIGHT: Grounds =
    Grounds { all: [Colour([0xf6, 0xf6, 0xf3]), WHITE, Colour([0xfb, 0xfb, 0xf9])], away: BLACK, tint: 10 };
const DARK: Grounds = Grounds {
    all: [Colour([0x13, 0x14, 0x17]), Colour([0x1c, 0x1e, 0x22]), Colour([0x23, 0x26, 0x2b])],
    away: WHITE,
    tint: 18,
};

/// What a colour becomes on a theme.
#[derive(Clone, Copy, Debug)]
struct Tones {
    accent: Colour,
    on_accent: Colour,
    tint: Colour,
}

impl Tones {
    fn of(colour: Colour, grounds: Grounds) -> Self {
        let tones = |part: u8| {
            let accent = colour.mixed(grounds.away, part);
            let on_accent = if accent.contrast(WHITE) >= CONTRAST_MIN { WHITE } else { BLACK };
            Self { accent, on_accent, tint: grounds.all[1].mixed(colour, grounds.tint) }
        };
        let holds = |tones: &Self| {
            let on = grounds.all.iter().chain([&tones.tint]);
            on.map(|ground| tones.accent.contrast(*ground)).all(|contrast| contrast >= CONTRAST_MIN)
                && tones.accent.contrast(tones.on_accent) >= CONTRAST_MIN
        };
        // Black and white themselves hold on every ground.
        (0..=100).step_by(4).map(tones).find(holds).unwrap_or_else(|| tones(100))
    }
}

impl Colour {
    fn hex(self) -> String {
        format!("#{}", hex::encode(self.0))
    }

    /// With so many hundredths of another one.
    fn mixed(self, other: Self, part: u8) -> Self {
        let mix = |one: u8, two: u8| {
            let sum = u16::from(one) * u16::from(100 - part) + u16::from(two) * u16::from(part);
            u8::try_from(sum / 100).unwrap_or(u8::MAX)
        };
        Self(std::array::from_fn(|index| mix(self.0[index], other.0[index])))
    }

    /// WCAG 2.2, "relative luminance".
    fn luminance(self) -> f64 {
        let linear = |byte: u8| {
            let share = f64::from(byte) / 255.0;
            if share <= 0.04045 { share / 12.92 } else { ((share + 0.055) / 1.055).powf(2.4) }
        };
        let [red, green, blue] = self.0.map(linear);
        0.2126f64.mul_add(red, 0.7152f64.mul_add(green, 0.0722 * blue))
    }

    /// WCAG 2.2, "contrast ratio".
    fn contrast(self, other: Self) -> f64 {
        let (one, two) = (self.luminance(), other.luminance());
        (one.max(two) + 0.05) / (one.min(two) + 0.05)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_colour_can_be_read_on_both_themes() {
        let steps = || (0..=255).step_by(15);
        for (red, green, blue) in
            steps().flat_map(|r| steps().flat_map(move |g| steps().map(move |b| (r, g, b))))
        {
            let colour = Colour([red, green, blue]);
            for grounds in [LIGHT, DARK] {
                let Tones { accent, on_accent, tint } = Tones::of(colour, grounds);
                for ground in [grounds.all[0], grounds.all[1], grounds.all[2], tint, on_accent] {
                    let contrast = accent.contrast(ground);
                    assert!(contrast >= CONTRAST_MIN, "{colour:?}: {contrast} on {ground:?}");
                }
            }
        }
    }

    #[test]
    fn a_colour_that_can_be_read_stays_what_it_is() {
        let blue = Colour([0x1d, 0x56, 0xb8]);
        assert_eq!(Tones::of(blue, LIGHT).accent, blue);
        assert_ne!(Tones::of(blue, DARK).accent, blue);
        assert!((WHITE.contrast(BLACK) - 21.0).abs() < 1e-9);
    }

    #[test]
    fn who_chooses_nothing_has_no_styles() {
        assert_eq!(css(&Look::default()), "");
        let dark = Look { theme: Theme::Dark, ..Look::default() };
        assert_eq!(css(&dark), ":root{color-scheme:dark;}");
    }
}
