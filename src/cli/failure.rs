//! How a command fails: one clear line on stderr and an exit code.
//!
//! Tests: below, `tests/replay`.

use std::io::{self, Write};
#[cfg(target_os = "linux")]
use std::path::Path;

#[cfg(target_os = "linux")]
use super::escape::shown;
#[cfg(target_os = "linux")]
use crate::error::SharedError;

/// Why a command ended without its whole answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Something the user can act on. The text is one line without the program's name.
    Message(String),
    /// The path does not hold a hitring file that could be checked. The text is one line without the program's name.
    #[cfg(target_os = "linux")]
    NothingToCheck(String),
    /// It is in the log already.
    #[cfg(all(feature = "server", target_os = "linux"))]
    Logged,
    /// The reader of the output has closed it. The program did not fail, so it does not print a message.
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

    /// A shared file that cannot be used.
    #[cfg(target_os = "linux")]
    pub(crate) fn of_shared(error: &SharedError) -> Failure {
        Failure::Message(told(error))
    }

    /// Says on stderr what went wrong and returns the exit code.
    pub(crate) fn report(self) -> u8 {
        let (text, code) = match self {
            Failure::Message(text) => (text, 1),
            #[cfg(target_os = "linux")]
            Failure::NothingToCheck(text) => (text, 2),
            #[cfg(all(feature = "server", target_os = "linux"))]
            Failure::Logged => return 1,
            Failure::OutputClosed => return 141,
        };
        // A closed stderr leaves nowhere to complain to; the exit code still tells.
        let _ = io::stderr().lock().write_all(format!("hitring: {text}\n").as_bytes());
        code
    }
}

/// What a shared file's error says, in one line that is safe to show.
#[cfg(target_os = "linux")]
pub(crate) fn told(error: &SharedError) -> String {
    let as_shown = |path: &Path| shown(path.as_os_str().as_encoded_bytes());
    if let SharedError::Io { path, doing, error } = error {
        let cure = match error.kind() {
            io::ErrorKind::NotFound => "; give the path of a registry's file",
            io::ErrorKind::AlreadyExists => "; it is not overwritten, give another name",
            _ => "",
        };
        return format!("{}: {doing}: {}{cure}", as_shown(path), shown(in_words(error).as_bytes()));
    }
    if let SharedError::Settings { path, what } = error {
        return format!(
            "{} was made with other settings ({what}); leave the option out, or make a new file of it with 'hitring compact' \
             and put that in its place",
            as_shown(path)
        );
    }
    let option = if matches!(error, SharedError::Full { .. }) { " (--max-endpoints)" } else { "" };
    let text = error.to_string() + option;
    // The path leads, and as text it is not all of its bytes.
    let rest = path_of(error).and_then(|path| Some((path, text.strip_prefix(&path.display().to_string())?)));
    match rest {
        Some((path, rest)) => as_shown(path) + &shown(rest.as_bytes()),
        None => shown(text.as_bytes()),
    }
}

#[cfg(target_os = "linux")]
fn path_of(error: &SharedError) -> Option<&Path> {
    match error {
        SharedError::Io { path, .. }
        | SharedError::Foreign { path }
        | SharedError::Truncated { path, .. }
        | SharedError::Version { path, .. }
        | SharedError::Damaged { path, .. }
        | SharedError::Settings { path, .. }
        | SharedError::NoSpace { path, .. }
        | SharedError::TooLarge { path }
        | SharedError::Network { path, .. }
        | SharedError::InUse { path }
        | SharedError::Owner { path, .. }
        | SharedError::ReadOnly { path }
        | SharedError::Full { path, .. } => Some(path),
        SharedError::Config(_) | SharedError::Snapshot(_) | SharedError::Limit(_) => None,
    }
}

/// An I/O error in plain words, without Rust's "(os error 2)".
pub(crate) fn in_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file".to_owned(),
        io::ErrorKind::AlreadyExists => "there is such a file".to_owned(),
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
