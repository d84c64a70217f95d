//! [`Limits`]: how many requests are answered, of each client and of all together.
//!
//! | setting | what it limits |
//! |---|---|
//! | `client` | the requests of an address. An IPv6 client is its /64 network, which a host has to itself |
//! | `burst` | how many of them may come at once; with it `client` is a token bucket, else a sliding window |
//! | `global` | the requests of all clients |
//!
//! What was let through is kept in the ring file, so that neither a kill nor a restart forgets it. The limit of the client is
//! checked first, so that the requests of a client beyond its limit do not use up what the others may send. A client whose address
//! does not fit the file is refused, by 503.
//!
//! Each answer says what remains, in the fields `RateLimit-Policy` and `RateLimit` of draft-ietf-httpapi-ratelimit-headers-10; a
//! refusal also says when to come back.
//!
//! Tests: below, `tests/python/integration/test_serve_limits.py`.

use std::io::Write;
use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use crate::error::{LimitError, SharedError};
use crate::limit::decision::Decision;
use crate::limit::rate::Rate;
use crate::limit::shared::{Answer, SharedPlan};
use crate::limit::{Limiter, WhenKeysFull};
use crate::shared::{SharedLimiter, SharedRegistry};

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// What is limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// The requests of a client.
    pub client: Option<Rate>,
    /// The requests of all clients.
    pub global: Option<Rate>,
    /// How many requests of a client may come at once.
    pub burst: Option<u64>,
    /// For how many clients a new ring has room; `None` is 10,000.
    pub max_clients: Option<u32>,
}

impl Rates {
    /// Whether they can be kept.
    ///
    /// # Errors
    /// The limit that cannot, `client` or `global`, and why.
    pub fn check(&self) -> Result<(), (&'static str, LimitError)> {
        for (why, rate, burst) in [(Why::Client, self.client, self.burst), (Why::Global, self.global, None)] {
            if let Some(rate) = rate {
                SharedPlan::new(rate, burst, 0).map_err(|error| (why.as_str(), error))?;
            }
        }
        Ok(())
    }
}

/// The limits of a server.
#[derive(Debug)]
pub struct Limits {
    client: Option<SharedLimiter>,
    global: Option<Global>,
    policy: HeaderValue,
}

/// What the limits say to a request.
#[derive(Debug)]
pub struct Verdict {
    /// Why it is refused; `None` if it is not.
    pub refused: Option<Refused>,
    policy: HeaderValue,
    limit: HeaderValue,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Its client sent too many.
    Client,
    /// All clients sent too many.
    Global,
    /// Another client does not fit the file.
    Room,
}

impl Why {
    /// Each.
    pub const ALL: [Self; 3] = [Self::Client, Self::Global, Self::Room];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Global => "global",
            Self::Room => "room",
        }
    }
}

/// Which limit refuses a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub why: Why,
    /// The limit.
    pub rate: Rate,
    /// After how many seconds to try again.
    pub retry_after: u32,
}

impl Limits {
    /// The limits of `rates` in `ring`; `None` if `rates` does not set a limit.
    ///
    /// # Errors
    /// [`SharedError::Limit`].
    pub fn new(ring: &SharedRegistry, rates: &Rates) -> Result<Option<Self>, SharedError> {
        let limiter = |name, rate: Option<Rate>, burst| rate.map(|rate| ring.limiter(name, rate, burst)).transpose();
        // A window does not become a token bucket.
        let name = if rates.burst.is_some() { "http.client.burst" } else { "http.client" };
        let client = limiter(name, rates.client, rates.burst)?;
        let kept = limiter("http.global", rates.global, None)?;
        let global = kept.map(|kept| {
            let here = Limiter::builder(kept.rate()).build()?;
            Ok::<_, LimitError>(Global { here, kept: kept.when_full(WhenKeysFull::Allow) })
        });
        let global = global.transpose()?;
        let mut policies = Vec::new();
        let quotas = client.iter().map(|client| (Why::Client, client.rate(), client.burst()));
        for (why, rate, burst) in quotas.chain(global.iter().map(|global| (Why::Global, global.kept.rate(), None))) {
            policies.push(rate.policy(why.as_str(), burst));
        }
        if policies.is_empty() {
            return Ok(None);
        }
        let policy = HeaderValue::try_from(policies.join(", ")).expect("numbers and words");
        Ok(Some(Self { client, global, policy }))
    }

    /// Takes a request of `client`, or refuses it.
    pub fn take(&self, client: IpAddr) -> Verdict {
        let mut refused = None;
        let mut text = Vec::with_capacity(64);
        if let Some(limiter) = &self.client {
            let Answer { decision, lacked_room } = match client.to_canonical() {
                IpAddr::V4(address) => limiter.answer(&address.octets(), 1),
                IpAddr::V6(address) => limiter.answer(&address.octets()[..8], 1),
            };
            let why = if lacked_room { Why::Room } else { Why::Client };
            refused = noted(&mut text, why, limiter.rate(), decision);
        }
        if let (Some(global), None) = (&self.global, refused) {
            refused = noted(&mut text, Why::Global, global.kept.rate(), global.take());
        }
        let limit = HeaderValue::try_from(text).expect("numbers and words");
        Verdict { refused, policy: self.policy.clone(), limit }
    }

    /// How many states of limits the file keeps, those of workers among them.
    pub fn keys(&self) -> usize {
        let limiter = self.client.as_ref().or(self.global.as_ref().map(|global| &global.kept));
        limiter.map_or(0, SharedLimiter::keys_in_use)
    }
}

/// Appends `decision` to `text`, and returns the reason if it refuses.
fn noted(text: &mut Vec<u8>, why: Why, rate: Rate, decision: Decision) -> Option<Refused> {
    let separator = if text.is_empty() { "" } else { ", " };
    let name = if why == Why::Global { "global" } else { "client" };
    // To a vector, so it cannot fail.
    let _ = write!(text, "{separator}\"{name}\";r={}", decision.remaining);
    if decision.allowed {
        return None;
    }
    let retry_after = decision.retry_after_seconds().and_then(|wait| u32::try_from(wait).ok()).unwrap_or(u32::MAX);
    let _ = write!(text, ";t={retry_after}");
    Some(Refused { why, rate, retry_after })
}

/// The limit of all clients.
///
/// The file keeps this limit in a place like that of a client. When all places are taken, the limit may lose its place, so the
/// server also keeps the limit in memory.
#[derive(Debug)]
struct Global {
    here: Limiter,
    kept: SharedLimiter,
}

impl Global {
    fn take(&self) -> Decision {
        let Answer { decision, lacked_room } = self.kept.answer(b"", 1);
        let here = self.here.allow(1);
        if lacked_room { here } else { decision }
    }
}

impl Verdict {
    /// Adds what it says to the headers of the answer.
    pub fn tell(self, headers: &mut HeaderMap) {
        headers.insert(POLICY, self.policy);
        headers.insert(LIMIT, self.limit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(name: &str, rates: Rates) -> (SharedRegistry, Limits) {
        let path = std::env::temp_dir().join(format!("hitring-limits-{name}-{}.ring", std::process::id()));
        let ring = SharedRegistry::builder().max_endpoints(1).limits(64).create(&path).expect("it can be made");
        std::fs::remove_file(path).expect("it is ours");
        let limits = Limits::new(&ring, &rates).expect("it can be kept").expect("there is one");
        (ring, limits)
    }

    fn rate(text: &str) -> Option<Rate> {
        Some(text.parse().expect("a rate"))
    }

    fn told(verdict: Verdict) -> (String, String, Option<(Why, u32)>) {
        let refused = verdict.refused.map(|refused| (refused.why, refused.retry_after));
        let mut headers = HeaderMap::new();
        verdict.tell(&mut headers);
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).expect("it is there").to_owned();
        (text("ratelimit-policy"), text("ratelimit"), refused)
    }

    #[test]
    fn clients_are_addresses_and_networks() {
        let (_ring, limits) = limits("clients", Rates { client: rate("1/hour"), ..Rates::default() });
        for (address, is_allowed) in [
            ("192.0.2.1", true),
            ("192.0.2.1", false),
            ("::ffff:192.0.2.1", false),
            ("192.0.2.2", true),
            ("2001:db8::1", true),
            ("2001:db8::ffff:1", false),
            ("2001:db8:0:1::1", true),
        ] {
            let verdict = limits.take(address.parse().expect("an address"));
            assert_eq!(verdict.refused.is_none(), is_allowed, "{address}");
        }
    }

    #[test]
    fn answers_tell_what_remains() {
        let rates = Rates { client: rate("60/minute"), global: rate("4/hour"), burst: Some(2), ..Rates::default() };
        let (_ring, limits) = limits("remains", rates);
        let [one, other] = ["192.0.2.1", "192.0.2.2"].map(|address| address.parse().expect("an address"));
        let policy = "\"client\";q=2;w=2, \"global\";q=4;w=3600".to_owned();
        let answer = |limit: &str, refused| (policy.clone(), limit.to_owned(), refused);
        assert_eq!(told(limits.take(one)), answer("\"client\";r=1, \"global\";r=3", None));
        assert_eq!(told(limits.take(one)), answer("\"client\";r=0, \"global\";r=2", None));
        // The others lose nothing by it.
        let (_, limit, refused) = told(limits.take(one));
        let (why, seconds) = refused.expect("it is refused");
        // The clock that decides may be some milliseconds behind.
        assert!(why == Why::Client && (1..=2).contains(&seconds), "{seconds}");
        assert_eq!(limit, format!("\"client\";r=0;t={seconds}"));
        assert_eq!(told(limits.take(other)), answer("\"client\";r=1, \"global\";r=1", None));
        assert_eq!(told(limits.take(other)), answer("\"client\";r=0, \"global\";r=0", None));
        let (_, limit, refused) = told(limits.take("192.0.2.3".parse().expect("an address")));
        let (why, seconds) = refused.expect("it is refused");
        assert!(why == Why::Global && (3_500..=3_601).contains(&seconds), "{seconds}");
        assert_eq!(limit, format!("\"client\";r=1, \"global\";r=0;t={seconds}"));
    }

    #[test]
    fn the_limit_of_all_is_kept_also_if_clients_take_its_place() {
        let rates = Rates { client: rate("1/hour"), global: rate("5/second"), ..Rates::default() };
        let (ring, limits) = limits("place", rates);
        // As many as there is room for, and more.
        let fill = ring.limiter("http.client", rates.client.expect("it is given"), None).expect("there is room");
        for number in 0..10_000u32 {
            let _ = fill.allow(number.to_be_bytes(), 1);
        }
        assert!(fill.without_room().0 > 0);
        let global = limits.global.as_ref().expect("it is given");
        let allowed = (0..100).filter(|_| global.take().allowed).count();
        assert!((5..=10).contains(&allowed), "{allowed} of 5 a second");
        // The first request of a client without room does not say that it sent too many.
        let (_, _, refused) = told(limits.take("203.0.113.9".parse().expect("an address")));
        assert_eq!(refused.map(|(why, _)| why), Some(Why::Room));
    }

    #[test]
    fn limits_that_cannot_be_kept_are_named() {
        let check = |client, global, burst| Rates { client, global, burst, max_clients: None }.check();
        assert_eq!(check(rate("100/s"), rate("1000/s"), Some(7)), Ok(()));
        assert_eq!(check(None, None, None), Ok(()));
        assert_eq!(check(rate("4000000000/s"), None, None).map_err(|(name, _)| name), Err("client"));
        assert_eq!(check(rate("4000000000/s"), rate("4000000000/s"), Some(1)).map_err(|(name, _)| name), Err("global"));
    }

    #[test]
    fn a_server_without_limits_has_none() {
        let path = std::env::temp_dir().join(format!("hitring-limits-none-{}.ring", std::process::id()));
        let ring = SharedRegistry::builder().max_endpoints(1).limits(0).create(&path).expect("it can be made");
        std::fs::remove_file(path).expect("it is ours");
        assert!(Limits::new(&ring, &Rates::default()).expect("nothing is wrong").is_none());
        let rates = Rates { client: rate("1/s"), ..Rates::default() };
        assert!(matches!(Limits::new(&ring, &rates), Err(SharedError::Limit(_))));
    }
}
