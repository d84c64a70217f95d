//! [`Service`]: what the server does, one function for each use case, without a word of HTTP.
//!
//! | file | what |
//! |---|---|
//! | `name` | which endpoint a resource, a page or a counter is |
//! | `time` | times as requests write them |
//! | `last` | how far back a question looks |
//! | `range` | which seconds are asked for, and what the ring knows of them |
//! | `ids` | ids of resources |
//! | `resources` | resources that are made, listed and removed |
//!
//! A hit is in the ring file before its function returns: the slot first, then the total. The file's pages belong to the kernel,
//! so a process that is killed after that loses nothing.
//!
//! Tests: `tests/python/integration/test_serve.py`.

pub mod name;
pub mod time;
pub mod last;
pub mod range;
pub mod ids;
pub mod resources;

use std::fmt;
use std::sync::Arc;

use self::ids::Ids;
use self::last::Last;
use self::name::Name;
use self::range::{Counted, Range};
use crate::cell::outcome::{Outcome, Outcomes};
use crate::error::{EndpointError, QueryError};
use crate::shared::{SharedRegistry, SharedRoom};
use crate::sketch::hyperloglog::precision::Precision;
use crate::store::{Act, Answer, Answered, Key, Order, Store, StoreError};
use crate::sync::{AtomicU32, Ordering};
use crate::time::{Resolution, Timestamp};

/// Hits as a request brings them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit<'a> {
    /// How many.
    pub count: u64,
    /// When; `None` is now.
    pub at: Option<Timestamp>,
    /// The visitor, if the caller names one.
    pub visitor: Option<&'a str>,
}

/// About how many different visitors there were.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Unique {
    /// The estimate.
    pub unique: u64,
    /// Its relative standard error.
    pub error: f64,
}

/// The endpoints with the most hits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Top {
    /// Them, the busiest first, with their hits.
    pub top: Vec<(String, u64)>,
    /// Whether the ring has all of the time asked for.
    pub exact: bool,
}

/// How to get more room.
pub const LARGER: &str = "stop the server, make a larger file with `hitring compact hits.ring NEW --max-endpoints N`, and put it in \
    the place of hits.ring";

/// Why a request was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The name has no hits.
    Unknown,
    /// The hit's tick has left the ring.
    Late,
    /// The hit lies further ahead of the clock than is believed.
    Future,
    /// The tick has as many hits as a slot can hold.
    Saturated,
    /// Another name does not fit the file.
    Full {
        /// The room of the file.
        room: SharedRoom,
    },
    /// The database did not take the write.
    Store(StoreError),
    /// Some visitors did not fit the file, so their number is not known.
    VisitorsFull,
    /// The ring file was cut, removed or replaced while it was open.
    Lost,
    /// The ring did not answer, for a reason that does not lie in the request.
    Failed {
        /// What it said.
        why: String,
    },
}

/// The use cases, over one ring file and one database.
#[derive(Debug)]
pub struct Service {
    ring: Arc<SharedRegistry>,
    store: Box<dyn Store>,
    /// Whether the first hit of a resource makes it.
    auto_create: bool,
    ids: Ids,
    /// Whether another file has the ring's path, as of the last look: 0 or 1. To look takes two calls of the system, too long
    /// for every request.
    replaced: AtomicU32,
}

impl Service {
    /// The use cases over `ring` and `store`. If `auto_create`, the first hit of a resource makes it.
    #[must_use]
    pub fn new(ring: Arc<SharedRegistry>, store: Box<dyn Store>, auto_create: bool) -> Self {
        Self { ring, store, auto_create, ids: Ids::new(), replaced: AtomicU32::new(0) }
    }

    /// What has to be exact after a power failure.
    #[must_use]
    pub fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// Hands an order to the store, which calls `done` with the outcome.
    ///
    /// # Errors
    /// [`Refusal::Lost`], and then `done` is not called.
    pub fn order(
        &self,
        order: Order,
        done: impl FnOnce(Result<Answered, Refusal>) + Send + 'static,
    ) -> Result<(), Refusal> {
        self.check()?;
        let ring = Arc::clone(&self.ring);
        let refusal = move |error| match error {
            StoreError::Unknown => Refusal::Unknown,
            StoreError::Refused(Outcome::Late) => Refusal::Late,
            StoreError::Refused(Outcome::Future) => Refusal::Future,
            StoreError::Refused(_) => Refusal::Saturated,
            StoreError::NoRoom => Refusal::Full { room: ring.room() },
            error => Refusal::Store(error),
        };
        self.store.submit(order, Box::new(move |answered| done(answered.map_err(refusal))));
        Ok(())
    }

    /// Looks whether the files were removed or replaced, and remembers it. Hits of before the look are in the former ring.
    pub fn look(&self) {
        self.store.look();
        self.replaced.store(u32::from(!self.ring.is_current()), Ordering::Relaxed);
    }

    /// The ring file.
    #[must_use]
    pub fn ring(&self) -> &SharedRegistry {
        &self.ring
    }

    /// When the tick of now began.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let resolution = self.resolution();
        resolution.start(resolution.tick(self.ring.clock().now()))
    }

    fn resolution(&self) -> Resolution {
        Resolution::new(self.ring.resolution()).expect("a registry has a resolution")
    }

    /// Counts hits under `name`.
    ///
    /// # Errors
    /// [`Refusal`], and then nothing was counted.
    pub fn record(&self, name: &Name, hit: &Hit<'_>) -> Result<(), Refusal> {
        self.check()?;
        let (ring, endpoint, Hit { count, at, visitor }) = (&self.ring, name.endpoint(), *hit);
        let recorded = match (visitor, at) {
            (None, None) => ring.record_hit(endpoint, count),
            (None, Some(at)) => ring.record_hit_at(endpoint, at, count),
            (Some(visitor), None) => ring.record_visit(endpoint, visitor, count),
            (Some(visitor), Some(at)) => ring.record_visit_at(endpoint, visitor, at, count),
        };
        self.said(recorded)
    }

    /// The same, if there is such a name.
    fn record_known(&self, name: &Name, hit: &Hit<'_>) -> Result<(), Refusal> {
        self.check()?;
        let visitor = hit.visitor.map(str::as_bytes);
        match self.ring.record_known(name.endpoint(), visitor, hit.at, hit.count) {
            Ok(Some(outcome)) => self.said(Ok(outcome)),
            Ok(None) => Err(Refusal::Unknown),
            Err(error) => self.said(Err(error)),
        }
    }

    /// What the ring said to a hit.
    fn said(&self, recorded: Result<Outcome, EndpointError>) -> Result<(), Refusal> {
        match recorded {
            Ok(Outcome::Counted) => Ok(()),
            Ok(Outcome::Late) => Err(Refusal::Late),
            Ok(Outcome::Future) => Err(Refusal::Future),
            Ok(Outcome::Saturated) => Err(Refusal::Saturated),
            // It was cut meanwhile.
            Ok(Outcome::Refused) if self.ring.is_lost() => Err(Refusal::Lost),
            Ok(Outcome::Refused) | Err(EndpointError::Full { .. }) => Err(self.full()),
            Err(error) => Err(Refusal::Failed { why: error.to_string() }),
        }
    }

    fn full(&self) -> Refusal {
        Refusal::Full { room: self.ring.room() }
    }

    /// Whether the first hit of a resource makes it.
    #[must_use]
    pub fn creates(&self) -> bool {
        self.auto_create
    }

    /// Counts hits under `name`, and returns its value afterwards. If `creates` is true, a missing `name` is made first.
    ///
    /// # Errors
    /// As [`record`](Self::record); [`Refusal::Unknown`] if `name` does not exist and `creates` is false.
    pub fn increment(&self, name: &Name, hit: &Hit<'_>, creates: bool) -> Result<u64, Refusal> {
        if creates {
            self.record(name, hit)?;
        } else {
            self.record_known(name, hit)?;
        }
        Ok(self.value(name))
    }

    /// How many hits `name` has had ever, or what its value was set to and the hits since then.
    ///
    /// # Errors
    /// [`Refusal::Unknown`] if `name` does not exist.
    pub fn total(&self, name: &Name) -> Result<u64, Refusal> {
        self.known(name)?;
        Ok(self.value(name))
    }

    fn value(&self, name: &Name) -> u64 {
        let endpoint = name.endpoint();
        // The base first: hits that it is not of come on top, and none that it is of is missing.
        let base = self.store.base(endpoint).filter(|base| base.epoch == self.ring.epoch(endpoint));
        self.ring.total_ever(endpoint).saturating_add_signed(base.map_or(0, |base| base.base))
    }

    /// Sets the value of `name` to `value`. `answer` makes the answer, and `done` is called with the outcome.
    ///
    /// # Errors
    /// [`Refusal::Lost`], and then neither `answer` nor `done` is called.
    pub fn set(
        &self,
        name: &Name,
        value: u64,
        key: Option<Key>,
        answer: impl FnOnce() -> Answer + Send + 'static,
        done: impl FnOnce(Result<Answered, Refusal>) + Send + 'static,
    ) -> Result<(), Refusal> {
        let act = Act::Set { endpoint: name.endpoint().to_owned(), value };
        self.order(Order { act, key, is_disk: true, answer: Box::new(move |_| answer()) }, done)
    }

    /// Removes `name` with all its hits.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn delete(
        &self,
        name: &Name,
        key: Option<Key>,
        answer: impl FnOnce() -> Answer + Send + 'static,
        done: impl FnOnce(Result<Answered, Refusal>) + Send + 'static,
    ) -> Result<(), Refusal> {
        let act = Act::Delete { id: None, endpoint: name.endpoint().to_owned() };
        self.order(Order { act, key, is_disk: true, answer: Box::new(move |_| answer()) }, done)
    }

    /// How many hits `name` has had ever; 0 for a name that has had none.
    ///
    /// # Errors
    /// [`Refusal::Lost`].
    pub fn visits(&self, name: &Name) -> Result<u64, Refusal> {
        self.check()?;
        Ok(self.ring.total_ever(name.endpoint()))
    }

    /// How many hits of `name` lie in `range`.
    ///
    /// # Errors
    /// [`Refusal::Unknown`] if the name has had none ever.
    pub fn count(&self, name: &Name, range: Range) -> Result<Counted, Refusal> {
        self.known(name)?;
        range.count(&self.ring, name.endpoint()).map_err(Refusal::from)
    }

    /// About how many different visitors `name` has had ever.
    ///
    /// # Errors
    /// [`Refusal::Unknown`] if the name has had no hit; [`Refusal::VisitorsFull`].
    pub fn unique(&self, name: &Name) -> Result<Unique, Refusal> {
        self.known(name)?;
        let unique = self.ring.uniques_ever(name.endpoint()).map_err(Refusal::from)?;
        let error = Precision::new(self.ring.precision()).map_or(1.0, Precision::error);
        Ok(Unique { unique, error })
    }

    /// How many hits `name` had last; 0 for a name that has had none.
    ///
    /// # Errors
    /// [`Refusal::Lost`].
    pub fn last(&self, name: &Name, last: Last) -> Result<Counted, Refusal> {
        self.check()?;
        Range::ending(self.now(), last.span()).count(&self.ring, name.endpoint()).map_err(Refusal::from)
    }

    /// The `n` endpoints that had the most hits last, but none without a hit. It reads all endpoints.
    ///
    /// # Errors
    /// [`Refusal::Lost`].
    pub fn top(&self, n: usize, last: Last) -> Result<Top, Refusal> {
        self.check()?;
        let window = self.ring.window();
        let mut unknown = Vec::new();
        let known = match self.ring.top_known(n, last.span().min(window), |endpoint| unknown.push(endpoint)) {
            Err(QueryError::WindowExpired { .. }) => {
                unknown = self.ring.endpoints();
                Vec::new()
            }
            known => known?,
        };
        let mut top: Vec<(String, u64)> = known.into_iter().map(|(endpoint, hits)| (endpoint, hits.count)).collect();
        let exact = unknown.is_empty() && last.span() <= window;
        // Of these endpoints the ring no longer has all seconds.
        let range = Range::ending(self.now(), last.span().min(window));
        for endpoint in unknown {
            let counted = range.count(&self.ring, &endpoint).map_err(Refusal::from)?;
            top.push((endpoint, counted.count));
        }
        top.retain(|&(_, count)| count > 0);
        top.sort_by(|(one, ones), (other, others)| others.cmp(ones).then_with(|| one.cmp(other)));
        top.truncate(n);
        Ok(Top { top, exact })
    }

    /// What became of all hits of the ring file, those of other processes too.
    #[must_use]
    pub fn outcomes(&self) -> Outcomes {
        self.ring.outcomes()
    }

    /// Whether hits can be counted, as of the last [`look`](Self::look).
    ///
    /// # Errors
    /// [`Refusal::Lost`].
    pub fn check(&self) -> Result<(), Refusal> {
        let is_gone = self.ring.is_lost() || self.replaced.load(Ordering::Relaxed) != 0;
        if is_gone { Err(Refusal::Lost) } else { Ok(()) }
    }

    fn known(&self, name: &Name) -> Result<(), Refusal> {
        self.check()?;
        if self.ring.contains(name.endpoint()) { Ok(()) } else { Err(Refusal::Unknown) }
    }
}

impl From<QueryError> for Refusal {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::FileLost => Self::Lost,
            QueryError::VisitorsFull => Self::VisitorsFull,
            error => Self::Failed { why: error.to_string() },
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("the name does not exist: it was not made, and no hit of it was counted"),
            Self::Late => {
                f.write_str(
                    "the hit is older than the ring keeps; send hits sooner, or make a file with a longer window \
                     (hitring compact --window)",
                )
            }
            Self::Future => f.write_str("the hit lies ahead of this server's clock; set the sender's clock right"),
            Self::Saturated => f.write_str("the second holds no more hits of this name; count under several names"),
            Self::Full { room } => {
                let SharedRoom { lives, max_endpoints, name_bytes, max_name_bytes, .. } = room;
                write!(
                    f,
                    "the file has no room for another name: {lives} of {max_endpoints} places and {name_bytes} of \
                     {max_name_bytes} bytes of names are taken; {LARGER}"
                )
            }
            Self::Store(error) => error.fmt(f),
            Self::VisitorsFull => write!(
                f,
                "some visitors of this name found no room in the file, so it is not known how many there were; {LARGER}"
            ),
            Self::Lost => f.write_str(
                "the ring file was cut, removed or replaced; put it back, or restart the server, which makes an empty file if \
                 it is missing",
            ),
            Self::Failed { why } => f.write_str(why),
        }
    }
}

impl std::error::Error for Refusal {}
