//! Limits: at most so many hits in any window, for all callers together and for each of them.
//!
//! ```console
//! $ cargo run --example limiter
//! ```

use std::error::Error;

use hitring::{KeyedLimiter, Limiter, ManualClock, Rate, Timestamp, WhenKeysFull};

fn main() -> Result<(), Box<dyn Error>> {
    let clock = ManualClock::new(Timestamp::from(1_000));
    let rate: Rate = "3/minute".parse()?;
    let limiter = Limiter::builder(rate).clock(clock.clone()).build()?;
    for call in 1..=4 {
        let decision = limiter.allow(1);
        match decision.retry_after {
            _ if decision.allowed => println!("call {call}: allowed, {} left", decision.remaining),
            Some(wait) => println!("call {call}: refused, try again in {wait:?}"),
            None => println!("call {call}: refused, and waiting does not help"),
        }
    }
    assert!(!limiter.allow(1).allowed);
    clock.set(Timestamp::from(1_060));
    assert!(limiter.allow(1).allowed, "the first hits have left the window");

    // The same for each key, and for at most 10,000 keys at once.
    let rate: Rate = "2/second".parse()?;
    let clients: KeyedLimiter<String> = Limiter::builder(rate).clock(clock).keyed(10_000, WhenKeysFull::default())?;
    let allows = |client: &str| clients.allow(client, 1).allowed;
    assert!(allows("192.0.2.1") && allows("192.0.2.1") && !allows("192.0.2.1"));
    assert!(allows("192.0.2.2"), "each client has a limit of its own");
    println!("192.0.2.1 is over its limit, 192.0.2.2 is not");
    Ok(())
}
