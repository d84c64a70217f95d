//! Parts of a large file, which threads read side by side.
//!
//! A part begins behind a line feed, because a line begins there whatever the line ends of the file are, and ends where the
//! next part begins. So the lines of all parts are the lines of the file. The last part is open-ended, so that bytes that are
//! written to the file while it is read belong to that part.
//!
//! All parts read the one file that was opened, so that they fit together when another file gets its name meanwhile.
//!
//! Tests: below, `tests/replay`.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

use memchr::memchr;

/// The length of a part, in bytes. Large enough that opening one costs nothing beside reading it.
pub(crate) const PART: u64 = 16 << 20;
/// How far behind the length a part may end. Where no line ends so soon, the file is not cut.
const SEARCHED: usize = 64 << 10;

/// Some of the bytes of a file.
pub(crate) struct Part {
    file: Arc<File>,
    start: u64,
    at: u64,
    end: u64,
}

impl Part {
    /// What is in front of it.
    pub(crate) fn before(&self) -> Part {
        Part { file: Arc::clone(&self.file), start: 0, at: 0, end: self.start }
    }
}

impl Read for Part {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        let most = buffer.len().min(left);
        let length = read_at(&self.file, &mut buffer[..most], self.at)?;
        self.at += length as u64;
        Ok(length)
    }
}

/// Cuts a file of `length` bytes into parts of about `part` bytes.
pub(crate) fn cut(file: &Arc<File>, length: u64, part: u64) -> io::Result<Vec<Part>> {
    let (mut parts, mut start) = (Vec::new(), 0);
    let mut push = |start, end| parts.push(Part { file: Arc::clone(file), start, at: start, end });
    let mut block = vec![0; SEARCHED];
    while length - start > part {
        let near = start + part;
        let searched = Part { file: Arc::clone(file), start: near, at: near, end: length };
        let read = read_full(searched, &mut block)?;
        let Some(line_feed) = memchr(b'\n', &block[..read]) else { break };
        let end = near + line_feed as u64 + 1;
        push(start, end);
        start = end;
    }
    push(start, u64::MAX);
    Ok(parts)
}

/// Reads until `block` is full or the input ends.
fn read_full(input: impl Read, block: &mut Vec<u8>) -> io::Result<usize> {
    let length = block.len() as u64;
    block.clear();
    let read = input.take(length).read_to_end(block)?;
    block.resize(length as usize, 0);
    Ok(read)
}

#[cfg(unix)]
fn read_at(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, at)
}

#[cfg(windows)]
fn read_at(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, at)
}

#[cfg(not(any(unix, windows)))]
fn read_at(_: &File, _: &mut [u8], _: u64) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(all(test, unix))]
mod tests {
    use std::io::Write;

    use super::*;

    fn file(text: &[u8]) -> Arc<File> {
        let thread = std::thread::current().id();
        let path = std::env::temp_dir().join(format!("hitring-parts-{}-{thread:?}", std::process::id()));
        let open = File::options().read(true).write(true).create_new(true).open(&path);
        let mut file = open.expect("a folder for temporary files");
        std::fs::remove_file(path).expect("it was made");
        file.write_all(text).expect("room");
        Arc::new(file)
    }

    fn texts(text: &str, part: u64) -> Vec<String> {
        let parts = cut(&file(text.as_bytes()), text.len() as u64, part).expect("a file");
        let read = |mut part: Part| {
            let mut text = String::new();
            part.read_to_string(&mut text).expect("text");
            text
        };
        parts.into_iter().map(read).collect()
    }

    #[test]
    fn parts_end_behind_line_feeds() {
        assert_eq!(texts("", 4), [""]);
        assert_eq!(texts("one\ntwo\n", 8), ["one\ntwo\n"]);
        assert_eq!(texts("one\ntwo\n", 3), ["one\n", "two\n", ""]);
        assert_eq!(texts("one\r\ntwo\r\r\nthree\rfour\n", 2), ["one\r\n", "two\r\r\n", "three\rfour\n", ""]);
        assert_eq!(texts("no line feed", 4), ["no line feed"]);
        assert_eq!(texts("one\nno line feed", 2), ["one\n", "no line feed"]);
        let long = "x".repeat(SEARCHED + 4);
        let text = format!("one\n{long}\ntwo\n");
        assert!(texts(&text, 2) == ["one\n", &text[4..]], "the file is not cut behind a line that is so long");
        for part in 1..20 {
            let text = "a\n\nbcd\r\nefghij\n\n\nk";
            assert_eq!(texts(text, part).concat(), text, "{part}");
        }
    }

    #[test]
    fn the_last_part_has_what_comes_later_and_each_knows_what_is_before() {
        let file = file(b"one\ntwo\n");
        let parts = cut(&file, 8, 2).expect("a file");
        (&*file).write_all(b"three\n").expect("room");
        let text = |mut part: Part| io::read_to_string(&mut part).expect("text");
        assert_eq!(parts.iter().map(Part::before).map(text).collect::<Vec<_>>(), ["", "one\n", "one\ntwo\n"]);
        assert_eq!(parts.into_iter().map(text).collect::<Vec<_>>(), ["one\n", "two\n", "three\n"]);
    }
}
