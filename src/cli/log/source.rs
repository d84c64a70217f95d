//! Inputs: which files are read, and how their bytes are reached.
//!
//! An input is a file's name, or `-` for stdin. gzip is told from the first bytes, never from the name, and may consist
//! of several members (as `cat a.gz b.gz` makes them). Every input is looked at before the first is read, so that a
//! misspelt name is told at once and not after minutes.
//!
//! Tests: `tests/replay`.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, BufReader, Cursor, Read};

use flate2::bufread::MultiGzDecoder;
use indicatif::ProgressBar;

use super::foreign::{Foreign, LOOKED_AT};
use crate::cli::escape::shown;
use crate::cli::failure::{Failure, in_words};

/// What is taken from a compressed file at once.
const COMPRESSED_BLOCK: usize = 128 << 10;

/// A named input that has not been opened yet.
pub(crate) struct Source {
    path: OsString,
}

/// The bytes of an input, decompressed.
pub(crate) struct Opened {
    pub(crate) bytes: Box<dyn Read>,
    /// Its first bytes, at most [`LOOKED_AT`].
    pub(crate) head: Vec<u8>,
    /// The format whose signature it begins with, when that is none we read.
    pub(crate) foreign: Option<&'static Foreign>,
    pub(crate) compressed: bool,
}

/// Checks every input and returns them with the bytes they hold together, `None` when one of them is a pipe.
pub(crate) fn sources(paths: Vec<OsString>) -> Result<(Vec<Source>, Option<u64>), Failure> {
    let sources: Vec<Source> = paths.into_iter().map(|path| Source { path }).collect();
    if sources.iter().filter(|source| source.is_stdin()).count() > 1 {
        return Err(Failure::Message("stdin (-) can be read only once; name it once".to_owned()));
    }
    let mut total = Some(0);
    for source in &sources {
        let length = source.check()?;
        total = total.zip(length).map(|(total, length)| total + length);
    }
    Ok((sources, total))
}

impl Source {
    fn is_stdin(&self) -> bool {
        self.path == OsStr::new("-")
    }

    /// The name as messages show it.
    pub(crate) fn name(&self) -> String {
        if self.is_stdin() { "stdin".to_owned() } else { self.argument() }
    }

    /// The name as another command takes it.
    pub(crate) fn argument(&self) -> String {
        shown(self.path.as_encoded_bytes())
    }

    /// Whether the input can be read, as far as that is known without reading, and how many bytes it holds.
    fn check(&self) -> Result<Option<u64>, Failure> {
        if self.is_stdin() {
            return Ok(None);
        }
        let about = fs::metadata(&self.path).map_err(|error| self.failure(&in_words(&error)))?;
        if about.is_dir() {
            let name = self.name();
            return Err(self.failure(&format!("is a folder; name the files in it, for example {name}/*.log")));
        }
        if !about.is_file() {
            // Opening a pipe takes its one reader's place, so that is left to `open`.
            return Ok(None);
        }
        File::open(&self.path).map_err(|error| self.failure(&in_words(&error)))?;
        Ok(Some(about.len()))
    }

    /// Opens the input; what is read of it moves `bar`.
    pub(crate) fn open(&self, bar: &ProgressBar) -> Result<Opened, Failure> {
        let file: Box<dyn Read> = if self.is_stdin() {
            Box::new(bar.wrap_read(io::stdin()))
        } else {
            Box::new(bar.wrap_read(File::open(&self.path).map_err(|error| self.failure(&in_words(&error)))?))
        };
        let (head, bytes) = peek(file).map_err(|error| self.failure(&in_words(&error)))?;
        if !head.starts_with(b"\x1f\x8b") {
            let foreign = Foreign::recognise(&head);
            return Ok(Opened { bytes: Box::new(bytes), head, foreign, compressed: false });
        }
        let decompressed = MultiGzDecoder::new(BufReader::with_capacity(COMPRESSED_BLOCK, bytes));
        let (head, bytes) = peek(decompressed).map_err(|error| self.read_failure(true, &error))?;
        let foreign = Foreign::recognise(&head);
        Ok(Opened { bytes: Box::new(bytes), head, foreign, compressed: true })
    }

    /// What a failed read of this input means to the user.
    pub(crate) fn read_failure(&self, compressed: bool, error: &io::Error) -> Failure {
        let name = self.argument();
        match error.kind() {
            io::ErrorKind::UnexpectedEof if compressed => self.failure(&format!(
                "the gzip data ends too early: the file is cut short, or still being written; \
                 to count what is there: gzip -dc {name} | hitring replay -"
            )),
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput if compressed => {
                self.failure(&format!("damaged gzip data ({error}); check it with: gzip -t {name}"))
            }
            _ => self.failure(&in_words(error)),
        }
    }

    /// A failure that names this input.
    pub(crate) fn failure(&self, what: &str) -> Failure {
        Failure::Message(format!("{}: {what}", self.name()))
    }
}

/// The first bytes of an input, and the whole input.
fn peek<R: Read>(mut input: R) -> io::Result<(Vec<u8>, impl Read + use<R>)> {
    let mut head = Vec::with_capacity(LOOKED_AT);
    input.by_ref().take(LOOKED_AT as u64).read_to_end(&mut head)?;
    Ok((head.clone(), Cursor::new(head).chain(input)))
}
