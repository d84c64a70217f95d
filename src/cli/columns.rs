//! Text in columns for a person: numbers, lengths of time, and texts cut to what is left of a line.
//!
//! Tests: below, `tests/replay`.

use std::io;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Without a terminal to ask.
const DEFAULT_WIDTH: usize = 80;
/// Below this a report runs over rather than being squeezed.
const LEAST_WIDTH: usize = 40;

/// How many columns the reader of stdout has: the terminal's, else 80.
pub(crate) fn width() -> usize {
    let size = terminal_size::terminal_size_of(io::stdout());
    let columns = size.map_or(0, |(width, _)| usize::from(width.0));
    if columns == 0 { DEFAULT_WIDTH } else { columns.max(LEAST_WIDTH) }
}

/// Digits in groups of three.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The width of a column of ASCII texts under a heading.
pub(crate) fn widest(texts: impl Iterator<Item = String>, heading: &str) -> usize {
    texts.map(|text| text.len()).fold(heading.len(), usize::max)
}

/// A length of time in its largest whole unit.
pub(crate) fn length(seconds: i64) -> String {
    let units = [(86_400, "d"), (3_600, "h"), (60, "min")];
    match units.iter().find(|(unit, _)| seconds > 0 && seconds % unit == 0) {
        Some((unit, name)) => format!("{} {name}", grouped((seconds / unit).unsigned_abs())),
        None => format!("{} s", grouped(seconds.unsigned_abs())),
    }
}

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// A bar of a height between none at 0 and full at `highest`. A single hit is seen.
pub(crate) fn bar(hits: u64, highest: u64) -> char {
    if hits == 0 {
        return ' ';
    }
    let share = u128::from(hits) * BARS.len() as u128;
    BARS[(share.div_ceil(u128::from(highest.max(1))) as usize).clamp(1, BARS.len()) - 1]
}

/// The text in at most `room` columns: whole, or its two ends with `…` between them.
pub(crate) fn cut(text: &str, room: usize) -> String {
    if text.width() <= room {
        return text.to_owned();
    }
    let room = room.saturating_sub(1);
    let tail_room = room / 3;
    let tail_start = within(text.char_indices().rev(), tail_room).map_or(text.len(), |(at, _)| at);
    let head_end = within(text.char_indices(), room - tail_room).map_or(0, |(at, last)| at + last.len_utf8());
    format!("{}…{}", &text[..head_end], &text[tail_start..])
}

/// The last of the characters that fit into `room` columns together.
fn within(characters: impl Iterator<Item = (usize, char)>, room: usize) -> Option<(usize, char)> {
    let widths = characters.scan(0, |used, (at, character)| {
        *used += character.width().unwrap_or(0);
        Some((*used, (at, character)))
    });
    widths.take_while(|(used, _)| *used <= room).last().map(|(_, place)| place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
        assert_eq!(grouped(u64::MAX), "18,446,744,073,709,551,615");
    }

    #[test]
    fn bars_show_a_single_hit_and_fill_only_at_the_highest() {
        let bars: String = [0, 1, 500, 875, 999, 1_000].iter().map(|&hits| bar(hits, 1_000)).collect();
        assert_eq!(bars, " ▁▄▇██");
        assert_eq!(bar(1, 1), '█');
        assert_eq!(bar(u64::MAX, u64::MAX), '█');
    }

    #[test]
    fn lengths_use_their_largest_unit() {
        let cases = [
            (0, "0 s"),
            (1, "1 s"),
            (90, "90 s"),
            (300, "5 min"),
            (7_200, "2 h"),
            (86_400, "1 d"),
            (31_536_000, "365 d"),
        ];
        for (seconds, text) in cases {
            assert_eq!(length(seconds), text);
        }
    }

    #[test]
    fn long_texts_keep_both_ends() {
        assert_eq!(cut("/abcdefghi", 10), "/abcdefghi");
        assert_eq!(cut("/abcdefghij", 10), "/abcde…hij");
        assert_eq!(cut("/日本語日本語", 10), "/日本…語", "characters of two columns");
        for room in 1..30 {
            let text = "/日本a語e\u{301}".repeat(9);
            assert!(cut(&text, room).width() <= room, "{room}");
        }
        assert_eq!(cut("", 0), "");
    }
}
