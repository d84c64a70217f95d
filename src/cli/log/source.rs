//! Inputs: which files are read, and how their bytes are reached.
//!
//! An input is a file's name, or `-` for stdin. gzip is recognised by the first bytes, never by the name ([`Members`]). A
//! byte order mark of UTF-8 in front of an input is cut off its first line. Every input is looked at before the first one
//! is read, so that a misspelt name is reported at once and not after minutes. This look leaves out a file that was named
//! before, by this or by another name. It refuses a file that the program itself writes to, because reading that would
//! never end. A large file that is plain text is opened in parts, if its entries can be read so.
//!
//! Tests: `tests/replay`.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, BufReader, Cursor, Read};
use std::sync::Arc;

use indicatif::ProgressBar;

use super::foreign::{Foreign, LOOKED_AT};
use super::format::Format;
use super::members::{Members, Trailing};
use super::parts::{self, PART, Part};
use crate::cli::escape::shown;
use crate::cli::failure::{Failure, in_words};

/// What is taken from a compressed file at once.
const COMPRESSED_BLOCK: usize = 128 << 10;
/// U+FEFF in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A named input that has not been opened yet.
pub(crate) struct Source {
    path: OsString,
}

/// The bytes of an input, or of a part of one, decompressed.
pub(crate) struct Opened {
    pub(crate) bytes: Box<dyn Read + Send>,
    /// Its first bytes, at most [`LOOKED_AT`].
    pub(crate) head: Vec<u8>,
    /// The format whose signature it begins with, if the program does not read that format.
    pub(crate) foreign: Option<&'static Foreign>,
    pub(crate) compressed: bool,
    /// The format, if it was recognised before.
    pub(crate) format: Option<Format>,
    /// What is in front of a part that is not the first.
    pub(crate) before: Option<Part>,
}

/// How much of a large file is looked at to tell its format, and whether it can be read in parts.
const HEAD: u64 = 64 << 10;

/// The inputs, each once.
pub(crate) struct Sources {
    pub(crate) sources: Vec<Source>,
    /// The bytes that they hold together, `None` when one of them is a pipe.
    pub(crate) total: Option<u64>,
    /// Inputs that are left out, and why.
    pub(crate) left_out: Vec<String>,
}

/// Checks every input.
pub(crate) fn sources(paths: Vec<OsString>) -> Result<Sources, Failure> {
    let named: Vec<Source> = paths.into_iter().map(|path| Source { path }).collect();
    if named.iter().filter(|source| source.is_stdin()).count() > 1 {
        return Err(Failure::Message("stdin (-) can be read only once; name it once".to_owned()));
    }
    let (mut sources, mut total, mut left_out) = (Vec::<Source>::new(), Some(0), Vec::new());
    let mut seen: Vec<(Identity, String)> = Vec::new();
    for source in named {
        let (length, identity) = source.check()?;
        if let Some(identity) = identity {
            if let Some((_, first)) = seen.iter().find(|(other, _)| *other == identity) {
                let name = source.name();
                let what = if name == *first { name } else { format!("{name}, which is the same file as {first},") };
                left_out.push(format!("{what} is named twice; it is read once"));
                continue;
            }
            seen.push((identity, source.name()));
        }
        total = total.zip(length).map(|(total, length)| total + length);
        sources.push(source);
    }
    Ok(Sources { sources, total, left_out })
}

/// What tells a file from all others, whatever its name is.
#[cfg(unix)]
type Identity = (u64, u64);
#[cfg(not(unix))]
type Identity = std::path::PathBuf;

#[cfg(unix)]
fn identity(_: &OsStr, about: &fs::Metadata) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt;
    Some((about.dev(), about.ino()))
}

#[cfg(not(unix))]
fn identity(path: &OsStr, _: &fs::Metadata) -> Option<Identity> {
    fs::canonicalize(path).ok()
}

/// Whether a file is what the program writes its answer or its messages to, and not also its stdin.
#[cfg(unix)]
fn is_our_output(about: &fs::Metadata) -> bool {
    use std::os::fd::{AsFd, BorrowedFd};
    use std::os::unix::fs::MetadataExt;
    let is = |descriptor: BorrowedFd<'_>| {
        let other = descriptor.try_clone_to_owned().ok().and_then(|owned| File::from(owned).metadata().ok());
        other.is_some_and(|other| (other.dev(), other.ino()) == (about.dev(), about.ino()))
    };
    !is(io::stdin().as_fd()) && (is(io::stdout().as_fd()) || is(io::stderr().as_fd()))
}

#[cfg(not(unix))]
fn is_our_output(_: &fs::Metadata) -> bool {
    false
}

impl Source {
    fn is_stdin(&self) -> bool {
        self.path == OsStr::new("-")
    }

    /// The name as messages show it.
    pub(crate) fn name(&self) -> String {
        if self.is_stdin() { "stdin".to_owned() } else { shown(self.path.as_encoded_bytes()) }
    }

    /// The name as a shell takes it, for a command that can be typed.
    pub(crate) fn argument(&self) -> String {
        let name = shown(self.path.as_encoded_bytes());
        let name = if name.starts_with('-') && !self.is_stdin() { format!("./{name}") } else { name };
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._/+-=:@%,".contains(&byte) || !byte.is_ascii();
        if name.bytes().all(is_plain) { name } else { format!("'{}'", name.replace('\'', "'\\''")) }
    }

    /// Whether the input can be read, as far as that is known without reading, how many bytes it holds, and which file it is.
    fn check(&self) -> Result<(Option<u64>, Option<Identity>), Failure> {
        if self.is_stdin() {
            return Ok((None, None));
        }
        let about = fs::metadata(&self.path).map_err(|error| self.failure(&in_words(&error)))?;
        if about.is_dir() {
            let name = self.name();
            return Err(self.failure(&format!("is a folder; name the files in it, for example {name}/*.log")));
        }
        if is_our_output(&about) {
            return Err(self.failure(
                "is what this program writes to; container images link their logs there: \
                 give the container's output instead, as in: docker logs NAME | hitring replay -",
            ));
        }
        if !about.is_file() {
            // Opening a pipe takes its one reader's place, so that is left to `open`.
            return Ok((None, None));
        }
        File::open(&self.path).map_err(|error| self.failure(&in_words(&error)))?;
        Ok((Some(about.len()), identity(&self.path, &about)))
    }

    /// Opens the input; what is read of it moves `bar`. It has parts if it is large, and if `format` tells from its
    /// beginning in which format they can be read.
    pub(crate) fn open(
        &self,
        bar: &ProgressBar,
        format: impl FnOnce(&[u8]) -> Option<Format>,
    ) -> Result<Vec<Opened>, Failure> {
        let failed = |error: io::Error| self.failure(&in_words(&error));
        if self.is_stdin() {
            return Ok(vec![self.open_whole(bar.wrap_read(io::stdin()))?]);
        }
        let file = File::open(&self.path).map_err(failed)?;
        let about = file.metadata().map_err(failed)?;
        if !about.is_file() || about.len() < 2 * PART {
            return Ok(vec![self.open_whole(bar.wrap_read(file))?]);
        }
        let mut head = Vec::new();
        (&file).take(HEAD).read_to_end(&mut head).map_err(failed)?;
        let plain = head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&head);
        let told = Foreign::recognise(&plain[..plain.len().min(LOOKED_AT)]).is_none().then(|| format(plain)).flatten();
        if told.is_none() {
            let whole = Cursor::new(head).chain(file);
            return Ok(vec![self.open_whole(bar.wrap_read(whole))?]);
        }
        let parts = parts::cut(&Arc::new(file), about.len(), PART).map_err(failed)?;
        let open = |(number, part): (usize, Part)| {
            let before = (number > 0).then(|| part.before());
            let opened = match before {
                None => self.open_whole(bar.wrap_read(part))?,
                Some(_) => Opened::new(Vec::new(), bar.wrap_read(part), false),
            };
            Ok(Opened { format: told, before, ..opened })
        };
        parts.into_iter().enumerate().map(open).collect()
    }

    fn open_whole(&self, file: impl Read + Send + 'static) -> Result<Opened, Failure> {
        let (head, bytes) = peek(file).map_err(|error| self.failure(&in_words(&error)))?;
        if !head.starts_with(b"\x1f\x8b") {
            return Ok(Opened::new(head, bytes, false));
        }
        let decompressed = Members::new(BufReader::with_capacity(COMPRESSED_BLOCK, bytes));
        let (head, bytes) = peek(decompressed).map_err(|error| self.read_failure(true, &error))?;
        Ok(Opened::new(head, bytes, true))
    }

    /// What a failed read of this input means to the user.
    pub(crate) fn read_failure(&self, compressed: bool, error: &io::Error) -> Failure {
        let name = self.argument();
        if let Some(Trailing) = error.get_ref().and_then(|error| error.downcast_ref()) {
            return self.failure(&format!(
                "something that is not gzip data follows the gzip data; to count what is before it: \
                 gzip -dc {name} | hitring replay -"
            ));
        }
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

impl Opened {
    fn new(head: Vec<u8>, bytes: impl Read + Send + 'static, compressed: bool) -> Opened {
        let foreign = Foreign::recognise(&head);
        Opened { bytes: Box::new(bytes), head, foreign, compressed, format: None, before: None }
    }
}

/// The first bytes of an input, and the whole input, both without a byte order mark.
fn peek<R: Read>(mut input: R) -> io::Result<(Vec<u8>, impl Read + use<R>)> {
    let mut head = Vec::with_capacity(LOOKED_AT);
    input.by_ref().take(LOOKED_AT as u64).read_to_end(&mut head)?;
    if head.starts_with(BYTE_ORDER_MARK) {
        head.drain(..BYTE_ORDER_MARK.len());
    }
    Ok((head.clone(), Cursor::new(head).chain(input)))
}
