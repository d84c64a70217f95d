//! What an input may be when it is no access log, told from its first bytes, so that the message
//! can name the cure.
//!
//! A signature alone refuses nothing: a host may be called `BZh.example`. It is believed once the
//! first line does not parse. A tar archive is believed at once, because its header and the first
//! line of the log in it can make a line that parses, with a client nobody has.
//!
//! Tests: below, `tests/replay`.

use memchr::memchr;

/// A format that is recognised by its signature.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Foreign {
    /// As in "is ...".
    pub(crate) what: &'static str,
    /// Where the signature lies.
    at: usize,
    signature: &'static [u8],
    /// The command that writes the log in it to stdout, without the file; empty when there is none.
    unpack: &'static str,
}

/// How many first bytes are needed to recognise every format.
pub(crate) const LOOKED_AT: usize = 512;

const fn foreign(what: &'static str, signature: &'static [u8], unpack: &'static str) -> Foreign {
    Foreign { what, at: 0, signature, unpack }
}

const TAR: Foreign = Foreign { what: "a tar archive", at: 257, signature: b"ustar", unpack: "tar -xOf" };

static FORMATS: [Foreign; 18] = [
    foreign("gzip data inside gzip data", b"\x1f\x8b\x08", "gzip -dc"),
    foreign("compressed by bzip2", b"BZh", "bzip2 -dc"),
    foreign("compressed by xz", b"\xfd7zXZ\0", "xz -dc"),
    foreign("compressed by zstd", b"\x28\xb5\x2f\xfd", "zstd -dc"),
    foreign("compressed by lz4", b"\x04\x22\x4d\x18", "lz4 -dc"),
    foreign("compressed by compress", b"\x1f\x9d", "uncompress -c"),
    foreign("a zip archive", b"PK\x03\x04", "unzip -p"),
    foreign("a 7-Zip archive", b"7z\xbc\xaf\x27\x1c", "7z e -so"),
    TAR,
    // Before UTF-16, whose mark the first of these begins with.
    foreign("UTF-32 text", b"\xff\xfe\0\0", "iconv -f UTF-32 -t UTF-8"),
    foreign("UTF-32 text", b"\0\0\xfe\xff", "iconv -f UTF-32 -t UTF-8"),
    foreign("UTF-16 text", b"\xff\xfe", "iconv -f UTF-16 -t UTF-8"),
    foreign("UTF-16 text", b"\xfe\xff", "iconv -f UTF-16 -t UTF-8"),
    foreign("a PNG image", b"\x89PNG\r\n", ""),
    foreign("a PDF document", b"%PDF-", ""),
    foreign("a program", b"\x7fELF", ""),
    foreign("an SQLite database", b"SQLite format 3\0", ""),
    foreign("a Parquet file", b"PAR1", ""),
];

impl Foreign {
    /// The format that `head`, the first [`LOOKED_AT`] bytes of an input or all of it, has the
    /// signature of.
    pub(crate) fn recognise(head: &[u8]) -> Option<&'static Foreign> {
        let fits = |format: &&Foreign| {
            let there = head.get(format.at..);
            there.is_some_and(|rest| rest.starts_with(format.signature))
        };
        FORMATS.iter().find(fits)
    }

    /// Whether the signature is enough, without a look at the first line.
    pub(crate) fn is_certain(&self) -> bool {
        self == &TAR
    }

    /// What to do about it, for the input that another command calls `name`.
    pub(crate) fn cure(&self, name: &str) -> String {
        match self.unpack {
            "" => "give an access log, of which replay --help names the formats".to_owned(),
            unpack => format!("unpack it first: {unpack} {name} | hitring replay -"),
        }
    }
}

/// What text that holds no access log line looks like, from its first bytes.
pub(crate) fn looks_like(head: &[u8]) -> Option<&'static str> {
    if memchr(0, head).is_some() {
        return Some("binary data");
    }
    let text = head.trim_ascii_start();
    let w3c = ["#Software", "#Version", "#Fields"];
    match text {
        [b'{', ..] => Some("JSON lines"),
        [b'[', ..] => Some("JSON or an error log"),
        [b'<', ..] => Some("HTML or XML"),
        _ if w3c.iter().any(|word| text.starts_with(word.as_bytes())) => Some("W3C extended log format"),
        _ => looks_like_names(text.split(|byte| matches!(byte, b'\n' | b'\r')).next().unwrap_or_default()),
    }
}

/// A line without spaces in which names have separators between them, or a first word that has a value.
fn looks_like_names(line: &[u8]) -> Option<&'static str> {
    let is_table = memchr(b' ', line).is_none() && line.iter().any(|byte| matches!(byte, b',' | b';' | b'\t' | b'|'));
    let first = line.split(|&byte| byte == b' ').next().unwrap_or_default();
    match () {
        () if is_table => Some("a table"),
        () if first.iter().position(|&byte| byte == b'=').is_some_and(|at| at > 0) => Some("logfmt"),
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_signature_is_recognised_at_its_place_only() {
        for format in &FORMATS {
            let mut head = vec![b'a'; format.at];
            head.extend_from_slice(format.signature);
            assert_eq!(Foreign::recognise(&head), Some(format));
            let cut = Foreign::recognise(&head[..head.len() - 1]);
            assert!(cut.is_none_or(|other| other.what == "UTF-16 text"), "{} cut short is {cut:?}", format.what);
            head.insert(0, b'a');
            assert_eq!(Foreign::recognise(&head), None, "{} moved by one byte", format.what);
        }
        assert_eq!(Foreign::recognise(b""), None);
        let line = br#"192.0.2.7 - - [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.1" 200 5"#;
        assert_eq!(Foreign::recognise(line), None);
    }

    #[test]
    fn the_cure_names_the_file() {
        let bzip2 = Foreign::recognise(b"BZh91AY&SY").expect("bzip2");
        assert_eq!(bzip2.cure("a.bz2"), "unpack it first: bzip2 -dc a.bz2 | hitring replay -");
        let png = Foreign::recognise(b"\x89PNG\r\n\x1a\n").expect("png");
        assert_eq!(png.cure("a.png"), "give an access log, of which replay --help names the formats");
        assert!(TAR.is_certain() && !bzip2.is_certain() && !png.is_certain());
    }

    #[test]
    fn likenesses() {
        assert_eq!(looks_like(b"{\"a\":1}\n"), Some("JSON lines"));
        assert_eq!(looks_like(b" \n[Sat Oct 10 2000] [error]"), Some("JSON or an error log"));
        assert_eq!(looks_like(b"<!doctype html>"), Some("HTML or XML"));
        assert_eq!(looks_like(b"#Fields: date time"), Some("W3C extended log format"));
        assert_eq!(looks_like(b"{\0"), Some("binary data"));
        assert_eq!(looks_like(b"a,b,c\nd e"), Some("a table"));
        assert_eq!(looks_like(b"a=b c=\"d\""), Some("logfmt"));
        assert_eq!(looks_like(b"a, b, c\n"), None);
        assert_eq!(looks_like(b""), None);
    }
}
