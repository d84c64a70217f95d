//! Rates in shared words that are changed: against lists, killed and stopped at each step.
//!
//! Tests: `tests/limit`.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use proptest::prelude::*;

use super::super::slot::{WORDS as SLOT, stopped};
use super::*;
use crate::sync::AtomicU64;

const SECOND: u64 = 1_000_000_000;

fn rate(text: &str) -> Rate {
    text.parse().expect("a possible rate")
}

thread_local! {
    /// The clock: the latest time of a question.
    static NOW: Cell<u64> = const { Cell::new(0) };
}
fn clock() -> u64 {
    NOW.get()
}
fn tell(now: u64) {
    NOW.set(NOW.get().max(now));
}

fn hash(of: Of<'_>) -> u64 {
    let (kind, number, key) = match of {
        Of::Head => (1, 0, 0),
        Of::Rate(number) => (2, number, 0),
        Of::Key(number, key) => (3, number, u64::from(key[0])),
    };
    let mixed = ((kind << 40 | number) << 8 | key).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^ mixed >> 32
}

/// Words that processes share.
#[derive(Clone)]
struct File(Rc<[AtomicU64]>);

impl File {
    fn new(slots: usize) -> Self {
        NOW.set(0);
        Self((0..slots * SLOT).map(|_| AtomicU64::new(0)).collect())
    }

    fn names(&self) -> Names<'_> {
        Names { keys: SharedKeys::new(&self.0).expect("there is a slot"), hash: &hash, now: &clock }
    }

    fn open(&self, text: &str, burst: Option<u64>, now: u64) -> Process {
        tell(now);
        let first = SharedRate::new(rate(text), burst).expect("it fits");
        let agreed = Agreed::made(self.names(), &first, now).expect("there is room");
        let process = Process { file: self.clone(), agreed: RefCell::new(agreed) };
        process.set(text, burst, now);
        process
    }
}

/// One process, with the rates that it read last.
struct Process {
    file: File,
    agreed: RefCell<Agreed>,
}

impl Process {
    fn current<T>(&self, decide: impl Fn(&Agreed) -> Option<T>) -> T {
        loop {
            let agreed = self.agreed.borrow().clone();
            if let Some(answer) = decide(&agreed) {
                return answer;
            }
            *self.agreed.borrow_mut() = Agreed::read(self.file.names()).expect("it is there");
        }
    }

    fn allows(&self, key: u8, now: u64, cost: u64) -> bool {
        tell(now);
        let decide = |agreed: &Agreed| agreed.decide(self.file.names(), &[key], now, cost, WhenKeysFull::Refuse);
        let answer = self.current(decide);
        assert!(!answer.lacked_room);
        answer.decision.allowed
    }

    /// How many of a hundred are let through, one at a time.
    fn takes(&self, key: u8, now: u64) -> u64 {
        (0..100).map(|_| u64::from(self.allows(key, now, 1))).sum()
    }

    fn peek(&self, key: u8, now: u64, cost: u64) -> Decision {
        self.current(|agreed| agreed.peek(self.file.names(), &[key], now, cost))
    }

    fn reset(&self, key: u8) -> bool {
        self.current(|agreed| agreed.reset(self.file.names(), &[key]))
    }

    fn set(&self, text: &str, burst: Option<u64>, now: u64) {
        tell(now);
        let wanted = SharedRate::new(rate(text), burst).expect("it fits");
        let mut agreed = self.agreed.borrow().clone();
        while !agreed.is_current(self.file.names().keys) || !agreed.rate.is_same(&wanted) {
            agreed = agreed.changed(self.file.names(), rate(text), burst, now).expect("it is possible");
        }
        *self.agreed.borrow_mut() = agreed;
    }

    fn rate(&self) -> Rate {
        self.current(|agreed| agreed.is_current(self.file.names().keys).then_some(agreed.rate.rate))
    }
}

#[test]
fn the_last_rate_that_was_given_holds_for_all() {
    for (low, high) in [("5/minute", "10/minute"), ("20/minute", "40/minute"), ("5/minute", "40/minute")] {
        let file = File::new(64);
        let (limits, now) = ([low, high].map(|text| rate(text).limit()), 100 * SECOND);
        let old = file.open(low, None, now);
        assert_eq!(old.takes(1, now), limits[0]);
        let new = file.open(high, None, now);
        assert_eq!((old.rate(), new.rate()), (rate(high), rate(high)));
        assert_eq!(old.peek(1, now, 1).remaining, limits[1] - limits[0]);
        assert_eq!(new.takes(1, now) + old.takes(1, now), limits[1] - limits[0]);
        // Down and up again: nothing is given.
        for text in [low, high, low, high] {
            old.set(text, None, now + SECOND);
            assert_eq!((new.rate(), new.takes(1, now + SECOND)), (rate(text), 0));
        }
        let wait = new.peek(1, now + SECOND, 1).retry_after.expect("it fits then").as_nanos() as u64;
        assert!((59 * SECOND..=66 * SECOND).contains(&wait), "{wait}");
        assert_eq!(old.takes(1, now + SECOND + wait - 1), 0);
        assert_eq!(new.takes(1, now + SECOND + wait), limits[1]);
        assert_eq!(old.takes(2, now), limits[1]);
    }
}

#[test]
fn a_bucket_lacks_as_much_as_before_through_all_rates() {
    let (file, now) = (File::new(64), 100 * SECOND);
    let process = file.open("1/s", Some(10), now);
    assert!(process.allows(1, now, 8));
    // 8 are missing; a second later 7, and at ten a second for half a second 2.
    process.set("10/s", Some(10), now + SECOND);
    process.set("1/s", Some(20), now + SECOND * 3 / 2);
    assert_eq!(process.peek(1, now + SECOND * 3 / 2, 1).remaining, 18);
    assert_eq!(process.takes(1, now + SECOND * 7 / 2), 20);
    let agreed = process.agreed.borrow().clone();
    assert!(matches!(agreed.changed(file.names(), rate("1/s"), None, now), Err(LimitError::Bucket { burst: 20 })));
    let window = File::new(64).open("1/s", None, now);
    let agreed = window.agreed.borrow().clone();
    let burst = agreed.changed(window.file.names(), rate("1/s"), Some(2), now);
    assert!(matches!(burst, Err(LimitError::NoBucket { given: 2 })));
}

#[test]
fn rates_that_count_no_more_are_dropped() {
    let file = File::new(64);
    let process = file.open("5/minute", None, 0);
    for turn in 1..1_000u64 {
        let now = turn * 61 * SECOND;
        process.set(["5/minute", "6/minute"][(turn % 2) as usize], None, now);
        assert!(process.allows(1, now, 1));
        assert!(process.agreed.borrow().older.len() <= 2, "{turn}");
    }
    // Within the window all are kept.
    let now = 2_000 * 61 * SECOND;
    for turn in 0..6 {
        process.set(["7/minute", "8/minute"][turn % 2], None, now);
    }
    assert_eq!(process.agreed.borrow().older.len(), 6);
    assert!(process.agreed.borrow().changed(file.names(), rate("5/ms"), None, now).is_ok());
}

#[test]
fn a_file_without_room_says_so() {
    let file = File::new(1);
    let first = SharedRate::new(rate("5/minute"), None).expect("it fits");
    assert!(matches!(Agreed::made(file.names(), &first, 0), Err(LimitError::NoRoom)));
    let file = File::new(3);
    let process = file.open("5/minute", None, 0);
    assert!(process.allows(1, 0, 1));
    let changed = process.agreed.borrow().changed(file.names(), rate("6/minute"), None, 0);
    assert!(matches!(changed, Err(LimitError::NoRoom)));
    assert_eq!((process.rate(), process.takes(1, 0)), (rate("5/minute"), 4));
    // The head and the rate are no keys.
    assert_eq!(file.names().keys.len(0), 1);
}

#[test]
fn a_reset_forgets_what_older_rates_know() {
    let file = File::new(64);
    let process = file.open("5/minute", None, 0);
    assert_eq!((process.takes(1, 0), process.takes(2, 0)), (5, 5));
    process.set("6/minute", None, 0);
    assert!(process.reset(1) && !process.reset(1));
    assert_eq!((process.takes(1, 0), process.takes(2, 0)), (6, 1));
}

/// A change that is killed before each of its steps in turn: the rate is the old one or the new one, for all.
#[test]
fn a_change_that_is_killed_is_done_or_not() {
    for steps in 0.. {
        let (file, now) = (File::new(64), 100 * SECOND);
        let (one, other) = (file.open("5/minute", None, now), file.open("5/minute", None, now));
        assert_eq!(one.takes(1, now), 5);
        let lived = stopped::killed_after(steps, || one.set("8/minute", None, now)).is_some();
        let taken = other.takes(1, now);
        assert_eq!(taken, if other.rate() == rate("8/minute") { 3 } else { 0 }, "{steps} steps");
        // Another one changes it, or says the same again.
        let next = file.open("8/minute", None, now);
        assert_eq!((next.takes(1, now) + taken, other.rate()), (3, rate("8/minute")), "{steps} steps");
        if lived {
            assert!(steps > 10, "{steps}");
            break;
        }
    }
}

/// The first decision on a key by a new rate is killed before each of its steps in turn.
#[test]
fn a_kill_while_a_key_goes_over_forgets_nothing() {
    for (before, after, burst) in
        [("5/minute", "8/minute", None), ("50/minute", "80/minute", None), ("1/minute", "2/minute", Some(5))]
    {
        for steps in 0.. {
            let (file, now) = (File::new(64), 100 * SECOND);
            let old = file.open(before, burst, now);
            let used = old.takes(1, now);
            let new = file.open(after, burst, now);
            let more = if burst.is_some() { 0 } else { rate(after).limit() - used };
            let lived = stopped::killed_after(steps, || new.allows(1, now, 1)).is_some();
            // A cost whose process was killed counts or does not.
            let taken = old.takes(1, now) + u64::from(lived && more > 0);
            assert!((more.saturating_sub(1)..=more).contains(&taken), "{after}, {steps} steps: {taken} of {more}");
            assert_eq!(new.takes(1, now), 0);
            if lived {
                assert!(steps > 6, "{steps}");
                break;
            }
        }
    }
}

/// A decision that is stopped at any step while others change the rate and use up what there is.
#[test]
fn a_decision_that_was_stopped_is_of_the_rate_that_holds() {
    for (known, burst) in [(true, None), (false, None), (true, Some(5)), (false, Some(5))] {
        for changes in [1, 2, 3] {
            for steps in 0.. {
                let (file, now) = (File::new(64), 100 * SECOND);
                let late = file.open("5/minute", burst, now);
                let used = if known { 4 } else { 0 };
                assert!(!known || late.allows(1, now, used));
                let (theirs, was_stopped) = (file.clone(), Rc::new(Cell::new(0)));
                let stops = Rc::clone(&was_stopped);
                let meanwhile = move || {
                    // One process changes the rate, and another asks for the key.
                    let texts = ["6/minute", "5/minute", "6/minute"];
                    let other = theirs.open(texts[0], burst, now);
                    for text in &texts[1..changes] {
                        other.set(text, burst, now);
                    }
                    stops.set(1 + other.takes(1, now));
                };
                let allowed = u64::from(stopped::after(steps, meanwhile, || late.allows(1, now, 1)));
                let Some(others) = was_stopped.get().checked_sub(1) else {
                    assert!(steps > 1, "{steps}");
                    break;
                };
                let limit = burst.unwrap_or(if changes == 2 { 5 } else { 6 });
                let all = used + others + allowed;
                let told = format!("known: {known}, {burst:?}, {changes} changes, {steps} steps: {all} of {limit}");
                // By the old rate it may have been let through before the change.
                assert!(all <= limit, "{told}");
                assert!(all + 1 >= limit, "{told}");
                assert_eq!(late.takes(1, now), limit - all, "{told}");
            }
        }
    }
}

/// A setter that is killed, or stopped for long, before the head knows of its rate: the old one holds until then.
#[test]
fn a_rate_holds_since_the_head_knows_it() {
    for burst in [None, Some(5)] {
        for steps in 0.. {
            let (file, then) = (File::new(64), 300 * SECOND);
            let old = file.open("5/minute", burst, 100 * SECOND);
            let lived = stopped::killed_after(steps, || old.set("8/minute", burst, 100 * SECOND)).is_some();
            let used = old.takes(1, then);
            let more = file.open("8/minute", burst, then).takes(1, then);
            assert_eq!(used + more, burst.unwrap_or(8), "{burst:?}, {steps} steps: {used}");
            if lived {
                break;
            }
        }
        for steps in 0.. {
            let (file, then) = (File::new(64), 300 * SECOND);
            let [old, setter, other] = [(); 3].map(|()| file.open("5/minute", burst, 100 * SECOND));
            let used = Rc::new(Cell::new(None));
            let theirs = Rc::clone(&used);
            let meanwhile = move || theirs.set(Some(other.takes(1, then)));
            stopped::after(steps, meanwhile, || setter.set("8/minute", burst, 100 * SECOND));
            let Some(used) = used.get() else { break };
            assert_eq!(used + old.takes(1, then), burst.unwrap_or(8), "{burst:?}, {steps} steps: {used}");
        }
    }
}

/// A process is stopped while it makes a key's slot, and meanwhile another slot of the key is made, used up and frozen.
#[test]
fn a_late_slot_beside_a_frozen_one_is_given_up() {
    for slots in [16, 64] {
        for key in 0..10 {
            for steps in 0.. {
                let (file, now) = (File::new(slots), 100 * SECOND);
                let late = file.open("5/minute", None, now);
                let (theirs, taken) = (file.clone(), Rc::new(Cell::new(None)));
                let tells = Rc::clone(&taken);
                let meanwhile = move || {
                    let other = theirs.open("5/minute", None, now);
                    let used = other.takes(key, now);
                    other.set("4/minute", None, now);
                    tells.set(Some(used + other.takes(key, now)));
                };
                let allowed = u64::from(stopped::after(steps, meanwhile, || late.allows(key, now, 1)));
                let Some(taken) = taken.get() else { break };
                let all = taken + allowed + late.takes(key, now);
                assert!(all <= 5, "{slots} slots, key {key}, {steps} steps: {all}");
            }
        }
    }
}

#[test]
fn a_reset_finds_slots_that_are_frozen_or_pending() {
    for (text, limit) in [("4/minute", 4), ("6/minute", 6)] {
        let file = File::new(64);
        let process = file.open("5/minute", None, 0);
        assert_eq!(process.takes(1, 0), 5);
        process.set(text, None, 0);
        assert_eq!(process.takes(1, 0), limit - limit.min(5));
        assert!(process.reset(1));
        assert_eq!(process.takes(1, 0), limit);
    }
    for steps in 0.. {
        let file = File::new(64);
        let [one, other] = [(); 2].map(|()| file.open("5/minute", None, 0));
        assert_eq!(one.takes(1, 0), 5);
        one.set("8/minute", None, 0);
        let lived = stopped::killed_after(steps, || other.allows(1, 0, 1)).is_some();
        assert!(one.reset(1), "{steps} steps");
        assert_eq!(one.takes(1, 0), 8, "{steps} steps");
        if lived {
            break;
        }
    }
}

#[test]
fn what_a_longer_window_refused_by_it_remembers() {
    for (before, after, burst) in [("5/10s", "5/100s", None), ("5/s", "1/100s", Some(5))] {
        let file = File::new(64);
        let process = file.open(before, burst, 100 * SECOND);
        assert_eq!(process.takes(1, 100 * SECOND), 5);
        process.set(after, burst, 101 * SECOND);
        // A second gives five tokens.
        assert_eq!(process.takes(1, 101 * SECOND), burst.unwrap_or(0));
        assert!(!process.allows(1, 102 * SECOND, 1));
        assert_eq!(process.takes(1, 120 * SECOND), 0);
    }
}

#[test]
fn costs_ahead_of_the_clock_are_carried() {
    let file = File::new(64);
    let process = file.open("5/minute", None, 100 * SECOND);
    let takes = |at: u64| {
        let ask = |agreed: &Agreed| agreed.decide(file.names(), &[1], at, 1, WhenKeysFull::Refuse);
        (0..10).filter(|_| process.current(ask).decision.allowed).count()
    };
    assert_eq!(takes(3_700 * SECOND), 5);
    process.set("6/minute", None, 100 * SECOND);
    assert_eq!(takes(3_700 * SECOND), 1);
}

#[test]
fn a_setter_that_comes_too_late_leaves_no_rate() {
    for steps in 0.. {
        let file = File::new(64);
        let setter = file.open("5/minute", None, 100 * SECOND);
        let (theirs, was_stopped) = (file.clone(), Rc::new(Cell::new(false)));
        let stops = Rc::clone(&was_stopped);
        let change = |process: &Process, from: u64| {
            let texts = ["6/minute", "7/minute"];
            (0..8).for_each(|turn| process.set(texts[turn as usize % 2], None, (from + 100 * turn) * SECOND));
        };
        let meanwhile = move || {
            stops.set(true);
            change(&theirs.open("5/minute", None, 100 * SECOND), 200);
        };
        stopped::after(steps, meanwhile, || setter.set("8/minute", None, 100 * SECOND));
        if !was_stopped.get() {
            break;
        }
        change(&setter, 1_000);
        let keys = file.names().keys;
        let kept = (0..64).filter(|&at| keys.slot(at).key().is_kept() && !keys.slot(at).key().is_nobody()).count();
        assert!(kept <= 3, "{steps} steps: {kept}");
    }
}

/// Sixteen claims later the state of another has the same tag.
#[test]
fn a_late_freeze_is_of_its_key() {
    let file = File::new(1);
    let slot = file.names().keys.slot(0);
    let claim = |fingerprint: u64| {
        let look = slot.look().expect("no other thread");
        let key = look.key.next(fingerprint);
        assert!(slot.close(look, key) && slot.clear(key, 12) && slot.publish(look.key, key) && slot.settle(key));
        key.settled()
    };
    let (old, mut newest) = (claim(5), claim(6));
    for fingerprint in 7..22 {
        newest = claim(fingerprint);
    }
    assert_eq!((slot.freeze(old), slot.is_open(newest)), (None, true));
}

#[test]
fn where_all_places_are_kept_it_is_a_window_until_a_process_asks_again() {
    let file = File::new(2);
    let process = file.open("5/minute", None, 0);
    let answer = process.current(|agreed| agreed.decide(file.names(), &[1], 0, 1, WhenKeysFull::Refuse));
    assert!(answer.lacked_room && answer.decision.retry_after == Some(Duration::from_secs(60)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Two processes, of which one changes the rate now and then, decide as a list of all that was let through.
    #[test]
    fn it_is_a_log(
        asked in proptest::collection::vec(
            (0u64..3_000, 0u8..3, 1u64..4, any::<bool>(), proptest::option::weighted(0.2, 1u64..9)), 1..100),
    ) {
        let file = File::new(1_024);
        let processes = [file.open("3/6s", None, 0), file.open("3/6s", None, 0)];
        let (mut now, mut limit, mut log) = (0, 3, [const { Vec::new() }; 3]);
        for (wait, key, cost, other, changed) in asked {
            now += wait * 1_000_000;
            let process = &processes[usize::from(other)];
            if let Some(changed) = changed {
                limit = changed;
                process.set(&format!("{limit}/6s"), None, now);
            }
            let log: &mut Vec<(u64, u64)> = &mut log[usize::from(key)];
            let used = |then: u64| log.iter().filter(|(at, _)| at + 6 * SECOND > then).map(|(_, cost)| cost).sum::<u64>();
            let (least, peeked) = (used(now), processes[0].peek(key, now, cost));
            let allowed = process.allows(key, now, cost);
            prop_assert_eq!((allowed, peeked.allowed), (least + cost <= limit, allowed), "{} of {}", least, limit);
            if allowed {
                log.push((now, cost));
            } else if cost <= limit {
                let wait = peeked.retry_after.expect("it fits then").as_nanos() as u64;
                prop_assert!(used(now + wait) + cost <= limit && used(now + wait - 1) + cost > limit, "{}", wait);
            }
        }
    }
}
