//! Finds the client that a line of common log format is counted under, because servers put more than one address in front of it.
//!
//! | the line begins with | remote | forwarded |
//! |---|---|---|
//! | `192.0.2.9 - -` | 192.0.2.9 | |
//! | `www.example.com:443 192.0.2.9 - -`, a virtual host | 192.0.2.9 | |
//! | `203.0.113.7, 198.51.100.2 - -`, a list with commas | | 203.0.113.7, 198.51.100.2 |
//! | `203.0.113.7, 198.51.100.2 192.0.2.9 - -` | 192.0.2.9 | 203.0.113.7, 198.51.100.2 |
//! | `"203.0.113.7, 198.51.100.2" 192.0.2.9 - -`, also in `( )` and `[ ]` | 192.0.2.9 | 203.0.113.7, 198.51.100.2 |
//! | `192.0.2.9 (203.0.113.7, 198.51.100.2) - -`, also in `" "`, `[ ]` or bare | 192.0.2.9 | 203.0.113.7, 198.51.100.2 |
//! | `192.0.2.8 192.0.2.9 - -`, and `[2001:db8::8] 192.0.2.9 - -` | 192.0.2.9 | |
//! | anything else | the first word | |
//!
//! A virtual host may precede any of them. Of two addresses side by side the first may also be a virtual host, which is
//! the `Host` header that the client sent, so the second one counts. An address may have a port, which is cut off.
//!
//! The remote address is the peer that opened the connection. The forwarded list is the value of a header, and the client
//! may make up its first entries. If the list lacks an address (`unknown`, `-`), the remote address is the client. If that
//! is missing, too, the list's first entry is the client. The user's place is never read, because a client chooses its
//! user name.
//!
//! Tests: below, `tests/replay`.

use std::net::SocketAddr;

use memchr::{memchr, memchr2};

use super::prefix::{address, first_word, is_address};

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
        let behind = text[length + 2..].strip_prefix(b" ")?.trim_ascii_start();
        let list = Forwarded(&text[1..=length]);
        // In brackets an address of IPv6 alone is how URLs have it: a virtual host.
        let is_host = close == b']' && matches!(address(list.0), Some(address) if address.is_ipv6());
        let is_list = list.addresses().next().is_some() || is_address(without_port(first_word(behind)));
        (is_list && !is_host).then_some((list, behind))
    }

    /// The list continues as long as its words end with a comma.
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
        self.entries().map(without_port).filter(|entry| is_address(entry))
    }
}

/// The client of `line`, whose first word is `first`, with `rest` behind its spaces, and the virtual host in front of it.
pub(crate) fn client<'a>(
    line: &'a [u8],
    first: &'a [u8],
    rest: &'a [u8],
    which: Client,
) -> (&'a [u8], Option<&'a [u8]>) {
    // Nearly every line: one word, and a dash in the place of the ident.
    if rest.starts_with(b"- ") && !matches!(first[0], b'(' | b'[' | b'"') && memchr2(b',', b':', first).is_none() {
        return (first, None);
    }
    let remote = |text| Some(without_port(first_word(text))).filter(|word| is_address(word));
    let forwarded = |text: &'a [u8]| Forwarded::read(text).map(|(list, _)| list);
    let first = without_port(first);
    let (host, remote, forwarded) = match (Forwarded::read(line), remote(rest), Forwarded::read(rest)) {
        (Some((list, rest)), ..) => (None, remote(rest), Some(list)),
        (None, Some(next), _) => {
            (Some(first), Some(next), forwarded(rest[first_word(rest).len()..].trim_ascii_start()))
        }
        (None, None, Some((list, _))) if is_address(first) => (None, Some(first), Some(list)),
        (None, None, Some((list, rest))) => (Some(first), remote(rest), Some(list)),
        (None, None, None) => (None, Some(first), None),
    };
    (chosen(which, remote, forwarded).unwrap_or(first), host)
}

/// The client, of the address of the connection and a list that was forwarded.
pub(crate) fn choose<'a>(which: Client, remote: Option<&'a [u8]>, forwarded: Option<&'a [u8]>) -> Option<&'a [u8]> {
    chosen(which, remote, forwarded.map(Forwarded))
}

fn chosen<'a>(which: Client, remote: Option<&'a [u8]>, forwarded: Option<Forwarded<'a>>) -> Option<&'a [u8]> {
    let first = || forwarded?.addresses().next();
    let last = || forwarded?.addresses().next_back();
    let found = match which {
        Client::First => first().or(remote),
        Client::Last => last().or(remote),
        Client::Remote => remote.or_else(last),
    };
    found.or_else(|| forwarded?.entries().next())
}

/// The address in front of the last colon, where a port always follows: also one of IPv6 without brackets.
pub(crate) fn with_port(client: &[u8]) -> Option<&[u8]> {
    let colon = client.iter().rposition(|&byte| byte == b':')?;
    let (address, port) = (&client[..colon], &client[colon + 1..]);
    let bare = address.strip_prefix(b"[").and_then(|address| address.strip_suffix(b"]")).unwrap_or(address);
    let is_port = !port.is_empty() && port.iter().all(u8::is_ascii_digit);
    (is_port && is_address(bare)).then_some(bare)
}

/// An address without the port behind it; anything else as it is.
pub(crate) fn without_port(client: &[u8]) -> &[u8] {
    if is_address(client) {
        return client;
    }
    if let [b'[', address @ ..] = client
        && let Some(end) = memchr(b']', address)
    {
        return if is_address(&address[..end]) { &address[..end] } else { client };
    }
    let is_socket = str::from_utf8(client).is_ok_and(|text| text.parse::<SocketAddr>().is_ok());
    match client.iter().rposition(|&byte| byte == b':') {
        Some(colon) if is_socket => &client[..colon],
        _ => client,
    }
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
            ("203.0.113.7 192.0.2.9 - -", ["192.0.2.9"; 3]),
            ("[2001:db8::80] 192.0.2.9 - -", ["192.0.2.9"; 3]),
            ("[2001:db8::80]:443 192.0.2.9 - -", ["192.0.2.9"; 3]),
            ("192.0.2.9:4321 - -", ["192.0.2.9"; 3]),
            ("[2001:db8::1]:443 - -", ["2001:db8::1"; 3]),
            ("2001:db8::1 - -", ["2001:db8::1"; 3]),
            ("203.0.113.7:4321, [2001:db8::1]:80 - -", ["203.0.113.7", "2001:db8::1", "2001:db8::1"]),
            ("\"unknown, hidden\" 192.0.2.9 - -", ["192.0.2.9"; 3]),
            ("www.example.com:443 203.0.113.7, 198.51.100.2 - -", ["203.0.113.7", "198.51.100.2", "198.51.100.2"]),
            ("www.example.com:443 \"203.0.113.7\" 192.0.2.9 - -", ["203.0.113.7", "203.0.113.7", "192.0.2.9"]),
            ("www.example.com:443 \"-\" 192.0.2.9 - -", ["192.0.2.9"; 3]),
            ("a.example 203.0.113.7, 198.51.100.2 192.0.2.9 - -", ["203.0.113.7", "198.51.100.2", "192.0.2.9"]),
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
                assert_eq!(str::from_utf8(found.0), Ok(expected), "{which:?} of {line}");
            }
        }
    }
}
