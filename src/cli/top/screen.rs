//! The screen: a frame drawn once a second and after each key.
//!
//! The terminal is switched to its other screen and to raw keys, and back however this ends: by a key, an error, a panic (a
//! hook of ratatui's), SIGTERM, SIGHUP, SIGINT or SIGQUIT. Ctrl-C is a key here.
//!
//! A reader of logs records while the screen is paused, so nothing waits in memory.
//!
//! Tests: below, `tests/top`, `tests/python/integration/test_top.py`.

use std::io;
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{Event, KeyEventKind, poll, read};
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line as Drawn, Span};
use ratatui::widgets::Paragraph;

use super::frame::{Frame, frame};
use super::keys::{HELP, Then, View};
use super::page::{Line, Look, head, history_columns, opened, rows};
use super::source::Source;
use crate::cli::failure::{Failure, in_words};
use crate::time::clock::SystemClock;

/// How often the source is asked.
const PERIOD: Duration = Duration::from_secs(1);

/// Shows `source` until the user quits.
pub(super) fn run(source: &mut dyn Source, view: View) -> Result<(), Failure> {
    end_at_a_signal().map_err(|error| failed(&error))?;
    let terminal = ratatui::try_init().map_err(|error| failed(&error))?;
    let ended = show(terminal, source, view);
    ratatui::restore();
    ended
}

fn failed(error: &io::Error) -> Failure {
    Failure::Message(format!("the terminal cannot be used: {}; print plain text with --once", in_words(error)))
}

fn show(mut terminal: DefaultTerminal, source: &mut dyn Source, mut view: View) -> Result<(), Failure> {
    let mut shown = ask(&terminal, source, &mut view)?;
    let mut asked = SystemClock.now();
    loop {
        terminal.draw(|canvas| draw(canvas, &shown, &view)).map_err(|error| failed(&error))?;
        let mut then = Then::Wait;
        while then == Then::Wait {
            // A clock that was set back does not stop the screen.
            let age = SystemClock.now().as_duration().checked_sub(asked.as_duration()).unwrap_or(PERIOD);
            let left = PERIOD.saturating_sub(age);
            if left.is_zero() && !view.is_paused {
                then = Then::Ask;
            } else if poll(if view.is_paused { PERIOD } else { left }).map_err(|error| failed(&error))? {
                // All keys that wait, so that a slow source is asked once for all of them.
                loop {
                    let event = read().map_err(|error| failed(&error))?;
                    then = then.max(press(&mut view, &event, &shown, source.window()));
                    if then == Then::Quit || !poll(Duration::ZERO).map_err(|error| failed(&error))? {
                        break;
                    }
                }
            }
        }
        match then {
            Then::Quit => return Ok(()),
            // What a paused screen shows is cut anew for another size, but not asked for.
            Then::Ask if !view.is_paused => {
                shown = ask(&terminal, source, &mut view)?;
                asked = SystemClock.now();
            }
            _ => {}
        }
    }
}

fn press(view: &mut View, event: &Event, shown: &Frame, window: Duration) -> Then {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => view.press(*key, shown, window),
        Event::Resize(..) => Then::Ask,
        _ => Then::Wait,
    }
}

/// Asks for as many rows as there is room for.
fn ask(terminal: &DefaultTerminal, source: &mut dyn Source, view: &mut View) -> Result<Frame, Failure> {
    let size = terminal.size().map_err(|error| failed(&error))?;
    let (width, height) = (usize::from(size.width), usize::from(size.height));
    // The number of lines above the rows is known only from a frame, so there may be some too many.
    view.rows = height;
    let mut asked = frame(source, &view.question(history_columns(width), width))?;
    view.rows = room(&asked, width, height);
    if view.keep_within(asked.found) {
        asked = frame(source, &view.question(history_columns(width), width))?;
    }
    asked.rows.truncate(view.rows);
    Ok(asked)
}

/// The lines that rows have: those below the head, the names of the columns, and above the last line.
fn room(frame: &Frame, width: usize, height: usize) -> usize {
    height.saturating_sub(head(frame, width).len() + 3)
}

fn draw(canvas: &mut ratatui::Frame<'_>, frame: &Frame, view: &View) {
    let area = canvas.area();
    let (width, height) = (usize::from(area.width), usize::from(area.height));
    let mut lines = head(frame, width);
    lines.push((String::new(), Look::Plain));
    let left = height.saturating_sub(lines.len() + 1);
    if view.helps {
        lines.extend(HELP.iter().map(|&line| (line.to_owned(), Look::Plain)));
    } else if let Some(row) = &frame.open {
        lines.extend(opened(frame, row, width, left));
    } else {
        let chosen = view.chosen.checked_sub(view.skip);
        lines.extend(rows(frame, view.sort, chosen, width));
    }
    lines.truncate(height.saturating_sub(1));
    let drawn: Vec<Drawn<'_>> = lines.into_iter().map(|line| drawn(line, width)).collect();
    canvas.render_widget(Paragraph::new(drawn), area);
    if height > 0 {
        let last = Rect { y: area.y + area.height - 1, height: 1, ..area };
        canvas.render_widget(Paragraph::new(foot(frame, view)), last);
    }
}

/// A line as the terminal shows it. The chosen row is marked over its whole width.
fn drawn((text, look): Line, width: usize) -> Drawn<'static> {
    let style = match look {
        Look::Plain => Style::new(),
        Look::Bold => Style::new().add_modifier(Modifier::BOLD),
        Look::Dim => Style::new().add_modifier(Modifier::DIM),
        Look::Alarm => Style::new().fg(Color::Red),
        Look::Chosen => Style::new().add_modifier(Modifier::REVERSED),
    };
    let text = if look == Look::Chosen { format!("{text:<width$}") } else { text };
    Drawn::from(Span::styled(text, style))
}

/// The last line.
fn foot(frame: &Frame, view: &View) -> Drawn<'static> {
    let mut parts = Vec::new();
    if view.is_paused {
        parts.push(Span::styled("paused  ", Style::new().add_modifier(Modifier::BOLD)));
    }
    if view.types || !view.filter.is_empty() {
        let cursor = if view.types { "_" } else { "" };
        let text = format!("/{}{cursor}  {} of {}  ", view.filter, frame.found, frame.names);
        parts.push(Span::styled(text, Style::new().add_modifier(Modifier::BOLD)));
    }
    let dim = Style::new().add_modifier(Modifier::DIM);
    parts.push(Span::styled("q quit  s sort  / filter  + - span  space pause  Enter history  ? help", dim));
    Drawn::from(parts)
}

/// Switches the terminal back when a signal ends the program, and then lets the signal end it.
///
/// A thread waits for the signal, because the one that shows may be busy for ever: crossterm reads a terminal that is gone
/// again and again.
#[cfg(unix)]
fn end_at_a_signal() -> io::Result<()> {
    use ratatui::crossterm::cursor::Show;
    use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGHUP, SIGINT, SIGQUIT, SIGTERM])?;
    std::thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            ratatui::restore();
            // The terminal that shows does that when it is dropped, which a signal keeps it from.
            let _ = ratatui::crossterm::execute!(io::stdout(), Show);
            let _ = signal_hook::low_level::emulate_default_handler(signal);
        }
    });
    Ok(())
}

#[cfg(not(unix))]
fn end_at_a_signal() -> io::Result<()> {
    Ok(())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs::File;
    use std::io::Read;
    use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
    use std::process::Command;

    use super::*;
    use crate::cli::top::source::{About, Counted};

    /// Set in the process that is to panic.
    const CHILD: &str = "HITRING_TEST_PANICS";

    /// A source that panics when it is asked.
    struct Panics;

    impl Source for Panics {
        fn title(&self) -> String {
            String::new()
        }

        fn key(&self) -> &'static str {
            "path"
        }

        fn window(&self) -> Duration {
            PERIOD
        }

        fn resolution(&self) -> Duration {
            PERIOD
        }

        fn refresh(&mut self, _: Duration) -> Result<Counted, Failure> {
            panic!("as the test wants it");
        }

        fn histories(&mut self, _: &[&str], _: Duration, _: usize) -> Vec<Vec<u64>> {
            Vec::new()
        }

        fn history(&mut self, _: Duration, _: usize) -> Vec<u64> {
            Vec::new()
        }

        fn about(&mut self, _: Duration) -> About {
            About::default()
        }
    }

    #[test]
    fn a_panic_leaves_the_terminal_clean() {
        if std::env::var_os(CHILD).is_some() {
            let _ = run(&mut Panics, View::default());
            return;
        }
        let (mut master, mut slave) = (0, 0);
        // SAFETY: the two out-pointers are valid for the call, and the other arguments may be null.
        let opened = unsafe {
            libc::openpty(&mut master, &mut slave, std::ptr::null_mut(), std::ptr::null_mut(), std::ptr::null_mut())
        };
        assert_eq!(opened, 0, "a pseudo-terminal");
        // SAFETY: openpty returned two open descriptors, which have no other owner.
        let (mut screen, slave) = unsafe { (File::from_raw_fd(master), OwnedFd::from_raw_fd(slave)) };
        let modes = |terminal: &OwnedFd| {
            // SAFETY: all zeros are a termios, and the call fills it.
            let mut modes: libc::termios = unsafe { std::mem::zeroed() };
            // SAFETY: the descriptor is open, and `modes` is valid for the call.
            assert_eq!(unsafe { libc::tcgetattr(terminal.as_raw_fd(), &mut modes) }, 0);
            modes.c_lflag & (libc::ICANON | libc::ECHO)
        };
        let before = modes(&slave);
        let mut command = Command::new(std::env::current_exe().expect("this test"));
        command.args(["--exact", "cli::top::screen::tests::a_panic_leaves_the_terminal_clean", "--nocapture"]);
        let end = || slave.try_clone().expect("a descriptor");
        command.env(CHILD, "1").env("TERM", "xterm").stdin(end()).stdout(end()).stderr(end());
        let mut child = command.spawn().expect("the test starts");
        drop(command);
        let status = child.wait().expect("it ends");
        assert!(!status.success(), "the panic fails the test");
        assert_eq!(modes(&slave), before, "keys are no longer raw");
        drop(slave);
        let mut drawn = Vec::new();
        // Linux reports the end of a terminal's other side as an error.
        let _ = screen.read_to_end(&mut drawn);
        let drawn = String::from_utf8_lossy(&drawn);
        let (_, behind) = drawn.split_once("\x1b[?1049h").expect("the other screen was shown");
        assert!(behind.contains("\x1b[?1049l"), "the first screen is back: {drawn:?}");
        assert!(behind.contains("as the test wants it"), "the panic is told: {drawn:?}");
        let (hidden, shown) = (drawn.rfind("\x1b[?25l"), drawn.rfind("\x1b[?25h"));
        assert!(hidden.is_none() || shown > hidden, "the cursor is shown: {drawn:?}");
    }
}
