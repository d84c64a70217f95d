//! How a command fails: one clear line on stderr and an exit code.

use std::io::{self, Write};

/// Why a command ended without its whole answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Something the user can act on. The text is one line without the program's name.
    Message(String),
    /// The reader of our output went away. Not an error of ours, so nothing is said.
    OutputClosed,
}

impl Failure {
    /// A failed write of the answer to stdout.
    pub(crate) fn of_output(error: &io::Error) -> Failure {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Failure::OutputClosed
        } else {
            Failure::Message(format!("cannot write the answer to stdout: {}", in_words(error)))
        }
    }

    /// Says on stderr what went wrong and returns the exit code.
    pub(crate) fn report(self) -> u8 {
        match self {
            Failure::Message(text) => {
                // A closed stderr leaves nowhere to complain to; the exit code still tells.
                let _ = io::stderr().lock().write_all(format!("hitring: {text}\n").as_bytes());
                1
            }
            Failure::OutputClosed => 141,
        }
    }
}

/// An I/O error in plain words, without Rust's "(os error 2)".
pub(crate) fn in_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => {
            let text = error.to_string();
            match text.find(" (os error") {
                Some(end) => text[..end].to_owned(),
                None => text,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn os_errors_lose_their_numbers() {
        assert_eq!(in_words(&io::Error::from_raw_os_error(2)), "no such file");
        let text = in_words(&io::Error::from_raw_os_error(5));
        assert!(!text.is_empty() && !text.contains("os error"), "{text}");
        assert_eq!(in_words(&io::Error::other("odd thing")), "odd thing");
    }

    #[test]
    fn a_closed_pipe_is_quiet_and_a_full_disk_is_not() {
        assert!(matches!(Failure::of_output(&io::ErrorKind::BrokenPipe.into()), Failure::OutputClosed));
        let Failure::Message(text) = Failure::of_output(&io::ErrorKind::StorageFull.into()) else {
            panic!("a full disk must be told");
        };
        assert!(text.starts_with("cannot write the answer to stdout: "), "{text}");
    }
}
