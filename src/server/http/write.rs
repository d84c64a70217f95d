//! Writes: how sure they have to be, and keys that let them be sent again.
//!
//! | header | | answered by |
//! |---|---|---|
//! | `Prefer: durability=process` (RFC 7240) | in the ring before it is answered: survives `kill -9` | `Preference-Applied` |
//! | `Prefer: durability=disk` | on the disk before it is answered: survives a power failure | the same |
//! | `Idempotency-Key: KEY` | done once, however often it is sent; another request under the key is refused | `Idempotency-Replayed: true`, if it was done before |
//!
//! A hit without a key that has to survive a kill alone goes straight into the ring. Every other write is an order to the store. Resources,
//! and what sets or removes a counter, are always on the disk. Other preferences are ignored, as RFC 7240 has it.
//!
//! Tests: below, `tests/python/integration/test_serve_ledger.py`.

use axum::http::HeaderMap;
use axum::http::header::HeaderName;

use super::ask::Ask;
use super::later::{Answered, later};
use super::problem::Problem;
use super::reply::Reply;
use crate::server::durability::Durability;
use crate::service::Hit;
use crate::service::name::Name;
use crate::store::{Act, Effect, Key, Order};

/// The most characters of a key.
const MOST_OF_KEY: usize = 255;

/// What the headers of a write ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wants {
    /// The key, if it has one.
    pub key: Option<Key>,
    /// What it has to survive.
    pub durability: Durability,
    /// What it asks for itself, if it does.
    pub asked: Option<Durability>,
}

impl Ask<'_> {
    /// What the headers ask for.
    pub fn wants(self) -> Result<Wants, Problem> {
        let asked = preferred(self.headers);
        let key = key(self.headers)?.map(|key| {
            let request = [self.method.as_str().as_bytes(), self.target.as_bytes(), self.body].join(&0);
            Key { key, request }
        });
        Ok(Wants { key, durability: asked.unwrap_or(self.context.durability), asked })
    }
}

/// Counts `hit` of `name`. If `name` does not exist and `creates` is true, `name` is made first. `reply` makes the answer from all
/// hits of the name; `kept` does the same in another thread.
pub fn hit<K: FnOnce(u64) -> Reply + Send + 'static>(
    ask: Ask<'_>,
    name: &Name,
    hit: &Hit<'_>,
    creates: bool,
    reply: impl FnOnce(u64) -> Reply,
    kept: impl FnOnce() -> K,
) -> Result<Answered, Problem> {
    let Wants { key, durability, asked } = ask.wants()?;
    let service = ask.service();
    if key.is_none() && durability == Durability::Process {
        let total = service.increment(name, hit, creates)?;
        return Ok(Answered::Now(Reply { applied: asked, ..reply(total) }));
    }
    let Hit { count, at, visitor } = *hit;
    let (endpoint, visitor) = (name.endpoint().to_owned(), visitor.map(str::to_owned));
    let act = Act::Hit { endpoint, count, at, visitor, creates };
    let kept = kept();
    let answer = move |effect| match effect {
        Effect::Counted { value } => kept(value).kept(),
        Effect::Created | Effect::Deleted | Effect::Set => unreachable!("hits are counted"),
    };
    let (told, answered) = later(asked);
    let order = Order { act, key, is_disk: durability == Durability::Disk, answer: Box::new(answer) };
    service.order(order, move |done| told.give(done))?;
    Ok(answered.into())
}

/// The durability that is preferred. Of two the first counts.
fn preferred(headers: &HeaderMap) -> Option<Durability> {
    let lines = headers.get_all("prefer").into_iter().filter_map(|line| line.to_str().ok());
    // What is in quotes is cut nowhere.
    let mut is_quoted = false;
    let mut ends = move |letter: char| {
        is_quoted ^= letter == '"';
        letter == ',' && !is_quoted
    };
    for preference in lines.flat_map(|line| line.split(&mut ends).collect::<Vec<_>>()) {
        // What follows a semicolon says more of the preference, and none of this one is known.
        let (name, value) =
            preference.split(';').next().unwrap_or_default().split_once('=').unwrap_or((preference, ""));
        if !name.trim().eq_ignore_ascii_case("durability") {
            continue;
        }
        let value = value.trim();
        let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
        return Durability::ALL.into_iter().find(|durability| durability.as_str() == value);
    }
    None
}

/// The key of a write. Quotes around it are not part of it.
fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let wrong = |why: &str| Problem::schema(format!("the header Idempotency-Key {why}"));
    let name = HeaderName::from_static("idempotency-key");
    let mut lines = headers.get_all(name).into_iter();
    let Some(line) = lines.next() else { return Ok(None) };
    if lines.next().is_some() {
        return Err(wrong("is there twice; give it once"));
    }
    let text = line.to_str().unwrap_or_default().trim();
    let key = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    if !(1..=MOST_OF_KEY).contains(&key.len()) || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(wrong(&format!("has 1 to {MOST_OF_KEY} visible ASCII characters; a UUID will do")));
    }
    Ok(Some(key.to_owned()))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(name: &'static str, lines: &[&str]) -> HeaderMap {
        lines
            .iter()
            .map(|line| (HeaderName::from_static(name), HeaderValue::from_str(line).expect("a value")))
            .collect()
    }

    #[test]
    fn preferences_are_found_among_others() {
        for (lines, wanted) in [
            (&["durability=disk"][..], Some(Durability::Disk)),
            (&["durability=process"], Some(Durability::Process)),
            (&["respond-async, Durability = \"disk\"; more=1, wait=10"], Some(Durability::Disk)),
            (&["wait=10", "durability=process", "durability=disk"], Some(Durability::Process)),
            (&["durability=tape"], None),
            (&["foo=\"a, durability=disk\""], None),
            (&["durability=\"\"disk\"\""], None),
            (&["durability"], None),
            (&["x-durability=disk", "return=minimal"], None),
            (&[], None),
        ] {
            assert_eq!(preferred(&headers("prefer", lines)), wanted, "{lines:?}");
        }
    }

    #[test]
    fn keys_are_visible_ascii() {
        let long = "k".repeat(255);
        for (line, wanted) in [("a", "a"), ("\"8e03978e-40d5\"", "8e03978e-40d5"), (&long, &long), ("\"", "\"")] {
            assert_eq!(key(&headers("idempotency-key", &[line])), Ok(Some(wanted.to_owned())), "{line}");
        }
        let longer = "k".repeat(256);
        for lines in [&[""][..], &["\"\""], &["a b"], &["a", "a"], &[&longer]] {
            assert!(key(&headers("idempotency-key", lines)).is_err(), "{lines:?}");
        }
        assert_eq!(key(&HeaderMap::new()), Ok(None));
    }
}
