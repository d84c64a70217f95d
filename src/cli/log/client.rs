//! Whom a line of common log format is counted under: servers put more than one address in front of it.
//!
//! | the line begins with | remote | forwarded |
//! |---|---|---|
//! | `192.0.2.9 - -` | 192.0.2.9 | |
//! | `www.example.com:443 192.0.2.9 - -`, a virtual host | 192.0.2.9 | |
//! | `203.0.113.7, 198.51.100.2 - -`, a list with commas | | 203.0.113.7, 198.51.100.2 |
//! | `203.0.113.7, 198.51.100.2 192.0.2.9 - -` | 192.0.2.9 | 203.0.113.7, 198.51.100.2 |
//! | `"203.0.113.7, 198.51.100.2" 192.0.2.9 - -`, also in `( )` and `[ ]` | 192.0.2.9 | 203.0.113.7, 198.51.100.2 |
//! | `192.0.2.9 (203.0.113.7, 198.51.100.2) - -`, also in `" "`, `[ ]` or bare, also behind a virtual host | 192.0.2.9 | 203.0.113.7, 198.51.100.2 |
//! | anything else | the first word | |
//!
//! Remote is who opened the connection. Forwarded is what a header says, whose first entries the client may make up.
//! Without an address in the list (`unknown`, `-`) the remote stands; without that, the list's first entry. The place of
//! the user is never looked at, because a client chooses its user name.
//!
//! Tests: below, `tests/replay`.

use memchr::memchr;

use super::prefix::{first_word, is_address};

/// Which of several addresses is the client.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Client {
    /// The first address that was forwarded, else the remote one
    #[default]
    First,
    /// The last address that was forwarded, which the nearest proxy wrote, else the remote one
    Last,
    /// The address of the connection, else the last that was forwarded
    Remote,
}

/// A list of addresses, separated by commas and spaces.
#[derive(Clone, Copy)]
struct Forwarded<'a>(&'a [u8]);

impl<'a> Forwarded<'a> {
    /// The list that `text` begins with, bare or in brackets, and what follows the spaces behind it.
    fn read(text: &'a [u8]) -> Option<(Forwarded<'a>, &'a [u8])> {
        let close = match text.first()? {
            b'(' => b')',
            b'[' => b']',
            b'"' => b'"',
            _ => {
                let word = first_word(text);
                memchr(b',', word)?;
                return Some(Self::bare(text));
            }
        };
        let length = memchr(close, &text[1..])?;
        let behind = text[length + 2..].strip_prefix(b" ")?;
        let list = Forwarded(&text[1..=length]);
        list.addresses().next().map(|_| (list, behind.trim_ascii_start()))
    }

    /// The list goes on as long as its words end with a comma.
    fn bare(text: &'a [u8]) -> (Forwarded<'a>, &'a [u8]) {
        let mut rest = text;
        loop {
            let word = first_word(rest);
            rest = &rest[word.len()..];
            let spaces = rest.iter().take_while(|&&byte| byte == b' ').count();
            if !word.ends_with(b",") || spaces == 0 || spaces == rest.len() {
                return (Forwarded(&text[..text.len() - rest.len()]), &rest[spaces..]);
            }
            rest = &rest[spaces..];
        }
    }

    fn entries(self) -> impl DoubleEndedIterator<Item = &'a [u8]> {
        self.0.split(|byte| matches!(byte, b',' | b' ')).filter(|entry| !entry.is_empty())
    }

    fn addresses(self) -> impl DoubleEndedIterator<Item = &'a [u8]> {
        self.entries().filter(|entry| is_address(entry))
    }
}

/// The client of `line`, whose first word is `first`, with `rest` behind its spaces.
pub(crate) fn client<'a>(line: &'a [u8], first: &'a [u8], rest: &'a [u8], which: Client) -> &'a [u8] {
    // Nearly every line: one word, and a dash in the place of the ident.
    if rest.starts_with(b"- ") && !matches!(first[0], b'(' | b'[' | b'"') && memchr(b',', first).is_none() {
        return first;
    }
    let (remote, forwarded) = match Forwarded::read(line) {
        Some((list, rest)) => (Some(first_word(rest)).filter(|word| is_address(word)), Some(list)),
        None => {
            let next = first_word(rest);
            let is_next = is_address(next);
            if is_next && is_address(first) {
                (Some(first), Some(Forwarded(next)))
            } else {
                let (remote, rest) = if is_next { (next, &rest[next.len()..]) } else { (first, rest) };
                (Some(remote), Forwarded::read(rest.trim_ascii_start()).map(|(list, _)| list))
            }
        }
    };
    let listed = |last: bool| {
        let list = forwarded?;
        if last { list.addresses().next_back() } else { list.addresses().next() }
    };
    let found = match which {
        Client::First => listed(false).or(remote),
        Client::Last => listed(true).or(remote),
        Client::Remote => remote.or_else(|| listed(true)),
    };
    found.or_else(|| forwarded?.entries().next()).unwrap_or(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_last_and_remote() {
        for (line, clients) in [
            ("192.0.2.9 - 192.0.2.8", ["192.0.2.9"; 3]),
            ("host.example - -", ["host.example"; 3]),
            ("www.example.com 192.0.2.9 - alice", ["192.0.2.9"; 3]),
            ("www.example.com:443 2001:db8::7 - -", ["2001:db8::7"; 3]),
            ("www.example.com host.example - -", ["www.example.com"; 3]),
            ("192.0.2.9 192.0.2.300 -", ["192.0.2.9"; 3]),
            ("unknown 192.0.2.9 - -", ["192.0.2.9"; 3]),
            ("203.0.113.7 192.0.2.9 - -", ["192.0.2.9", "192.0.2.9", "203.0.113.7"]),
            ("203.0.113.7, 198.51.100.2 - -", ["203.0.113.7", "198.51.100.2", "198.51.100.2"]),
            ("203.0.113.7,198.51.100.2 - -", ["203.0.113.7", "198.51.100.2", "198.51.100.2"]),
            ("203.0.113.7,  198.51.100.2, 10.0.0.1 - -", ["203.0.113.7", "10.0.0.1", "10.0.0.1"]),
            ("203.0.113.7, 198.51.100.2 192.0.2.9 - -", ["203.0.113.7", "198.51.100.2", "192.0.2.9"]),
            ("unknown, 203.0.113.7, unknown - -", ["203.0.113.7"; 3]),
            ("unknown,-,203.0.113.7 - -", ["203.0.113.7"; 3]),
            ("unknown, 2001:db8::7 - -", ["2001:db8::7"; 3]),
            ("unknown, hidden 192.0.2.9 - -", ["192.0.2.9"; 3]),
            ("unknown, hidden - -", ["unknown"; 3]),
            (",unknown - -", ["unknown"; 3]),
            (", - -", ["-"; 3]),
            (",,", [",,"; 3]),
            ("a, b - 192.0.2.9", ["a"; 3]),
            ("a, b", ["a"; 3]),
            ("a, ", ["a"; 3]),
            ("192.0.2.9 (203.0.113.7, 198.51.100.2) - -", ["203.0.113.7", "198.51.100.2", "192.0.2.9"]),
            ("192.0.2.9 \"203.0.113.7\" - -", ["203.0.113.7", "203.0.113.7", "192.0.2.9"]),
            ("192.0.2.9 203.0.113.7, 198.51.100.2 - -", ["203.0.113.7", "198.51.100.2", "192.0.2.9"]),
            ("[203.0.113.7, 198.51.100.2] 192.0.2.9 - -", ["203.0.113.7", "198.51.100.2", "192.0.2.9"]),
            ("(203.0.113.7) - -", ["203.0.113.7"; 3]),
            ("www.example.com 192.0.2.9 (203.0.113.7) - -", ["203.0.113.7", "203.0.113.7", "192.0.2.9"]),
            ("192.0.2.9 (unknown) - -", ["192.0.2.9"; 3]),
            ("192.0.2.9 (203.0.113.7 - -", ["192.0.2.9"; 3]),
            ("192.0.2.9 (203.0.113.7)- -", ["192.0.2.9"; 3]),
            ("192.0.2.9 - [203.0.113.7] -", ["192.0.2.9"; 3]),
            ("192.0.2.9 - 203.0.113.7, -", ["192.0.2.9"; 3]),
        ] {
            let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
            for (which, expected) in [Client::First, Client::Last, Client::Remote].into_iter().zip(clients) {
                let found = client(line.as_bytes(), first.as_bytes(), rest.trim_start().as_bytes(), which);
                assert_eq!(str::from_utf8(found), Ok(expected), "{which:?} of {line}");
            }
        }
    }
}
