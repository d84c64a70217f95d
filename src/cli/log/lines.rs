//! Lines cut out of blocks: no allocation and no copy per line, and a bound on what a line may cost.
//!
//! | a line ends at | written by |
//! |---|---|
//! | LF | most |
//! | CR LF | Windows, and protocols of the internet |
//! | CR CR LF | a program that gave CR LF to a file that was open as text on Windows |
//! | CR | old Macintosh programs, and some appliances |
//! | the end of the input | a process that was still writing |
//!
//! A line may be up to [`MAX_LINE`] bytes long before its end; of a longer one only the beginning is kept, the rest is
//! read and dropped, so that a file without line ends costs no memory.
//!
//! NULs in front of a line are dropped, because a file that was truncated while a process kept writing has a hole there,
//! which reads as zeros. They are dropped as they come, so a hole of any length does not cost memory or make a line too
//! long.
//!
//! The buffer holds one block, and grows (doubling) only while a line does not fit. Each byte is searched once: what
//! was searched without finding a line end is not searched again when more bytes arrive.
//!
//! Tests: below, `tests/replay`.

use std::io::{self, Read};

use memchr::memchr2;

/// The longest line that is read whole, in bytes: 16 MiB. Web servers write lines a thousand times shorter.
pub(crate) const MAX_LINE: usize = 16 << 20;
/// What is read at once. Big enough that a call costs nothing beside its bytes, small enough to stay in the cache.
const BLOCK: usize = 256 << 10;
/// How much is kept of a line that is too long.
const KEPT: usize = 1 << 10;

/// One line without its line end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    Whole(&'a [u8]),
    /// Longer than [`MAX_LINE`]: its beginning.
    TooLong(&'a [u8]),
}

/// The lines of an input.
pub(crate) struct Lines<R> {
    input: R,
    buffer: Vec<u8>,
    /// `buffer[start..end]` has been read and not yet handed out.
    start: usize,
    end: usize,
    ended: bool,
    max_line: usize,
    /// The beginning of the line that was last dropped.
    kept: Vec<u8>,
}

impl<R: Read> Lines<R> {
    pub(crate) fn new(input: R) -> Lines<R> {
        Lines::with_sizes(input, BLOCK, MAX_LINE)
    }

    fn with_sizes(input: R, block: usize, max_line: usize) -> Lines<R> {
        Lines { input, buffer: vec![0; block], start: 0, end: 0, ended: false, max_line, kept: Vec::new() }
    }

    /// The next line, `None` at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        let mut had_nuls = false;
        let mut searched = self.start;
        let (line_end, next_start) = loop {
            while self.start < self.end && self.buffer[self.start] == 0 {
                self.start += 1;
                had_nuls = true;
            }
            searched = searched.max(self.start);
            let found = memchr2(b'\n', b'\r', &self.buffer[searched..self.end]);
            searched = found.map_or(self.end, |at| searched + at);
            if let Some(behind) = found.and_then(|_| self.behind_end(searched)) {
                break (searched, behind);
            }
            if self.ended {
                if self.start == self.end && !had_nuls {
                    return Ok(None);
                }
                break (self.end, self.end);
            }
            let searched_length = searched - self.start;
            if searched_length > self.max_line {
                return self.skip_long_line().map(Some);
            }
            self.fill()?;
            searched = self.start + searched_length;
        };
        let line = &self.buffer[self.start..line_end];
        self.start = next_start;
        if line.len() > self.max_line {
            return Ok(Some(Line::TooLong(&line[..line.len().min(KEPT)])));
        }
        Ok(Some(Line::Whole(line)))
    }

    /// Where the line end that begins at `at` ends. `None` if that depends on bytes that have not been read.
    fn behind_end(&self, at: usize) -> Option<usize> {
        match self.buffer[at..self.end] {
            [b'\r', b'\r', b'\n', ..] => Some(at + 3),
            [b'\r', b'\n', ..] => Some(at + 2),
            [b'\r'] | [b'\r', b'\r'] if !self.ended => None,
            _ => Some(at + 1),
        }
    }

    /// Reads more bytes behind the unfinished line, which moves to the front of the buffer.
    fn fill(&mut self) -> io::Result<()> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.end == self.buffer.len() {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        let got = loop {
            match self.input.read(&mut self.buffer[self.end..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        self.end += got;
        self.ended = got == 0;
        Ok(())
    }

    /// Drops everything up to and with the next line end except the line's beginning.
    fn skip_long_line(&mut self) -> io::Result<Line<'_>> {
        self.kept = self.buffer[self.start..self.end.min(self.start + KEPT)].to_vec();
        loop {
            let found = memchr2(b'\n', b'\r', &self.buffer[self.start..self.end]);
            self.start = found.map_or(self.end, |at| self.start + at);
            let behind = found.and_then(|_| self.behind_end(self.start));
            if let Some(behind) = behind {
                self.start = behind;
            } else if !self.ended {
                self.fill()?;
                continue;
            }
            return Ok(Line::TooLong(&self.kept));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hands out at most `step` bytes a call, and is interrupted before each.
    struct Trickle<'a> {
        bytes: &'a [u8],
        step: usize,
        interrupted: bool,
    }

    impl Read for Trickle<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.interrupted = !self.interrupted;
            if self.interrupted {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let step = self.step.min(buffer.len());
            self.bytes.read(&mut buffer[..step])
        }
    }

    /// `None` stands for a line that is too long, of which the tests make theirs from `x`.
    fn lines(bytes: &[u8], step: usize, block: usize, max_line: usize) -> Vec<Option<Vec<u8>>> {
        let mut lines = Lines::with_sizes(Trickle { bytes, step, interrupted: false }, block, max_line);
        let mut found = Vec::new();
        while let Some(line) = lines.next().expect("reading memory") {
            found.push(match line {
                Line::Whole(line) => Some(line.to_vec()),
                Line::TooLong(start) => {
                    assert!(start.len() > max_line && start.len() <= KEPT, "{} bytes kept", start.len());
                    assert!(
                        start[..=max_line].iter().all(|&byte| byte == b'x'),
                        "the beginning of the line is what is kept"
                    );
                    None
                }
            });
        }
        found
    }

    fn some(line: &str) -> Option<Vec<u8>> {
        Some(line.as_bytes().to_vec())
    }

    #[test]
    fn line_ends() {
        for step in [1, 2, 3, 100] {
            for block in [1, 2, 7, 64] {
                let lines = |text: &str| lines(text.as_bytes(), step, block, 50);
                assert_eq!(lines(""), []);
                assert_eq!(lines("\n"), [some("")]);
                assert_eq!(lines("a"), [some("a")], "the last line needs no line feed");
                assert_eq!(lines("a\n"), [some("a")]);
                assert_eq!(lines("a\nb"), [some("a"), some("b")]);
                assert_eq!(lines("\n\na\n\n"), [some(""), some(""), some("a"), some("")]);
                assert_eq!(lines("a\r\nb\r\n"), [some("a"), some("b")]);
                assert_eq!(lines("a\r"), [some("a")], "also without a line feed");
                assert_eq!(lines("a\rb\n"), [some("a"), some("b")], "so does a carriage return alone");
                assert_eq!(lines("a\rb\r"), [some("a"), some("b")]);
                assert_eq!(lines("a\r\r\nb\r\r"), [some("a"), some("b"), some("")], "CR CR LF is one end");
                assert_eq!(lines("\r\r\r\n\n"), [some(""), some(""), some("")]);
                assert_eq!(lines("a\0\u{85}\u{2028}\n"), [some("a\0\u{85}\u{2028}")]);
                let long = "x".repeat(50);
                assert_eq!(lines(&format!("{long}\nb\n")), [some(&long), some("b")], "as long as allowed");
            }
        }
    }

    #[test]
    fn too_long_lines_are_dropped_whole_wherever_the_blocks_end() {
        for length in [51, 52, 63, 64, 65, 127, 128, 129, 1_500, 5_000] {
            let long = "x".repeat(length);
            for step in [1, 7, 64, 5_000] {
                for block in [1, 16, 64, 4_096] {
                    let lines = |text: &str| lines(text.as_bytes(), step, block, 50);
                    assert_eq!(lines(&format!("a\n{long}\nb\nc")), [some("a"), None, some("b"), some("c")]);
                    assert_eq!(lines(&format!("{long}\n{long}\n\n")), [None, None, some("")]);
                    assert_eq!(lines(&long), [None]);
                    assert_eq!(lines(&format!("{long}\r\nb")), [None, some("b")]);
                    assert_eq!(lines(&format!("{long}\r{long}\r\r\nb\r")), [None, None, some("b")]);
                }
            }
        }
    }

    #[test]
    fn nuls_in_front_of_a_line_are_dropped() {
        for step in [1, 2, 3, 100, 5_000] {
            for block in [1, 2, 7, 64] {
                let lines = |text: &str| lines(text.as_bytes(), step, block, 50);
                assert_eq!(lines("\0\0a\n\0b\0\nc"), [some("a"), some("b\0"), some("c")]);
                assert_eq!(lines("\0\0\na\n\0\r\n"), [some(""), some("a"), some("")]);
                assert_eq!(lines("\0\0"), [some("")], "it is a line, as an empty one is");
                assert_eq!(lines("a\n\0"), [some("a"), some("")]);
                let hole = "\0".repeat(1_000);
                assert_eq!(lines(&format!("{hole}a\n{hole}")), [some("a"), some("")], "they make no line too long");
                let (long, fits) = ("x".repeat(51), "x".repeat(50));
                assert_eq!(lines(&format!("{hole}{long}\n{hole}{fits}\n")), [None, some(&fits)]);
            }
        }
    }

    #[test]
    fn a_failing_input_is_an_error_not_an_end() {
        struct Fails;
        impl Read for Fails {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::ErrorKind::InvalidData.into())
            }
        }
        let mut lines = Lines::new((&b"a\nb"[..]).chain(Fails));
        assert_eq!(lines.next().expect("read before the failure"), Some(Line::Whole(b"a")));
        assert_eq!(lines.next().expect_err("the last line is not whole").kind(), io::ErrorKind::InvalidData);
    }
}
