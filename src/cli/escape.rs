//! How bytes from a log are shown: in the text report, in JSON strings, in messages.
//!
//! A log holds bytes, not text. What is shown must be safe on a terminal, valid UTF-8, and leave no doubt which bytes
//! were there. One rule serves all three:
//!
//! - Characters of valid UTF-8 are shown as they are.
//! - `\xNN` (two lowercase hex digits) stands for one byte. It is written for each byte that is not part of valid
//!   UTF-8 and for each byte of a character that could garble a terminal or a line: control characters (C0, DEL, C1),
//!   line and paragraph separators, and the invisible marks that reorder text.
//! - A backslash stays a backslash, except where the log itself holds `\x` and two hex digits: there it is written
//!   `\x5c`. nginx and Apache write odd bytes that way, so a request logged as `\x16\x03` is shown `\x5cx16\x5cx03`.
//!
//! So to get the bytes back, replace every `\xNN` by its byte: [`to_bytes`]. No two different byte strings are shown
//! alike, because an unescaped backslash is never followed by `x` and two hex digits, and no escape begins with `x` or
//! a digit.
//!
//! Tests: below, `tests/replay`.

use std::fmt::Write;

/// Shows `bytes` by the rule above.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    let mut rest = bytes;
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            let (_, after) = rest.split_at(character.len_utf8());
            if unsafe_to_show(character) || (character == '\\' && begins_like_an_escape(after)) {
                let mut utf8 = [0; 4];
                character.encode_utf8(&mut utf8).bytes().for_each(|byte| push_escape(&mut text, byte));
            } else {
                text.push(character);
            }
            rest = after;
        }
        chunk.invalid().iter().for_each(|&byte| push_escape(&mut text, byte));
        rest = &rest[chunk.invalid().len()..];
    }
    text
}

/// Shows the beginning of `bytes`: whole when it takes at most `max` characters, else cut and ended with `…`.
pub(crate) fn shown_start(bytes: &[u8], max: usize) -> String {
    // A character of the text comes from at most four bytes, so no more of a megabyte line needs to be looked at.
    let looked_at = &bytes[..bytes.len().min(max.saturating_mul(4))];
    let text = shown(looked_at);
    match text.char_indices().nth(max) {
        None if looked_at.len() == bytes.len() => text,
        None => text + "…",
        Some((end, _)) => text[..end].to_owned() + "…",
    }
}

/// The bytes that `text` shows: every `\xNN` becomes its byte, everything else stays.
pub(crate) fn to_bytes(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        if first == b'\\' && begins_like_an_escape(after) {
            bytes.push(hex(after[1]) << 4 | hex(after[2]));
            rest = &after[3..];
        } else {
            bytes.push(first);
            rest = after;
        }
    }
    bytes
}

fn begins_like_an_escape(after_backslash: &[u8]) -> bool {
    matches!(after_backslash, [b'x', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit())
}

/// The value of a hex digit.
fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

fn push_escape(text: &mut String, byte: u8) {
    write!(text, "\\x{byte:02x}").expect("writing to a String cannot fail");
}

fn unsafe_to_show(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{2028}' | '\u{2029}' // line and paragraph separator
            | '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') // direction
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ordinary_paths_stay_as_they_are() {
        for path in
            ["/", "/a b?q=%20+\"'<>&", "/caf\u{e9}/\u{65e5}\u{672c}", "C:\\windows\\xyz", "\\", "\\x", "\\x1", "a\\\\b"]
        {
            assert_eq!(shown(path.as_bytes()), path);
        }
    }

    #[test]
    fn bytes_outside_utf8_and_control_characters_are_escaped() {
        assert_eq!(shown(b"/\xff\xfe"), "/\\xff\\xfe");
        assert_eq!(shown(b"/\x00\x1b[31m\x7f\t"), "/\\x00\\x1b[31m\\x7f\\x09");
        assert_eq!(shown(b"\xe6\x97"), "\\xe6\\x97", "a character cut short");
        assert_eq!(shown("\u{9b}2J".as_bytes()), "\\xc2\\x9b2J", "C1 control");
        assert_eq!(shown("a\u{202e}b".as_bytes()), "a\\xe2\\x80\\xaeb", "right-to-left override");
    }

    #[test]
    fn what_looks_like_an_escape_loses_its_backslash() {
        assert_eq!(shown(br"\x16\x03"), r"\x5cx16\x5cx03");
        assert_eq!(shown(br"\xAD"), r"\x5cxAD");
        assert_eq!(shown(b"\\\x16"), r"\\x16");
        assert_eq!(shown(br"\\x16"), r"\\x5cx16");
    }

    #[test]
    fn a_long_line_is_cut() {
        assert_eq!(shown_start(b"abcdef", 6), "abcdef");
        assert_eq!(shown_start(b"abcdefg", 6), "abcdef…");
        assert_eq!(shown_start(&[b'a'; 1000], 3), "aaa…");
        // Twelve bytes are looked at: exactly three characters, and there is more behind them.
        assert_eq!(shown_start("\u{1f600}".repeat(4).as_bytes(), 3), "\u{1f600}".repeat(3) + "…");
    }

    proptest! {
        #[test]
        fn the_bytes_come_back(bytes in proptest::collection::vec(prop_oneof![
            Just(b'\\'), Just(b'x'), Just(b'1'), Just(b'f'), Just(0xc2), Just(0x9b), any::<u8>()], 0..24)) {
            let text = shown(&bytes);
            prop_assert!(!text.chars().any(char::is_control));
            prop_assert_eq!(to_bytes(text.as_bytes()), bytes);
        }
    }
}
