//! `--watch`: the report every second.
//!
//! On a terminal each report overwrites the one before. The cursor moves up as many lines as that report had, and every line is
//! written over. The modes of the terminal, its screen, its cursor and its keys are not changed, so they need not be restored.
//! When Ctrl-C or a kill ends the program, the last report stays, with the prompt below it. This works only if every line fits, so
//! the report is cut to the terminal's lines and columns.
//!
//! Anywhere else one report follows the other behind an empty line. JSON objects follow each other line by line.
//!
//! A file keeps its contents when another file takes its path, but a process that opens the path later counts in the other file.
//! So the path is followed. While the path does not lead to a file that can be shown, the last file is shown, and a line says so.
//!
//! Tests: below, `tests/replay`.

use std::io::{self, IsTerminal};
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use super::{Style, print};
use crate::cli::columns::cut;
use crate::cli::failure::{Failure, told};
use crate::shared::Inspection;

const PAUSE: Duration = Duration::from_secs(1);

pub(super) fn run(path: &Path, style: &Style) -> Result<(), Failure> {
    let mut inspection = Inspection::open(path).map_err(|error| Failure::of_shared(&error))?;
    let mut screen = (!style.json && has_cursor()).then(Screen::default);
    let mut is_first = true;
    loop {
        let mut note = None;
        if !inspection.is_current() {
            match Inspection::open(path) {
                Ok(another) => inspection = another,
                Err(error) => note = Some(format!("\nThe file before it, for now:\n{}\n", told(&error))),
            }
        }
        let mut text = match inspection.report(None) {
            Ok(report) => style.shown(&report),
            // The file was cut just before another file took its path. The next round opens the other one.
            Err(_) if !inspection.is_current() && note.is_none() => continue,
            Err(error) => return Err(Failure::of_shared(&error)),
        };
        if !style.json {
            text += &note.unwrap_or_default();
        }
        if let Some(screen) = &mut screen {
            text = screen.drawn(&text, size());
        } else if !is_first && !style.json {
            text.insert(0, '\n');
        }
        print(&text)?;
        is_first = false;
        sleep(PAUSE);
    }
}

/// Whether stdout is a terminal that moves its cursor.
fn has_cursor() -> bool {
    io::stdout().is_terminal() && std::env::var_os("TERM").is_none_or(|name| name != "dumb")
}

/// The columns and lines of the terminal.
fn size() -> (usize, usize) {
    let size = terminal_size::terminal_size_of(io::stdout()).map(|(width, height)| (width.0.into(), height.0.into()));
    size.filter(|&(columns, lines)| columns > 0 && lines > 0).unwrap_or((80, 24))
}

/// What is on the terminal.
#[derive(Default)]
struct Screen {
    /// The lines of the last report; the cursor is below them.
    lines: usize,
    size: Option<(usize, usize)>,
}

impl Screen {
    /// What draws `text` over the report before it.
    fn drawn(&mut self, text: &str, size: (usize, usize)) -> String {
        let (columns, lines) = size;
        let mut drawn = match self.size {
            // The terminal has wrapped the lines anew, so it is not known where the report begins. The screen is cleared.
            Some(before) if before != size => "\x1b[H\x1b[2J".to_owned(),
            _ if self.lines > 0 => format!("\r\x1b[{}A", self.lines),
            _ => String::new(),
        };
        self.size = Some(size);
        self.lines = 0;
        // The last line is the cursor's.
        for line in text.lines().take(lines.saturating_sub(1)) {
            drawn += &cut(line, columns);
            drawn += "\x1b[K\n";
            self.lines += 1;
        }
        drawn + "\x1b[J"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_drawn_over_the_one_before() {
        let mut screen = Screen::default();
        assert_eq!(screen.drawn("a\nb\n", (80, 24)), "a\x1b[K\nb\x1b[K\n\x1b[J");
        assert_eq!(screen.drawn("c\n", (80, 24)), "\r\x1b[2Ac\x1b[K\n\x1b[J");
        assert_eq!(screen.drawn("d\n", (80, 24)), "\r\x1b[1Ad\x1b[K\n\x1b[J");
        assert!(screen.drawn("e\n", (79, 24)).starts_with("\x1b[H\x1b[2Je"), "another size");
    }

    #[test]
    fn it_never_scrolls_nor_wraps() {
        let mut screen = Screen::default();
        let long = "0123456789\n".repeat(10);
        assert_eq!(screen.drawn(&long, (5, 4)).matches("012…9\x1b[K\n").count(), 3);
        assert!(screen.drawn(&long, (5, 4)).starts_with("\r\x1b[3A"));
        assert_eq!(screen.drawn(&long, (5, 1)), "\x1b[H\x1b[2J\x1b[J");
    }
}
