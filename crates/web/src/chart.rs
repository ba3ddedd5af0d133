//! Charts, drawn on the server: numbers become the geometry of an SVG, with words for whoever does not see it.
//!
//! A drawing is stretched to the width of its page, so it holds shapes alone: what is to be read stands around it.

use std::fmt::Write;

/// Width of one point's place, in units of the drawing.
const PLACE: usize = 10;
/// What is left free on both sides of a bar.
const GAP: f64 = 1.5;
/// Height of the drawing.
const HEIGHT: f64 = 100.0;

/// A part of a bar.
pub(crate) struct Part {
    pub(crate) class: &'static str,
    pub(crate) y: String,
    pub(crate) height: String,
}

/// What stands at one point: parts of a bar, from the bottom up, and what they mean.
pub(crate) struct Bar {
    pub(crate) place: usize,
    pub(crate) x: String,
    pub(crate) words: String,
    pub(crate) parts: Vec<Part>,
}

/// A colour and what it stands for.
pub(crate) struct Key {
    pub(crate) class: &'static str,
    pub(crate) label: &'static str,
}

/// A chart.
pub(crate) struct Chart {
    pub(crate) title: &'static str,
    /// All of it in words.
    pub(crate) words: String,
    pub(crate) width: usize,
    /// What the top of the drawing stands for.
    pub(crate) top: String,
    pub(crate) keys: Vec<Key>,
    pub(crate) bars: Vec<Bar>,
    /// Lines: a class, and a path.
    pub(crate) lines: Vec<(&'static str, String)>,
}

/// One point's values, from the bottom up, and its words.
pub(crate) struct Values {
    pub(crate) parts: Vec<(&'static str, f64)>,
    pub(crate) words: String,
}

impl Chart {
    /// Bars whose parts stand on each other.
    pub(crate) fn of_bars(title: &'static str, words: String, points: Vec<Values>) -> Self {
        let sum = |values: &Values| values.parts.iter().map(|(_, value)| value).sum::<f64>();
        let top = round_up(points.iter().map(sum).fold(0.0, f64::max));
        let bar = |(place, values): (usize, Values)| {
            let mut below = 0.0;
            let parts = values.parts.into_iter().filter(|(_, value)| *value > 0.0).map(|(class, value)| {
                let height = value / top * HEIGHT;
                below += height;
                Part { class, y: tenths(HEIGHT - below), height: tenths(height) }
            });
            let x = tenths((place * PLACE) as f64 + GAP);
            Bar { place: place * PLACE, x, parts: parts.collect(), words: values.words }
        };
        let width = points.len() * PLACE;
        let bars = points.into_iter().enumerate().map(bar).collect();
        Self { title, words, width, top: String::new(), keys: Vec::new(), bars, lines: Vec::new() }
            .topped(count(top as u64))
    }

    /// Two lines of steps, one above the other, and the band between them. Where nothing is known nothing is drawn.
    pub(crate) fn of_band(
        title: &'static str,
        words: String,
        points: Vec<(Option<(f64, f64)>, String)>,
    ) -> Self {
        let top =
            round_up(points.iter().filter_map(|(two, _)| *two).map(|(_, high)| high).fold(0.0, f64::max));
        let y = |value: f64| HEIGHT - value / top * HEIGHT;
        let line = |of: fn((f64, f64)) -> f64| {
            let known = points.iter().map(|(two, _)| two.map(|two| y(of(two))));
            path(known)
        };
        let lines = vec![("low", line(|two| two.0)), ("high", line(|two| two.1))];
        let width = points.len() * PLACE;
        let bar = |(place, (two, words)): (usize, (Option<(f64, f64)>, String))| {
            let part = two.map(|(low, high)| Part {
                class: "band",
                y: tenths(y(high)),
                height: tenths(y(low) - y(high)),
            });
            Bar {
                place: place * PLACE,
                x: (place * PLACE).to_string(),
                words,
                parts: part.into_iter().collect(),
            }
        };
        let bars = points.into_iter().enumerate().map(bar).collect();
        Self { title, words, width, top: String::new(), keys: Vec::new(), bars, lines }.topped(took(top))
    }

    /// With what the colours stand for.
    #[must_use]
    pub(crate) fn keyed(mut self, keys: Vec<Key>) -> Self {
        self.keys = keys;
        self
    }

    fn topped(mut self, top: String) -> Self {
        self.top = top;
        self
    }

    /// How wide the parts of its bars are.
    pub(crate) fn part_width(&self) -> f64 {
        if self.lines.is_empty() { PLACE as f64 - 2.0 * GAP } else { PLACE as f64 }
    }
}

/// A path of steps, broken where nothing is known.
fn path(known: impl Iterator<Item = Option<f64>>) -> String {
    let (mut path, mut is_down) = (String::new(), false);
    for (place, y) in known.enumerate() {
        if let Some(y) = y {
            let (x, y) = (place * PLACE, tenths(y));
            let _ = match is_down {
                true => write!(path, "V{y}H{}", x + PLACE),
                false => write!(path, "M{x} {y}H{}", x + PLACE),
            };
        }
        is_down = y.is_some();
    }
    path
}

/// The next number that people like at the end of a scale: 1, 2 or 5 and zeros.
fn round_up(value: f64) -> f64 {
    let mut unit = 1.0;
    loop {
        if let Some(step) = [1.0, 2.0, 5.0].into_iter().find(|step| step * unit >= value) {
            return step * unit;
        }
        unit *= 10.0;
    }
}

fn tenths(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or_else(|| text.clone(), str::to_owned)
}

/// A number for people: "12,345".
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A duration for people: "12 ms", "1.4 s".
pub(crate) fn took(ms: f64) -> String {
    crate::when::took(ms.round() as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_end_with_round_numbers() {
        let ends = [0.0, 1.0, 1.5, 3.0, 7.0, 10.0, 11.0, 480.0, 1_200_000.0].map(round_up);
        assert_eq!(ends, [1.0, 1.0, 2.0, 5.0, 10.0, 10.0, 20.0, 500.0, 2_000_000.0]);
    }

    #[test]
    fn numbers_are_written_as_people_read_them() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([took(0.4), took(999.4), took(1_440.0)], ["0 ms", "999 ms", "1.4 s"]);
    }

    #[test]
    fn parts_of_a_bar_stand_on_each_other() {
        let point = |good, bad| Values { parts: vec![("good", good), ("bad", bad)], words: String::new() };
        let chart = Chart::of_bars("Deliveries", String::new(), vec![point(3.0, 1.0), point(0.0, 2.0)]);
        let drawn = |bar: &Bar| {
            let parts = bar.parts.iter().map(|part| format!("{} {}+{}", part.class, part.y, part.height));
            format!("{}: {}", bar.x, parts.collect::<Vec<_>>().join(", "))
        };
        let drawn: Vec<_> = chart.bars.iter().map(drawn).collect();
        assert_eq!(drawn, ["1.5: good 40+60, bad 20+20", "11.5: bad 60+40"]);
        assert_eq!((&*chart.top, chart.width, chart.part_width()), ("5", 20, 7.0));
    }

    #[test]
    fn a_line_breaks_where_nothing_is_known() {
        let at = |low, high| (Some((low, high)), String::new());
        let points = vec![at(10.0, 100.0), at(20.0, 50.0), (None, String::new()), at(30.0, 30.0)];
        let chart = Chart::of_band("Latency", String::new(), points);
        let lines =
            [("low", "M0 90H10V80H20M30 70H40".to_owned()), ("high", "M0 0H10V50H20M30 70H40".to_owned())];
        assert_eq!(chart.lines, lines);
        assert_eq!(chart.bars.iter().map(|bar| bar.parts.len()).collect::<Vec<_>>(), [1, 1, 0, 1]);
        assert_eq!(chart.top, "100 ms");
    }
}
