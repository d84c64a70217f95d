//! A log that a server still writes to, as bytes that do not end.
//!
//! | at the end of the file, the path | then |
//! |---|---|
//! | has the same file, and it is at least as long as what was read | more bytes are awaited |
//! | has the same file, but it is shorter: it was truncated | reading begins at its start |
//! | has another file: the log was rotated | the first file is read until it rests, then the new one from its start |
//! | is missing, or has a folder or a pipe | more bytes of the first file are awaited, until the path has another file |
//!
//! A server may write to the first file a little longer than the new one exists, because its processes open the new one one
//! after the other. So the first file has to rest for one pause after the new one was seen.
//!
//! A file that is truncated and, within one pause, grows beyond what was read looks like one that has only grown. No reader
//! of a path can tell these apart.
//!
//! A last line without a line feed gets one when the next file begins, so that no line is made of two files.
//!
//! Tests: below, `tests/top`.

use std::fs::{self, File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use crate::sync::{AtomicUsize, Mutex, Ordering};

/// How long the end of a file is left alone before it is looked at again.
pub(super) const PAUSE: Duration = Duration::from_millis(100);

/// The state that the thread that reads a log shares with the thread that shows it.
pub(super) struct Progress {
    /// Not 0 once reading is to end.
    ended: AtomicUsize,
    /// Something that a user should know.
    note: Mutex<Option<String>>,
}

impl Progress {
    pub(super) fn new() -> Arc<Progress> {
        Arc::new(Progress { ended: AtomicUsize::new(0), note: Mutex::new(None) })
    }

    pub(super) fn end(&self) {
        self.ended.store(1, Ordering::Relaxed);
    }

    fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed) != 0
    }

    pub(super) fn tell(&self, note: Option<String>) {
        *self.note.lock() = note;
    }

    pub(super) fn note(&self) -> Option<String> {
        self.note.lock().clone()
    }
}

/// The bytes of a log.
pub(super) struct Follow {
    path: PathBuf,
    file: File,
    /// How much of the file was read.
    at: u64,
    ends_with_line_feed: bool,
    /// The file that has the path now, once it is another.
    next: Option<File>,
    /// Whether bytes are awaited at the end.
    waits: bool,
    progress: Arc<Progress>,
}

impl Follow {
    /// The bytes of the file `file` of `path` from `start` on. Without `waits` they end where the file ends.
    pub(super) fn new(
        path: PathBuf,
        mut file: File,
        start: u64,
        waits: bool,
        progress: Arc<Progress>,
    ) -> io::Result<Follow> {
        file.seek(SeekFrom::Start(start))?;
        Ok(Follow { path, file, at: start, ends_with_line_feed: true, next: None, waits, progress })
    }

    /// Looks for a change of the path while the file rested. True if reading continues in another file or at the start.
    fn has_moved(&mut self) -> io::Result<bool> {
        if let Some(next) = self.next.take() {
            (self.file, self.at) = (next, 0);
            self.progress.tell(None);
            return Ok(true);
        }
        let own = self.file.metadata()?;
        match fs::metadata(&self.path) {
            Ok(about) if !about.is_file() => {
                self.progress.tell(Some("what has the path now is not a file; waiting for one".to_owned()));
            }
            Ok(about) if !is_same(&own, &about) => {
                // Opening it may fail because it is gone again, or because its owner is not yet set.
                match File::open(&self.path) {
                    Ok(next) => self.next = Some(next),
                    Err(error) => self.progress.tell(Some(format!("the new file cannot be opened: {error}"))),
                }
            }
            Ok(_) if own.len() < self.at => {
                self.file.seek(SeekFrom::Start(0))?;
                self.at = 0;
                return Ok(true);
            }
            Ok(_) => self.progress.tell(None),
            Err(_) => self.progress.tell(Some("the file is gone; waiting for another".to_owned())),
        }
        Ok(false)
    }
}

impl Read for Follow {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.progress.is_ended() || buffer.is_empty() {
                return Ok(0);
            }
            let length = self.file.read(buffer)?;
            if length > 0 {
                self.at += length as u64;
                self.ends_with_line_feed = buffer[length - 1] == b'\n';
                return Ok(length);
            }
            if !self.waits {
                return Ok(0);
            }
            if self.has_moved()? {
                if !self.ends_with_line_feed {
                    self.ends_with_line_feed = true;
                    buffer[0] = b'\n';
                    return Ok(1);
                }
            } else {
                sleep(PAUSE);
            }
        }
    }
}

#[cfg(unix)]
fn is_same(one: &Metadata, other: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// On systems without file numbers, a rotated log is recognised by its other time of creation.
#[cfg(not(unix))]
fn is_same(one: &Metadata, other: &Metadata) -> bool {
    one.created().ok() == other.created().ok()
}

#[cfg(all(test, unix))]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::cli::log::lines::{Line, Lines};

    /// A log, and the lines that a thread reads from it.
    struct Log {
        folder: PathBuf,
        progress: Arc<Progress>,
        lines: Arc<Mutex<Vec<String>>>,
    }

    impl Log {
        fn new(name: &str, text: &str) -> Log {
            let folder = std::env::temp_dir().join(format!("hitring-follow-{name}-{}", std::process::id()));
            fs::create_dir_all(&folder).expect("a temporary folder");
            let log = Log { folder, progress: Progress::new(), lines: Arc::new(Mutex::new(Vec::new())) };
            log.append(text);
            let file = File::open(log.path()).expect("it was written");
            let follow = Follow::new(log.path(), file, 0, true, Arc::clone(&log.progress)).expect("a file");
            let lines = Arc::clone(&log.lines);
            std::thread::spawn(move || {
                let mut read = Lines::new(follow);
                while let Ok(Some(Line::Whole(line))) = read.next() {
                    lines.lock().push(String::from_utf8_lossy(line).into_owned());
                }
            });
            log
        }

        fn path(&self) -> PathBuf {
            self.folder.join("access.log")
        }

        fn append(&self, text: &str) {
            let mut file = File::options().append(true).create(true).open(self.path()).expect("a file");
            file.write_all(text.as_bytes()).expect("room");
        }

        /// Waits until the lines were read, and no others.
        fn expect(&self, lines: &[&str]) {
            for _ in 0..100 {
                if *self.lines.lock() == lines {
                    return;
                }
                sleep(PAUSE / 2);
            }
            assert_eq!(*self.lines.lock(), lines);
        }
    }

    impl Drop for Log {
        fn drop(&mut self) {
            self.progress.end();
            let _ = fs::remove_dir_all(&self.folder);
        }
    }

    #[test]
    fn a_file_that_grows() {
        let log = Log::new("grows", "one\ntw");
        log.expect(&["one"]);
        log.append("o\nthree\n");
        log.expect(&["one", "two", "three"]);
    }

    #[test]
    fn a_file_that_is_rotated() {
        let log = Log::new("rotated", "one\n");
        log.expect(&["one"]);
        let mut old = File::options().append(true).open(log.path()).expect("a file");
        fs::rename(log.path(), log.folder.join("access.log.1")).expect("a rename");
        old.write_all(b"two\n").expect("room");
        log.expect(&["one", "two"]);
        sleep(PAUSE * 2);
        assert_eq!(log.progress.note().as_deref(), Some("the file is gone; waiting for another"));
        log.append("four\n");
        old.write_all(b"three, and no line feed").expect("room");
        log.expect(&["one", "two", "three, and no line feed", "four"]);
        assert_eq!(log.progress.note(), None);
    }

    #[test]
    fn a_file_that_is_truncated() {
        let log = Log::new("truncated", "one\ntwo\nno line feed");
        log.expect(&["one", "two"]);
        File::create(log.path()).expect("truncated");
        log.expect(&["one", "two", "no line feed"]);
        log.append("four\n");
        log.expect(&["one", "two", "no line feed", "four"]);
    }
}
