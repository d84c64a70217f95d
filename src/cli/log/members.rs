//! gzip data of one or more members, as `cat a.gz b.gz` makes them, with zeros behind it or not.
//!
//! | behind a member | what becomes of it |
//! |---|---|
//! | nothing | the data ends |
//! | the beginning of a gzip header | it is the next member |
//! | zeros | they are skipped, as `gzip` does: tapes and block devices pad with zeros |
//! | anything else | an error ([`Trailing`]) |
//!
//! Tests: below, `tests/replay`.

use std::fmt;
use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;

/// Bytes that are not gzip data follow the gzip data.
#[derive(Debug)]
pub(crate) struct Trailing;

impl fmt::Display for Trailing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("something that is not gzip data follows the gzip data")
    }
}

impl std::error::Error for Trailing {}

/// The decompressed bytes of all members.
pub(crate) struct Members<R> {
    /// `None` after the last one.
    member: Option<GzDecoder<R>>,
}

impl<R: BufRead> Members<R> {
    pub(crate) fn new(compressed: R) -> Members<R> {
        Members { member: Some(GzDecoder::new(compressed)) }
    }
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.member {
            let length = member.read(buffer)?;
            if length > 0 || buffer.is_empty() {
                return Ok(length);
            }
            let mut compressed = self.member.take().expect("it was read from").into_inner();
            match first_behind_zeros(&mut compressed)? {
                None => {}
                Some(0x1f) => self.member = Some(GzDecoder::new(compressed)),
                Some(_) => return Err(io::Error::new(io::ErrorKind::InvalidData, Trailing)),
            }
        }
        Ok(0)
    }
}

/// Skips zeros, and returns the byte behind them.
fn first_behind_zeros(input: &mut impl BufRead) -> io::Result<Option<u8>> {
    loop {
        let block = match input.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        };
        if block.is_empty() {
            return Ok(None);
        }
        let zeros = block.iter().position(|&byte| byte != 0);
        let found = zeros.map(|at| block[at]);
        let skipped = zeros.unwrap_or(block.len());
        input.consume(skipped);
        if found.is_some() {
            return Ok(found);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Write};

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn member(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).expect("memory");
        encoder.finish().expect("memory")
    }

    /// Reads `compressed` in blocks of every small size.
    fn read(compressed: &[u8]) -> io::Result<Vec<u8>> {
        let mut whole = Vec::new();
        Members::new(BufReader::with_capacity(1_000, compressed)).read_to_end(&mut whole)?;
        for capacity in [1, 2, 7] {
            let mut text = Vec::new();
            Members::new(BufReader::with_capacity(capacity, compressed)).read_to_end(&mut text)?;
            assert_eq!(text, whole);
        }
        Ok(whole)
    }

    #[test]
    fn members_and_zeros() {
        let (one, two, none) = (member(b"one"), member(b"two"), member(b""));
        assert_eq!(read(&one).expect("gzip"), b"one");
        assert_eq!(read(&[&one[..], &none, &two].concat()).expect("gzip"), b"onetwo");
        assert_eq!(read(&[&one[..], &[0; 5_000]].concat()).expect("gzip"), b"one");
        assert_eq!(read(&[&one[..], &[0; 5_000], &two, &[0]].concat()).expect("gzip"), b"onetwo");
    }

    #[test]
    fn what_follows_is_named() {
        for rest in [&b"garbage"[..], b"\0\0garbage", b"\n"] {
            let error = read(&[&member(b"one"), rest].concat()).expect_err("no gzip data");
            assert!(error.get_ref().is_some_and(|error| error.is::<Trailing>()), "{error}");
        }
        for cut in [1, 2, 5, 9] {
            let error = read(&[&member(b"one"), &member(b"two")[..cut]].concat()).expect_err("a member that is cut");
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{cut} bytes");
        }
    }
}
