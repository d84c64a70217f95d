//! The oracle: what every hit must become and what every query must answer, from a plain list of hits.
//!
//! It shares no code with `src` and is as dumb as it can be: a counter is the list of all hits it ever counted, and
//! every answer is a walk over that list. It knows one thread, so one stripe and one shard.
//!
//! | the hit | when |
//! |---|---|
//! | `Counted`, nothing else happens | its amount is 0 |
//! | `Late` | a newer tick of the same slot has been counted |
//! | `Saturated` | its tick would hold more than a slot can |
//! | `Refused` | a bounded log has no entry left, and none lies a whole ring behind |
//! | `Counted` | otherwise |
//!
//! | the query over `(at - last, at]` | answers |
//! |---|---|
//! | no tick of it is gone | the count of the list, and no error |
//! | a tick of it is gone: a newer tick of its slot was counted, or its entries were dropped for room | `WindowExpired`, or the count of the list if that is still known |
//!
//! Times are in *grains*: ticks, or microseconds for the sliding log. What the list holds of a copied counter is a list
//! of its own, because slots are reused by their own writer's hits only.

mod examples;

use std::collections::BTreeSet;
use std::time::Duration;

use hitring::{HitCounter, Outcome, QueryError, Strategy, Timestamp};

/// The last nanosecond of the year 9999, since 1970.
pub const LAST_NANO: u128 = 253_402_300_800 * 1_000_000_000 - 1;

/// The point in time `nanos` nanoseconds after 1970.
pub fn timestamp(nanos: u128) -> Timestamp {
    Timestamp::new((nanos / 1_000_000_000) as u64, (nanos % 1_000_000_000) as u32).expect("before the year 10000")
}

/// The geometry of a counter: microseconds of a tick, ticks of the window, slots of slack.
pub type Geometry = (u64, u64, u32);

/// What a list of hits is judged by.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Nanoseconds of a tick.
    pub tick: u128,
    /// Nanoseconds of a grain.
    pub grain: u128,
    /// Ticks of the window.
    pub window: u64,
    pub slots: u64,
    /// The most hits of one tick.
    pub most: u64,
    /// The most distinct grains that hold hits.
    pub room: u64,
}

impl Rules {
    pub fn new(strategy: &Strategy, (micros, window, slack): Geometry) -> Self {
        let tick = u128::from(micros) * 1_000;
        let ring = (window + u64::from(slack)).max(64);
        match strategy {
            // One slot more, for a span that begins within a tick.
            &Strategy::Sliding { max_hits } => {
                Self { tick, grain: 1_000, window, slots: ring + 1, most: (1 << 41) - 1, room: max_hits }
            }
            _ => {
                let last_lap = (LAST_NANO / tick) as u64 / ring;
                // A word holds the laps up to the year 9999, the seal and the count; all counts stay below 2^63.
                let mut bits = 63;
                while u128::from(last_lap) << (bits + 1) > u128::from(u64::MAX)
                    || ((1 << bits) - 1) * u128::from(ring) > i64::MAX as u128
                {
                    bits -= 1;
                }
                Self { tick, grain: tick, window, slots: ring, most: (1 << bits) - 1, room: u64::MAX }
            }
        }
    }

    /// The grain that holds a time.
    pub fn grain_of(&self, at: Timestamp) -> u64 {
        (at.as_duration().as_nanos() / self.grain) as u64
    }

    fn tick_of(&self, grain: u64) -> u64 {
        grain / self.grains()
    }

    /// Grains of a tick.
    pub fn grains(&self) -> u64 {
        (self.tick / self.grain) as u64
    }

    /// Whether a hit in `newer` reuses the slot of the older tick `tick`.
    fn reuses(&self, newer: u64, tick: u64) -> bool {
        newer > tick && newer % self.slots == tick % self.slots
    }

    /// How many grains `last` is, if it may be asked for.
    pub fn len_of(&self, last: Duration) -> Option<u64> {
        let whole =
            last.as_nanos().is_multiple_of(self.grain) && last.as_nanos() <= self.tick * u128::from(self.window);
        whole.then(|| (last.as_nanos() / self.grain) as u64)
    }
}

#[derive(Clone, Copy, Debug)]
struct Hit {
    grain: u64,
    amount: u64,
    /// Dropped for room.
    dropped: bool,
}

/// What a list of hits answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// All hits that were counted in the span.
    pub count: u128,
    /// Those of ticks that are not gone.
    pub left: u128,
    /// Whether a tick of the span is gone.
    pub gone: bool,
}

impl Answer {
    pub fn plus(self, other: Self) -> Self {
        Self { count: self.count + other.count, left: self.left + other.left, gone: self.gone | other.gone }
    }

    /// The count as a counter tells it.
    pub fn told(self) -> u64 {
        u64::try_from(self.count).unwrap_or(u64::MAX)
    }
}

/// The hits of one writer, in the order in which they were counted.
#[derive(Clone, Debug)]
pub struct Log {
    rules: Rules,
    hits: Vec<Hit>,
    /// Ticks whose entries were dropped for room.
    dropped: BTreeSet<u64>,
}

impl Log {
    pub fn new(rules: Rules) -> Self {
        Self { rules, hits: Vec::new(), dropped: BTreeSet::new() }
    }

    pub fn len(&self) -> usize {
        self.hits.len()
    }

    /// The first `len` hits: what a snapshot holds that was taken then.
    pub fn upto(&self, len: usize) -> Self {
        assert!(self.dropped.is_empty(), "what was dropped is not told apart by time");
        Self { hits: self.hits[..len].to_vec(), ..self.clone() }
    }

    pub fn record(&mut self, grain: u64, amount: u64) -> Outcome {
        if amount == 0 {
            return Outcome::Counted;
        }
        let (rules, tick) = (self.rules, self.rules.tick_of(grain));
        let ticks = |hit: &Hit| rules.tick_of(hit.grain);
        if self.hits.iter().any(|hit| rules.reuses(ticks(hit), tick)) {
            return Outcome::Late;
        }
        let there = self.hits.iter().filter(|hit| !hit.dropped && ticks(hit) == tick).map(|hit| hit.amount);
        if u128::from(amount) + there.map(u128::from).sum::<u128>() > u128::from(rules.most) {
            return Outcome::Saturated;
        }
        if rules.room != u64::MAX && !self.has_room(grain) {
            return Outcome::Refused;
        }
        self.hits.push(Hit { grain, amount, dropped: false });
        Outcome::Counted
    }

    /// The distinct grains that have hits still.
    fn entries(&self) -> BTreeSet<u64> {
        self.hits.iter().filter(|hit| self.lives(hit)).map(|hit| hit.grain).collect()
    }

    fn has_room(&mut self, grain: u64) -> bool {
        let (rules, tick) = (self.rules, self.rules.tick_of(grain));
        let entries = self.entries();
        // Its own entry, or one of the tick whose slot it takes.
        if entries.iter().any(|&other| other == grain || rules.reuses(tick, rules.tick_of(other))) {
            return true;
        }
        if (entries.len() as u64) < rules.room {
            return true;
        }
        let behind: Vec<u64> = entries.into_iter().filter(|&e| rules.tick_of(e) + rules.slots <= tick).collect();
        for hit in &mut self.hits {
            if behind.contains(&hit.grain) {
                hit.dropped = true;
                self.dropped.insert(rules.tick_of(hit.grain));
            }
        }
        (self.entries().len() as u64) < rules.room
    }

    fn lives(&self, hit: &Hit) -> bool {
        let tick = self.rules.tick_of(hit.grain);
        !hit.dropped && !self.hits.iter().any(|other| self.rules.reuses(self.rules.tick_of(other.grain), tick))
    }

    /// What the grains `first ..= to` hold.
    pub fn read(&self, first: u64, to: u64) -> Answer {
        let rules = &self.rules;
        let (first_tick, to_tick) = (rules.tick_of(first), rules.tick_of(to));
        let mut answer =
            Answer { gone: self.dropped.range(first_tick..=to_tick).next().is_some(), ..Answer::default() };
        for hit in &self.hits {
            if (first..=to).contains(&hit.grain) {
                answer.count += u128::from(hit.amount);
                answer.left += if self.lives(hit) { u128::from(hit.amount) } else { 0 };
            }
            // The newest tick up to `to` whose slot the hit took.
            let tick = rules.tick_of(hit.grain);
            let laps = if tick > to_tick { (tick - to_tick).div_ceil(rules.slots) } else { 1 };
            answer.gone |= tick.checked_sub(laps * rules.slots).is_some_and(|taken| taken >= first_tick);
        }
        answer
    }
}

/// A counter: its own hits, and those of the counters it was cloned from.
#[derive(Clone, Debug)]
pub struct Oracle {
    pub rules: Rules,
    own: Log,
    copied: Vec<Log>,
    /// How many hits were counted, late, future, saturated and refused in all.
    told: [u128; 5],
}

impl Oracle {
    pub fn new(strategy: &Strategy, geometry: Geometry) -> Self {
        let rules = Rules::new(strategy, geometry);
        Self { rules, own: Log::new(rules), copied: Vec::new(), told: [0; 5] }
    }

    pub fn record(&mut self, at: Timestamp, amount: u64) -> Outcome {
        self.record_grain(self.rules.grain_of(at), amount)
    }

    pub fn record_grain(&mut self, grain: u64, amount: u64) -> Outcome {
        let outcome = self.own.record(grain, amount);
        self.note(outcome, amount)
    }

    pub fn note(&mut self, outcome: Outcome, amount: u64) -> Outcome {
        let row = match outcome {
            Outcome::Counted => 0,
            Outcome::Late => 1,
            Outcome::Future => 2,
            Outcome::Saturated => 3,
            _ => 4,
        };
        self.told[row] += u128::from(amount);
        outcome
    }

    /// The tallies: counted, late, future, saturated, refused.
    pub fn outcomes(&self) -> [u64; 5] {
        self.told.map(|amount| u64::try_from(amount).unwrap_or(u64::MAX))
    }

    /// The `len` grains that end with `to`.
    pub fn read(&self, to: u64, len: u64) -> Answer {
        match len {
            0 => Answer::default(),
            len => self.read_span((to + 1).saturating_sub(len), to),
        }
    }

    fn read_span(&self, first: u64, to: u64) -> Answer {
        self.copied.iter().fold(self.own.read(first, to), |sum, log| sum.plus(log.read(first, to)))
    }

    /// The start in nanoseconds and the hits of every tick that `(to - last, to]` touches, whole ones but for the last.
    pub fn buckets(&self, to: u64, ticks: u64) -> Vec<(u128, Answer)> {
        let (grains, newest) = (self.rules.grains(), self.rules.tick_of(to));
        let ticks = (newest + 1).saturating_sub(ticks)..=newest;
        let bucket = |tick: u64| {
            let answer = self.read_span(tick * grains, (tick * grains + grains - 1).min(to));
            (u128::from(tick) * self.rules.tick, answer)
        };
        ticks.map(bucket).collect()
    }

    pub fn reset(&mut self) {
        self.own = Log::new(self.rules);
        self.copied.clear();
    }

    /// The oracle of a clone.
    pub fn cloned(&self) -> Self {
        let copied = self.copied.iter().chain([&self.own]).cloned().collect();
        Self { own: Log::new(self.rules), copied, ..self.clone() }
    }
}

/// Whether a counter may answer a query by `told`.
pub fn allows(answer: Answer, told: &Result<u64, QueryError>) -> bool {
    match told {
        Ok(count) => *count == answer.told(),
        Err(QueryError::WindowExpired { .. }) => answer.gone,
        Err(_) => false,
    }
}

/// A counter of the geometry, without a clock.
pub fn counter(strategy: &Strategy, (micros, window, slack): Geometry) -> HitCounter {
    HitCounter::builder()
        .resolution(Duration::from_micros(micros))
        .window(Duration::from_micros(micros * window))
        .slack(slack)
        .strategy(strategy.clone())
        .build()
        .expect("every geometry of the tests is valid")
}
