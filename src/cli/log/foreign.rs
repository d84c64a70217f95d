//! Recognises an input that is not an access log by its first bytes, so that the message can name
//! the cure.
//!
//! A signature alone does not refuse an input, because a host may be called `BZh.example`. It counts
//! once the first line does not parse. The signature of a tar archive counts at once, because its
//! header and the first line of the log in it can make a line that parses, with a made-up client.
//!
//! Tests: below, `tests/replay`.

use std::sync::LazyLock;

use memchr::memchr;
use regex::bytes::Regex;

/// A format that is recognised by its signature.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Foreign {
    /// As in "is ...".
    pub(crate) what: &'static str,
    /// Where the signature lies.
    at: usize,
    signature: &'static [u8],
    /// The command that writes the log in it to stdout, without the file; empty if a log cannot be taken from it.
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
    foreign("compressed with bzip2", b"BZh", "bzip2 -dc"),
    foreign("compressed with xz", b"\xfd7zXZ\0", "xz -dc"),
    foreign("compressed with zstd", b"\x28\xb5\x2f\xfd", "zstd -dc"),
    foreign("compressed with lz4", b"\x04\x22\x4d\x18", "lz4 -dc"),
    foreign("compressed with compress", b"\x1f\x9d", "uncompress -c"),
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
            unpack if name == "-" => format!("unpack it first, as in: {unpack} FILE | hitring replay -"),
            unpack => format!("unpack it first: {unpack} {name} | hitring replay -"),
        }
    }
}

/// What text that holds no hit looks like, from its first bytes, and what to do about it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Likeness {
    /// As in "it looks like ...".
    pub(crate) what: &'static str,
    /// Empty if only the reason why the first line was refused can be given.
    pub(crate) cure: &'static str,
}

const NAMES: &str = "name its time and its path with --field time=NAME --field path=NAME";
const ACCESS_LOG: &str = "give the access log of the server (clf) instead";

/// Patterns of the beginning of text that is not read, the most certain first.
static LIKENESSES: LazyLock<Vec<(Regex, Likeness)>> = LazyLock::new(|| {
    let date = r"[0-9]{4}/[0-9]{2}/[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}";
    let likenesses = [
        (format!(r"{date} \[[a-z]+\]"), "an error log of nginx", ACCESS_LOG),
        (
            r"\[[A-Z][a-z]{2} [A-Z][a-z]{2} +[0-9]{1,2} [0-9:.]+ [0-9]{4}\]".to_owned(),
            "an error log of Apache",
            ACCESS_LOG,
        ),
        (
            r"[0-9]+\.[0-9]{3} +[0-9]+ [^ ]+ [A-Z_]+/[0-9]{3} ".to_owned(),
            "Squid's own format",
            "have Squid write the common format (clf): logformat",
        ),
        (
            r"[^ ]+:[0-9]+ \[[^\]]+\] [^ ]+ [^ ]+/[^ ]+ [0-9/+-]+ [0-9]+ [A-Za-z-]{2} ".to_owned(),
            "HAProxy's log of TCP",
            "its HTTP log (haproxy) is read: option httplog",
        ),
        (r"\[\s*(?:\{|\z)".to_owned(), "a JSON array", "make lines of it: jq -c '.[]' FILE | hitring replay -"),
        (
            r"\{\s*\n".to_owned(),
            "JSON with objects of several lines",
            "make lines of it: jq -c . FILE | hitring replay -",
        ),
        (r"\{".to_owned(), "JSON lines", ""),
        ("<".to_owned(), "HTML or XML", ""),
        ("#(?:Software|Version|Fields)".to_owned(), "W3C extended log format", ""),
        (r"[^ \r\n]*[,;\t|][^ \r\n]*(?:[\r\n]|\z)".to_owned(), "a table", NAMES),
        (r"[^ =]+=".to_owned(), "logfmt", NAMES),
    ];
    let pattern = |text: &str| Regex::new(&format!(r"(?s-u)\A\s*(?:{text})")).expect("the pattern is constant");
    likenesses.into_iter().map(|(text, what, cure)| (pattern(&text), Likeness { what, cure })).collect()
});

/// What text looks like that holds no hit, from its first bytes.
pub(crate) fn looks_like(head: &[u8]) -> Option<&'static Likeness> {
    static BINARY: Likeness = Likeness { what: "binary data", cure: "" };
    if memchr(0, head).is_some() {
        return Some(&BINARY);
    }
    LIKENESSES.iter().find(|(pattern, _)| pattern.is_match(head)).map(|(_, likeness)| likeness)
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
        for (head, what) in [
            (&b"{\"a\":1}\n"[..], Some("JSON lines")),
            (b"{\n  \"a\": 1", Some("JSON with objects of several lines")),
            (b"[\n{\"a\":1},", Some("a JSON array")),
            (b"[", Some("a JSON array")),
            (b" \n[Sat Oct 10 12:00:00.123 2000] [error] x", Some("an error log of Apache")),
            (b"2024/02/03 22:40:00 [error] 7#7: *1 open() failed", Some("an error log of nginx")),
            (
                b"1707000000.123    150 192.0.2.1 TCP_MISS/200 512 GET http://h/ - DIRECT/192.0.2.9 -",
                Some("Squid's own format"),
            ),
            (b"192.0.2.1:5 [03/Feb/2024:22:40:00.1] f b/s 0/0/5007 212 -- 0/0/0/0/3 0/0", Some("HAProxy's log of TCP")),
            (b"<!doctype html>", Some("HTML or XML")),
            (b"#Fields: date time", Some("W3C extended log format")),
            (b"{\0", Some("binary data")),
            (b"a,b,c\nd e", Some("a table")),
            (b"a\tb", Some("a table")),
            (b"a=b c=\"d\"", Some("logfmt")),
            (b"a, b, c\n", None),
            (b"a b", None),
            (b"", None),
        ] {
            assert_eq!(looks_like(head).map(|likeness| likeness.what), what, "{}", String::from_utf8_lossy(head));
        }
    }
}
