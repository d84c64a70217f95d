//! [`SharedLimiter`]: rate limits that all processes of a file keep together.
//!
//! The states of keys lie in the file (`limit/shared`), found by a hash of the limiter's name, the number of its rate and the key.
//! The rate lies there too (`limit/shared_rate`): the last rate that a process gave holds for all processes. The time of limiters
//! is that of the machine's steady clock, moved so that it continues over restarts: the wall clock's time when the file was made,
//! or when it was first opened on this boot, plus the time that `CLOCK_MONOTONIC` counted since. Setting the wall clock does not
//! change limits.
//!
//! | what happens | limits |
//! |---|---|
//! | the wall clock is set while the machine runs | as before |
//! | a boot, with the wall clock behind the latest decision | time continues from that decision, as if the boot took no time |
//! | a boot, with the wall clock ahead | time jumps ahead with it: a shut limit may be open once. Later boots continue from there |
//! | a restore | as before, in the new file. A decision that is under way while the file is replaced is made once more |
//!
//! Tests: `tests/shared/behaviour.rs`, `tests/shared/limits.rs`, `tests/shared/restore.rs`, `tests/shared/boots.rs`.

use std::fmt;
use std::future::Future;
use std::hash::Hasher;
use std::sync::Arc;
use std::time::Duration;

use siphasher::sip::SipHasher13;

use super::core::Core;
use super::format::layout::Hot;
use super::format::sections::LATE;
use super::registry::{Inner, SharedRegistry};
use crate::error::{LimitError, SharedError};
use crate::limit::decision::Decision;
use crate::limit::rate::Rate;
use crate::limit::shared::{Answer, SharedKeys};
use crate::limit::shared_rate::{Agreed, Names, Of, SharedRate};
use crate::limit::{WhenKeysFull, wait};
use crate::sync::{AtomicPtr, Mutex, Ordering, relax};
use crate::time::Timestamp;
use crate::time::clock::{Clock, SteadyClock};

/// The form of the words of keys. Version 1 did not have logs, and counted the time of buckets in nanoseconds; in version 2 the
/// rate was part of the hash of a key.
const FORM: u8 = 3;

/// The latest time of a decision is noted when it has gone on by so many nanoseconds.
const NOTED: u64 = 1_000_000_000;

/// A limit for each key, which all processes that have the file open keep together: for a user, an address, a tenant; or one
/// for all, with the key `""`.
///
/// Limiters of the same name are one, with the rate that was given last ([`SharedRegistry::limiter`],
/// [`set_rate`](Self::set_rate)). A key that is as good as new gives its place away when another wants it.
/// As [`KeyedLimiter`](crate::KeyedLimiter), it lets through at most the limit in any span of the window, or at most the burst
/// and what the rate gives. Limits of up to 12 are exact; windows of higher ones slide in tenths. A process that is killed or
/// stopped at any instruction does not hold up other processes, and does not let more through.
///
/// ```
/// use hitring::SharedRegistry;
///
/// let path = std::env::temp_dir().join(format!("limits-{}.ring", std::process::id()));
/// let registry = SharedRegistry::builder().max_endpoints(1).create(&path)?;
/// let logins = registry.limiter("logins", "5/minute".parse()?, None)?;
/// assert!(logins.allow("198.51.100.7", 5).allowed);
///
/// let elsewhere = SharedRegistry::open(&path)?.limiter("logins", "5/minute".parse()?, None)?;
/// assert!(!elsewhere.allow("198.51.100.7", 1).allowed);
/// assert!(elsewhere.allow("2001:db8::1", 1).allowed);
/// # std::fs::remove_file(path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SharedLimiter {
    inner: Arc<Inner>,
    name: String,
    when_full: WhenKeysFull,
    max_skew: Option<Duration>,
    /// The rates that this process read last.
    current: AtomicPtr<Following>,
    /// All that it read: another thread may still use an older one.
    all: Mutex<Vec<Arc<Following>>>,
}

/// The rates of a limiter in one file.
#[derive(Debug)]
struct Following {
    agreed: Agreed,
    is_coarse: bool,
    /// The file, by the address of its `Core`, which is not freed before the limiter is.
    core: usize,
}

impl fmt::Debug for SharedLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedLimiter").field("name", &self.name).field("rate", &self.rate()).finish_non_exhaustive()
    }
}

impl SharedRegistry {
    /// The limiter `name` of this file: windows of `rate`, or token buckets with a `burst`. Keys that do not fit are refused;
    /// [`SharedLimiter::when_full`] changes that.
    ///
    /// If the file has a limiter of this name at another rate, its rate is changed for all processes, as
    /// [`SharedLimiter::set_rate`] does: when a service is deployed anew with another rate, what was let through before counts on.
    ///
    /// # Errors
    /// [`SharedError::Limit`] if the rate cannot be kept, the limiter of this name is a window and a burst is given, or the other
    /// way round, or the file has no room for limiters; [`SharedError::ReadOnly`].
    pub fn limiter(&self, name: &str, rate: Rate, burst: Option<u64>) -> Result<SharedLimiter, SharedError> {
        let (core, inner) = (self.core(), Arc::clone(&self.inner));
        core.check_writable()?;
        let first = SharedRate::new(rate, burst)?;
        if SharedKeys::new(core.sections().limits).is_none() {
            return Err(LimitError::NoKeys.into());
        }
        let following = Arc::new(Following::new(Agreed::alone(first), core));
        let limiter = SharedLimiter {
            inner,
            name: name.to_owned(),
            when_full: WhenKeysFull::default(),
            max_skew: None,
            current: AtomicPtr::new(Arc::as_ptr(&following).cast_mut()),
            all: Mutex::new(vec![following]),
        };
        limiter.set_rate(rate, burst)?;
        Ok(limiter)
    }
}

impl Following {
    fn new(agreed: Agreed, core: &Core) -> Self {
        let is_coarse = SteadyClock::coarse_step().is_some_and(|step| step * 2 <= agreed.rate.fine());
        Self { agreed, is_coarse, core: std::ptr::from_ref(core).addr() }
    }
}

impl SharedLimiter {
    /// Sets what happens to a key that does not fit.
    #[must_use]
    pub fn when_full(self, when_full: WhenKeysFull) -> Self {
        Self { when_full, ..self }
    }

    /// How far the time of a cost may lie ahead of the clock. By default that is a window if the registry has a clock or a
    /// `max_skew` of its own, and any far if it has neither.
    #[must_use]
    pub fn max_skew(self, max_skew: Duration) -> Self {
        Self { max_skew: Some(max_skew), ..self }
    }

    /// Lets a cost of `key` through now, or refuses it whole.
    ///
    /// Lock-free for a known key: an exchange fails only because of a cost that was let through. A new key may be refused as not
    /// fitting if other keys keep taking the places that it finds. While this process restores the file, it waits for the last
    /// step.
    pub fn allow(&self, key: impl AsRef<[u8]>, cost: u64) -> Decision {
        self.answer(key.as_ref(), cost).decision
    }

    /// The same, and whether `key` did not fit.
    #[doc(hidden)]
    pub fn answer(&self, key: &[u8], cost: u64) -> Answer {
        self.in_current(|core, following| {
            let now = following.now(core);
            // Noted once a second, because all processes write this word.
            if now.saturating_sub(core.sections().limit_time()) >= NOTED && now < LATE {
                core.sections().raise_limit_time(now);
            }
            let answer = self.decide(core, following, key, now, cost)?;
            Some(Answer { decision: answer.decision.later(following.lag(core)), ..answer })
        })
    }

    /// The same at `at`. See [`Limiter::allow_at`](crate::Limiter::allow_at).
    pub fn allow_at(&self, key: impl AsRef<[u8]>, at: Timestamp, cost: u64) -> Decision {
        let key = key.as_ref();
        self.in_current(|core, following| {
            if self.is_future(core, following, at) {
                return self.future(core, following, key);
            }
            Some(self.decide(core, following, key, at_of(core, at), cost)?.decision)
        })
    }

    /// Lets a cost of `key` through as soon as there is room for it. See [`Limiter::acquire`](crate::Limiter::acquire).
    pub fn acquire(&self, key: impl AsRef<[u8]>, cost: u64, timeout: Option<Duration>) -> Decision {
        wait::blocking(timeout, || self.allow(key.as_ref(), cost))
    }

    /// The same in a task. See [`Limiter::acquire_async`](crate::Limiter::acquire_async).
    pub async fn acquire_async<F: Future<Output = ()>>(
        &self,
        key: impl AsRef<[u8]>,
        cost: u64,
        timeout: Option<Duration>,
        sleep: impl FnMut(Duration) -> F,
    ) -> Decision {
        wait::sleeping(timeout, sleep, || self.allow(key.as_ref(), cost)).await
    }

    /// The answer that `allow(key, cost)` would give now, but with all that remains; it takes nothing and makes no key.
    pub fn peek(&self, key: impl AsRef<[u8]>, cost: u64) -> Decision {
        self.in_current(|core, following| {
            let decision = self.look(core, following, key.as_ref(), following.now(core), cost)?;
            Some(decision.later(following.lag(core)))
        })
    }

    /// The same at `at`.
    pub fn peek_at(&self, key: impl AsRef<[u8]>, at: Timestamp, cost: u64) -> Decision {
        let key = key.as_ref();
        self.in_current(|core, following| {
            if self.is_future(core, following, at) {
                return self.future(core, following, key);
            }
            self.look(core, following, key, at_of(core, at), cost)
        })
    }

    /// Forgets what was let through of `key`, in all processes, and says whether there was anything. A cost that is decided meanwhile
    /// counts or does not.
    pub fn reset(&self, key: impl AsRef<[u8]>) -> bool {
        self.in_current(|core, following| self.with_names(core, |names| following.agreed.reset(names, key.as_ref())))
    }

    /// Changes the rate for all processes; what was let through counts on, as [`Limiter::set_rate`](crate::Limiter::set_rate)
    /// says. `burst` is that of a token bucket, and has to be given for one.
    ///
    /// Decisions of all processes that begin after it returned are by the new rate. What had left the old window may be forgotten when
    /// its key is asked for the first time at the new rate. Each rate takes the place of a key until the next change after its window, and
    /// a key that is asked for at several rates takes a place for each until their windows have passed. A change takes each process that
    /// has the limiter open about 300 bytes until it drops it.
    ///
    /// # Errors
    /// [`SharedError::Limit`] if the rate cannot be kept, a burst is given for a window or is missing for a bucket, or the rate
    /// does not fit; then nothing is changed.
    pub fn set_rate(&self, rate: Rate, burst: Option<u64>) -> Result<(), SharedError> {
        let first = SharedRate::new(rate, burst)?;
        let changed = |core: &Core, following: &Following| {
            let now = following.now(core);
            let agreed = self.with_names(core, |names| {
                let mut agreed = Agreed::made(names, &first, now)?;
                while !agreed.rate.is_same(&first) {
                    agreed = agreed.changed(names, rate, burst, now)?;
                }
                Ok::<_, LimitError>(agreed)
            })?;
            // A rate that is followed already does not take more memory.
            if !agreed.is_of(&following.agreed) || following.core != std::ptr::from_ref(core).addr() {
                self.follow(Following::new(agreed, core));
            }
            Ok(())
        };
        self.in_current(|core, following| Some(changed(core, following))).map_err(SharedError::Limit)
    }

    fn is_future(&self, core: &Core, following: &Following, at: Timestamp) -> bool {
        let times = &core.times;
        let window = || following.agreed.rate.rate.window();
        let skew = self.max_skew.or_else(|| times.is_guarded().then(window));
        skew.is_some_and(|skew| at.as_duration().saturating_sub(skew) > times.clock().now().as_duration())
    }

    /// The answer for a time that lies further ahead of the clock than it may.
    fn future(&self, core: &Core, following: &Following, key: &[u8]) -> Option<Decision> {
        Some(Decision::future(self.look(core, following, key, following.now(core), 0)?.remaining))
    }

    /// Calls `decide` with the current file and the rate that holds in it. While another file is about to take its place, it waits.
    /// If another file has taken its place meanwhile, it calls `decide` again with that one, which does not have the first
    /// decision. `decide` answers `None` if the rate was changed meanwhile.
    #[inline]
    fn in_current<R>(&self, decide: impl Fn(&Core, &Following) -> Option<R>) -> R {
        loop {
            let core = self.inner.core();
            if !core.is_moving() {
                // SAFETY: it is in `all`, from which nothing is taken out before `self` is dropped.
                let mut following = unsafe { &*self.current.load(Ordering::Acquire) };
                if following.core != std::ptr::from_ref(core).addr() {
                    following = self.read(core, following);
                }
                match decide(core, following) {
                    // Once more: the states may have been copied meanwhile.
                    Some(answer) if !core.is_moving() && std::ptr::eq(core, self.inner.core()) => return answer,
                    Some(_) => {}
                    None => _ = self.read(core, following),
                }
            }
            relax();
        }
    }

    /// Reads the rates of the file.
    #[cold]
    fn read(&self, core: &Core, before: &Following) -> &Following {
        let (now, rate) = (before.now(core), before.agreed.rate);
        // Without room for the rate, in a file that was made anew, this process is alone with its own.
        let agreed = self.with_names(core, |names| Agreed::made(names, &rate, now));
        let agreed = agreed.unwrap_or_else(|_| Agreed::alone(rate));
        self.follow(Following::new(agreed, core))
    }

    fn follow(&self, following: Following) -> &Following {
        let following = Arc::new(following);
        let pointer = Arc::as_ptr(&following).cast_mut();
        self.all.lock().push(following);
        self.current.store(pointer, Ordering::Release);
        // SAFETY: it is in `all`, from which nothing is taken out before `self` is dropped.
        unsafe { &*pointer }
    }

    fn decide(&self, core: &Core, following: &Following, key: &[u8], now: u64, cost: u64) -> Option<Answer> {
        let answer = self.with_names(core, |names| following.agreed.decide(names, key, now, cost, self.when_full))?;
        if answer.lacked_room {
            let row = usize::from(self.when_full == WhenKeysFull::Allow);
            core.sections().words[Hot::Limits.at() + row].fetch_add(1, Ordering::Relaxed);
        }
        // A decision that was written to a truncated page is lost, so refuse the cost.
        let window = || following.agreed.rate.rate.window();
        let decision = if core.file.is_gone() { Decision::refused(0, window()) } else { answer.decision };
        Some(Answer { decision, ..answer })
    }

    fn look(&self, core: &Core, following: &Following, key: &[u8], now: u64, cost: u64) -> Option<Decision> {
        self.with_names(core, |names| following.agreed.peek(names, key, now, cost))
    }

    /// Calls `ask` with the words of this limiter.
    #[inline]
    fn with_names<R>(&self, core: &Core, ask: impl FnOnce(Names<'_>) -> R) -> R {
        let hash = |of: Of<'_>| self.hash(core, of);
        // Not the coarse clock, by which a rate would hold before costs that came earlier.
        let now = || time_of(core, false);
        ask(Names { keys: keys(core), hash: &hash, now: &now })
    }

    #[inline]
    fn hash(&self, core: &Core, of: Of<'_>) -> u64 {
        let [first, second] = core.header.key;
        // The key's halves are swapped, so that the hash of a limiter is not related to those of names.
        let mut hasher = SipHasher13::new_with_keys(second, first);
        // The words of a key are read as this version writes them.
        hasher.write_u8(FORM);
        let (kind, number, key): (u8, u64, &[u8]) = match of {
            Of::Key(number, key) => (0, number, key),
            Of::Rate(number) => (1, number, &[]),
            Of::Head => (2, 0, &[]),
        };
        hasher.write_u8(kind);
        hasher.write_u64(number);
        hasher.write_usize(self.name.len());
        hasher.write(self.name.as_bytes());
        hasher.write(key);
        hasher.finish()
    }

    /// The limiter's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How much each key may in how much time, as the processes have agreed.
    #[must_use]
    pub fn rate(&self) -> Rate {
        self.agreed(|rate| rate.rate)
    }

    /// How much may come at once, in a token bucket.
    #[must_use]
    pub fn burst(&self) -> Option<u64> {
        self.agreed(|rate| rate.burst)
    }

    /// The answer of `says` for the rate that holds now.
    #[doc(hidden)]
    pub fn agreed<T>(&self, says: impl Fn(&SharedRate) -> T) -> T {
        self.in_current(|core, following| following.agreed.is_current(keys(core)).then(|| says(&following.agreed.rate)))
    }

    /// How many keys of all limiters of the file are in use: those that are not as good as new.
    #[must_use]
    pub fn keys_in_use(&self) -> usize {
        self.in_current(|core, following| Some(keys(core).len(following.now(core))))
    }

    /// How many costs of all limiters of the file were refused because their key did not fit, and how many were let through
    /// unlimited.
    #[must_use]
    pub fn without_room(&self) -> (u64, u64) {
        let words = &self.inner.core().sections().words[Hot::Limits.at()..];
        (words[0].load(Ordering::Relaxed), words[1].load(Ordering::Relaxed))
    }
}

impl Following {
    fn now(&self, core: &Core) -> u64 {
        time_of(core, self.is_coarse)
    }

    /// By how much the time may already be later than the time that was read.
    fn lag(&self, core: &Core) -> Duration {
        match core.times.clock() {
            // A step, and another because a busy system, or a virtual one, moves its coarse clock on late.
            Clock::System if self.is_coarse => SteadyClock::coarse_step().unwrap_or_default() * 2,
            _ => Duration::ZERO,
        }
    }
}

fn keys(core: &Core) -> SharedKeys<'_> {
    SharedKeys::new(core.sections().limits).expect("there is room: it was looked at before")
}

/// The time of limiters now.
fn time_of(core: &Core, is_coarse: bool) -> u64 {
    match core.times.clock() {
        // The coarse clock may be behind the time at which it began.
        Clock::System => {
            let since = SteadyClock.since_boot(is_coarse).wrapping_add(core.header.limits.offset);
            u64::try_from(since.cast_signed()).unwrap_or(0)
        }
        clock => at_of(core, clock.now()),
    }
}

/// The time of limiters at `at`. Before it began, it is 0.
fn at_of(core: &Core, at: Timestamp) -> u64 {
    let since = at.as_duration().saturating_sub(Duration::from_micros(core.header.limits.origin));
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
