//! What keys do.
//!
//! | key | does |
//! |---|---|
//! | up, down, k, j, PgUp, PgDn, Home, End | chooses a row |
//! | Enter | opens the row's history, and closes it |
//! | s | sorts by hits, rate or name |
//! | / | filters: the letters that follow, until Enter; Esc drops the filter |
//! | + - | a longer span, a shorter one |
//! | space | pauses the screen; hits are counted on |
//! | ? | help |
//! | Esc | closes what is open, and drops the filter |
//! | q, Ctrl-C | quits |
//!
//! Tests: below, `tests/top`.

use std::time::Duration;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::frame::{Frame, Question, Sort};

/// The help, as lines.
pub(super) const HELP: [&str; 10] = [
    "up down k j      choose a row; PgUp, PgDn, Home and End go further",
    "Enter            open the history of the row, and close it",
    "s                sort by hits, by rate, by name",
    "/                filter: type a part of the name, then Enter",
    "+ -              count over a longer or a shorter span",
    "space            pause the screen; hits are counted on",
    "Esc              close what is open, drop the filter",
    "?                show this, and close it",
    "q Ctrl-C         quit",
    "",
];

/// Spans to choose from, in seconds, besides the longest that a source has.
const SPANS: [u64; 8] = [10, 30, 60, 300, 900, 3_600, 21_600, 86_400];

/// What is to be done after a key, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Then {
    /// Nothing.
    Wait,
    /// Draw what is known.
    Draw,
    /// Ask the source, and draw.
    Ask,
    Quit,
}

/// What the user has chosen.
#[derive(Debug, Default)]
pub(super) struct View {
    pub(super) last: Duration,
    pub(super) sort: Sort,
    pub(super) filter: String,
    /// Whether letters go to the filter.
    pub(super) types: bool,
    pub(super) is_paused: bool,
    pub(super) helps: bool,
    pub(super) open: Option<String>,
    /// The place of the chosen row among all that are found.
    pub(super) chosen: usize,
    /// How many rows are above the screen, and how many it has room for.
    pub(super) skip: usize,
    pub(super) rows: usize,
}

impl View {
    pub(super) fn question(&self, columns: usize, wide: usize) -> Question {
        Question {
            last: self.last,
            sort: self.sort,
            filter: self.filter.clone(),
            skip: self.skip,
            rows: self.rows,
            columns,
            wide,
            open: self.open.clone(),
        }
    }

    /// What `key` does to what is shown in `frame`, of a source whose longest span is `window`.
    pub(super) fn press(&mut self, key: KeyEvent, frame: &Frame, window: Duration) -> Then {
        let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c') if is_control => Then::Quit,
            KeyCode::Char(letter) if self.types && !is_control => self.narrow(|filter| filter.push(letter)),
            KeyCode::Backspace if self.types => self.narrow(|filter| _ = filter.pop()),
            KeyCode::Enter if self.types => {
                self.types = false;
                Then::Draw
            }
            KeyCode::Esc => {
                self.types = false;
                self.helps = false;
                self.open = None;
                self.narrow(String::clear)
            }
            KeyCode::Char('q') => Then::Quit,
            KeyCode::Char('?') => {
                self.helps = !self.helps;
                Then::Draw
            }
            KeyCode::Char(' ') => {
                self.is_paused = !self.is_paused;
                if self.is_paused { Then::Draw } else { Then::Ask }
            }
            KeyCode::Char('/') => {
                self.types = true;
                Then::Draw
            }
            KeyCode::Char('s') => {
                self.sort = match self.sort {
                    Sort::Hits => Sort::Rate,
                    Sort::Rate => Sort::Name,
                    Sort::Name => Sort::Hits,
                };
                self.changed()
            }
            KeyCode::Char('+' | '=') => {
                self.span(window, |spans, last| spans.iter().copied().find(|span| *span > last))
            }
            KeyCode::Char('-') => {
                self.span(window, |spans, last| spans.iter().rev().copied().find(|span| *span < last))
            }
            KeyCode::Enter => {
                let row = frame.rows.get(self.chosen.saturating_sub(self.skip));
                self.open = if self.open.is_some() { None } else { row.map(|row| row.name.clone()) };
                self.changed()
            }
            KeyCode::Up | KeyCode::Char('k') => self.choose(frame, |chosen, _| chosen.saturating_sub(1)),
            KeyCode::Down | KeyCode::Char('j') => self.choose(frame, |chosen, _| chosen + 1),
            KeyCode::PageUp => self.choose(frame, |chosen, rows| chosen.saturating_sub(rows)),
            KeyCode::PageDown => self.choose(frame, |chosen, rows| chosen + rows),
            KeyCode::Home => self.choose(frame, |_, _| 0),
            KeyCode::End => self.choose(frame, |_, _| usize::MAX),
            _ => Then::Wait,
        }
    }

    /// Asks anew after the question has changed. A paused screen resumes, because it would show the old answer.
    fn changed(&mut self) -> Then {
        self.is_paused = false;
        Then::Ask
    }

    fn narrow(&mut self, change: impl FnOnce(&mut String)) -> Then {
        change(&mut self.filter);
        (self.chosen, self.skip) = (0, 0);
        self.changed()
    }

    fn span(&mut self, window: Duration, next: impl FnOnce(&[u64], u64) -> Option<u64>) -> Then {
        let window = window.as_secs();
        let mut spans: Vec<u64> = SPANS.into_iter().filter(|span| *span < window).collect();
        spans.push(window);
        match next(&spans, self.last.as_secs()) {
            Some(span) => {
                self.last = Duration::from_secs(span);
                self.changed()
            }
            None => Then::Wait,
        }
    }

    fn choose(&mut self, frame: &Frame, to: impl FnOnce(usize, usize) -> usize) -> Then {
        self.chosen = to(self.chosen, self.rows.max(1));
        if self.keep_within(frame.found) { self.changed() } else { Then::Draw }
    }

    /// Keeps the chosen row within what is found and on the screen, and the screen full as far as there are rows. True if other
    /// rows have to be asked for.
    pub(super) fn keep_within(&mut self, found: usize) -> bool {
        let rows = self.rows.max(1);
        self.chosen = self.chosen.min(found.saturating_sub(1));
        let skip = self.skip.min(found.saturating_sub(rows)).clamp((self.chosen + 1).saturating_sub(rows), self.chosen);
        std::mem::replace(&mut self.skip, skip) != skip
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::top::frame::Row;

    const WINDOW: Duration = Duration::from_secs(300);

    fn view() -> (View, Frame) {
        let view = View { last: WINDOW, rows: 3, ..View::default() };
        let rows = ["/a", "/b", "/c"].map(|name| Row { name: name.to_owned(), ..Row::default() });
        (view, Frame { found: 10, rows: rows.to_vec(), ..Frame::default() })
    }

    fn press(view: &mut View, frame: &Frame, code: KeyCode) -> Then {
        view.press(KeyEvent::new(code, KeyModifiers::NONE), frame, WINDOW)
    }

    #[test]
    fn rows_are_chosen_and_scrolled_to() {
        let (mut view, frame) = view();
        let mut at = |code, then| {
            assert_eq!(press(&mut view, &frame, code), then, "{code:?}");
            (view.chosen, view.skip)
        };
        assert_eq!(at(KeyCode::Up, Then::Draw), (0, 0));
        assert_eq!(at(KeyCode::Down, Then::Draw), (1, 0));
        assert_eq!(at(KeyCode::Char('j'), Then::Draw), (2, 0));
        assert_eq!(at(KeyCode::Down, Then::Ask), (3, 1));
        assert_eq!(at(KeyCode::PageDown, Then::Ask), (6, 4));
        assert_eq!(at(KeyCode::End, Then::Ask), (9, 7));
        assert_eq!(at(KeyCode::Down, Then::Draw), (9, 7));
        assert_eq!(at(KeyCode::Char('k'), Then::Draw), (8, 7));
        assert_eq!(at(KeyCode::PageUp, Then::Ask), (5, 5));
        assert_eq!(at(KeyCode::Home, Then::Ask), (0, 0));
        view.chosen = 9;
        view.skip = 7;
        assert!(view.keep_within(5) && !view.keep_within(5));
        assert_eq!((view.chosen, view.skip), (4, 2), "the screen stays full");
        assert!(view.keep_within(2));
        assert_eq!((view.chosen, view.skip), (1, 0));
        view.rows = 9;
        (view.chosen, view.skip) = (9, 7);
        assert!(view.keep_within(10));
        assert_eq!((view.chosen, view.skip), (9, 1), "also when it grows");
    }

    #[test]
    fn a_row_is_opened_and_closed() {
        let (mut view, frame) = view();
        press(&mut view, &frame, KeyCode::Down);
        assert_eq!(press(&mut view, &frame, KeyCode::Enter), Then::Ask);
        assert_eq!(view.open.as_deref(), Some("/b"));
        press(&mut view, &frame, KeyCode::Enter);
        assert_eq!(view.open, None);
        press(&mut view, &frame, KeyCode::Enter);
        press(&mut view, &frame, KeyCode::Esc);
        assert_eq!(view.open, None);
    }

    #[test]
    fn letters_go_to_the_filter_while_it_is_typed() {
        let (mut view, frame) = view();
        for code in [KeyCode::Char('/'), KeyCode::Char('q'), KeyCode::Char('s'), KeyCode::Char('x'), KeyCode::Backspace]
        {
            assert_ne!(press(&mut view, &frame, code), Then::Quit);
        }
        assert_eq!((&*view.filter, view.sort), ("qs", Sort::Hits));
        press(&mut view, &frame, KeyCode::Enter);
        press(&mut view, &frame, KeyCode::Char('s'));
        assert_eq!((&*view.filter, view.sort), ("qs", Sort::Rate));
        press(&mut view, &frame, KeyCode::Esc);
        assert_eq!(view.filter, "");
        press(&mut view, &frame, KeyCode::Char('/'));
        let control_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(view.press(control_c, &frame, WINDOW), Then::Quit, "also while a filter is typed");
    }

    #[test]
    fn spans_end_with_the_window() {
        let (mut view, frame) = view();
        let mut spans = Vec::new();
        while press(&mut view, &frame, KeyCode::Char('-')) == Then::Ask {
            spans.push(view.last.as_secs());
        }
        while press(&mut view, &frame, KeyCode::Char('+')) == Then::Ask {
            spans.push(view.last.as_secs());
        }
        assert_eq!(spans, [60, 30, 10, 30, 60, 300]);
    }

    #[test]
    fn a_pause_ends_with_the_next_question() {
        let (mut view, frame) = view();
        assert_eq!(press(&mut view, &frame, KeyCode::Char(' ')), Then::Draw);
        assert_eq!(press(&mut view, &frame, KeyCode::Down), Then::Draw);
        assert_eq!(press(&mut view, &frame, KeyCode::Char('?')), Then::Draw);
        assert!(view.is_paused && view.helps);
        assert_eq!(press(&mut view, &frame, KeyCode::Char('s')), Then::Ask);
        assert!(!view.is_paused);
    }
}
