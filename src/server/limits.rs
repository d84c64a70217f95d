//! [`Limits`]: how many requests are answered, of each client and of all together.
//!
//! | setting | what it limits |
//! |---|---|
//! | `client` | the requests of an address. An IPv6 client is its /64 network, which a host has to itself |
//! | `burst` | how many of them may come at once; with it `client` is a token bucket, else a sliding window |
//! | `global` | the requests of all clients |
//!
//! What was let through is kept in the ring file, so that neither a kill nor a restart forgets it. A client is asked first: what it
//! sends beyond its limit takes nothing from the others. A client for whose address the file has no room is refused.
//!
//! Each answer says what remains, in the fields `RateLimit-Policy` and `RateLimit` of draft-ietf-httpapi-ratelimit-headers-10; a
//! refusal also says when to come back.
//!
//! Tests: below, `tests/python/integration/test_serve_limits.py`.

use std::io::Write;
use std::net::IpAddr;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use crate::error::SharedError;
use crate::limit::Decision;
use crate::limit::rate::Rate;
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

/// The limits of a server.
#[derive(Debug)]
pub struct Limits {
    client: Option<SharedLimiter>,
    global: Option<SharedLimiter>,
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

/// Which limit refuses a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Whether it is that of the client, and not that of all.
    pub is_client: bool,
    /// The limit.
    pub rate: Rate,
    /// After how many seconds to try again.
    pub retry_after: u32,
}

impl Limits {
    /// The limits of `rates` in `ring`; `None` if there are none.
    ///
    /// # Errors
    /// [`SharedError::Limit`].
    pub fn new(ring: &SharedRegistry, rates: &Rates) -> Result<Option<Self>, SharedError> {
        let limiter = |name, rate: Option<Rate>, burst| rate.map(|rate| ring.limiter(name, rate, burst)).transpose();
        let client = limiter("http.client", rates.client, rates.burst)?;
        let global = limiter("http.global", rates.global, None)?;
        let mut policies = Vec::new();
        for (name, limiter) in [("client", &client), ("global", &global)] {
            let Some(limiter) = limiter else { continue };
            // Of a token bucket: what may come at once, and how long it takes to fill.
            let quota = limiter.burst().unwrap_or(limiter.rate().limit());
            let fills = limiter.rate().window().as_secs_f64() * quota as f64 / limiter.rate().limit() as f64;
            policies.push(format!("\"{name}\";q={quota};w={}", seconds(Duration::from_secs_f64(fills))));
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
        let mut note = |limiter: &SharedLimiter, is_client, decision: Decision| {
            let name = if is_client { "client" } else { "global" };
            let separator = if text.is_empty() { "" } else { ", " };
            // To a vector, so it cannot fail.
            let _ = write!(text, "{separator}\"{name}\";r={}", decision.remaining);
            if !decision.allowed {
                let retry_after = seconds(decision.retry_after);
                let _ = write!(text, ";t={retry_after}");
                refused = Some(Refused { is_client, rate: limiter.rate(), retry_after });
            }
            decision.allowed
        };
        let goes_on = self.client.as_ref().is_none_or(|limiter| {
            let decision = match client.to_canonical() {
                IpAddr::V4(address) => limiter.allow(address.octets(), 1),
                IpAddr::V6(address) => limiter.allow(&address.octets()[..8], 1),
            };
            note(limiter, true, decision)
        });
        if let Some(limiter) = self.global.as_ref().filter(|_| goes_on) {
            note(limiter, false, limiter.allow("", 1));
        }
        let limit = HeaderValue::try_from(text).expect("numbers and words");
        Verdict { refused, policy: self.policy.clone(), limit }
    }

    /// How many requests were refused since the file has no room for the address of their client, by this and other servers.
    pub fn without_room(&self) -> u64 {
        let limiter = self.client.as_ref().or(self.global.as_ref());
        limiter.map_or(0, |limiter| limiter.without_room().0)
    }

    /// How many clients' states the file keeps.
    pub fn clients(&self) -> usize {
        self.client.as_ref().or(self.global.as_ref()).map_or(0, SharedLimiter::keys_in_use)
    }
}

impl Verdict {
    /// Adds what it says to the headers of the answer.
    pub fn tell(self, headers: &mut HeaderMap) {
        headers.insert(POLICY, self.policy);
        headers.insert(LIMIT, self.limit);
    }
}

/// Whole seconds, rounded up, at least one.
fn seconds(time: Duration) -> u32 {
    let up = time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0));
    u32::try_from(up.max(1)).unwrap_or(u32::MAX)
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

    fn told(verdict: Verdict) -> (String, String, Option<(bool, u32)>) {
        let refused = verdict.refused.map(|refused| (refused.is_client, refused.retry_after));
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
        let (is_client, seconds) = refused.expect("it is refused");
        // The clock that decides may be some milliseconds behind.
        assert!(is_client && (1..=2).contains(&seconds), "{seconds}");
        assert_eq!(limit, format!("\"client\";r=0;t={seconds}"));
        assert_eq!(told(limits.take(other)), answer("\"client\";r=1, \"global\";r=1", None));
        assert_eq!(told(limits.take(other)), answer("\"client\";r=0, \"global\";r=0", None));
        let (_, limit, refused) = told(limits.take("192.0.2.3".parse().expect("an address")));
        let (is_client, seconds) = refused.expect("it is refused");
        assert!(!is_client && (3_500..=3_961).contains(&seconds), "{seconds}");
        assert_eq!(limit, format!("\"client\";r=1, \"global\";r=0;t={seconds}"));
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
