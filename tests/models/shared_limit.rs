//! Limits in shared words: no key is let through in two slots, and none is lost by a claim, a stop or a kill.

use std::time::Duration;

use hitring::limit::place::Beside;
use hitring::limit::shared::{By, SharedKeys, SharedPlan};
use hitring::limit::slot::{Key, Slot, WORDS};
use hitring::sync::mutant::Mutant;
use hitring::sync::{AtomicU64, Ordering};
use hitring::{Rate, WhenKeysFull};

use crate::explorer::{Arc, JoinHandle, check, fails, spawn};

const OVER: &str = "more was let through than the limit";
const STARTS: &str = "a beginning is of another tenancy";
const EARLY: &str = "a slot is closed without the time as of which";
const WASTED: &str = "a cost was refused for which there was room";

/// Hashes of keys that all begin to look at the first slot.
const OLD: u64 = 1;
const NEW: u64 = 2;
const OTHER: u64 = 3;

const fn second(seconds: u64) -> u64 {
    seconds * 1_000_000_000
}

/// Two at once, and one a second.
fn bucket() -> SharedPlan {
    SharedPlan::new(Rate::new(2, Duration::from_secs(2)).expect("a possible rate"), Some(2), 0).expect("it fits")
}

/// Two in two seconds, in parts of two seconds: three beginnings are kept.
fn window() -> SharedPlan {
    SharedPlan::sliding(Rate::new(2, Duration::from_secs(2)).expect("a possible rate"), 1, 0).expect("it fits")
}

/// The same as a log.
fn log() -> SharedPlan {
    SharedPlan::new(Rate::new(2, Duration::from_secs(2)).expect("a possible rate"), None, 0).expect("it fits")
}

struct File {
    words: Box<[AtomicU64]>,
    plan: SharedPlan,
}

impl File {
    fn new(plan: SharedPlan, slots: usize) -> Arc<Self> {
        Arc::new(Self { words: (0..slots * WORDS).map(|_| AtomicU64::new(0)).collect(), plan })
    }

    fn keys(&self) -> SharedKeys<'_> {
        SharedKeys::new(&self.words).expect("there is a slot")
    }

    /// Whether `cost` was let through, or its key found no room.
    fn ask(&self, hash: u64, seconds: u64, cost: u64) -> (bool, bool) {
        let answer = self.keys().decide(&By::only(&self.plan), hash, second(seconds), cost, WhenKeysFull::Refuse);
        let answer = answer.expect("it never changes");
        (answer.decision.allowed, answer.lacked_room)
    }

    fn allows(&self, hash: u64, seconds: u64, cost: u64) -> u64 {
        if self.ask(hash, seconds, cost).0 { cost } else { 0 }
    }
}

fn asker(file: &Arc<File>, hash: u64, seconds: u64, cost: u64) -> JoinHandle<u64> {
    let file = Arc::clone(file);
    spawn(move || file.allows(hash, seconds, cost))
}

fn end<T>(thread: JoinHandle<T>) -> T {
    thread.join().expect("a model thread ends")
}

/// Claims the first slot for `hash` if it may, and is never heard of again: after the first step, or after it has said whose
/// the slot is.
fn killed(file: &Arc<File>, hash: u64, says: bool) -> JoinHandle<()> {
    let file = Arc::clone(file);
    spawn(move || {
        let slot = Slot::new(&file.words);
        let Some(look) = slot.look() else { return };
        let idle = look.key.is_nobody() || !look.key.is_pending() && slot.until() <= second(20);
        if look.is_open() && idle {
            slot.note(second(20));
            let next = look.key.next(Key::fingerprint_of(hash));
            let _ = slot.close(look, next) && says && slot.clear(next, 3) && slot.publish(look.key, next);
        }
    })
}

/// Two make the same key, and there is a slot for each.
fn a_key_is_made_by_two() {
    let file = File::new(bucket(), 2);
    let threads = [asker(&file, NEW, 1, 2), asker(&file, NEW, 1, 2)];
    let allowed: u64 = threads.map(end).iter().sum();
    assert!(allowed <= 2, "{OVER}");
    assert_eq!(allowed, 2, "{WASTED}");
}

/// The same for three: so many orders that loom takes minutes.
#[cfg(hitring_shuttle)]
fn a_key_is_made_by_three() {
    let file = File::new(bucket(), 3);
    let threads = [asker(&file, NEW, 1, 2), asker(&file, NEW, 1, 2), asker(&file, NEW, 1, 2)];
    let allowed: u64 = threads.map(end).iter().sum();
    assert!(allowed <= 2, "{OVER}");
    assert_eq!(allowed, 2, "{WASTED}");
}

/// An idle key asks while another takes its slot, though there is a free one, too.
fn a_slot_is_claimed_while_its_key_asks(plan: SharedPlan) {
    let file = File::new(plan, 2);
    assert_eq!(file.allows(OLD, 1, 2), 2, "{WASTED}");
    let old = asker(&file, OLD, 20, 2);
    let new = asker(&file, NEW, 20, 2);
    let (old, new) = (end(old), end(new));
    let (old, new) = (old + file.allows(OLD, 20, 1), new + file.allows(NEW, 20, 1));
    assert!(old <= 2 && new <= 2, "{OVER}");
    assert_eq!((old, new), (2, 2), "{WASTED}");
}

/// A key loses its slot while a process of it that was stopped comes with an old time.
fn a_key_comes_with_an_old_time() {
    let file = File::new(bucket(), 1);
    // All of it is back at three seconds.
    assert_eq!(file.allows(OLD, 1, 2), 2, "{WASTED}");
    let late = asker(&file, OLD, 2, 1);
    let sweeper = {
        let file = Arc::clone(&file);
        spawn(move || {
            let slot = Slot::new(&file.words);
            let Some(look) = slot.look() else { return };
            if look.is_open() && !look.key.is_pending() && slot.until() <= second(4) {
                slot.note(second(4));
                let _ = slot.close(look, look.key.next(0)) && slot.abandon(look.key);
            }
        })
    };
    let late = end(late);
    end(sweeper);
    let then = file.allows(OLD, 3, 2) + file.allows(OLD, 4, 1) + file.allows(OLD, 4, 1);
    // From three seconds to four there comes one, and two are in the bucket.
    assert!(late + then <= 3, "{OVER}");
}

/// A claim ends after its first step, or before the key is settled, while the old key asks.
fn a_claimer_is_killed(plan: SharedPlan, hash: u64, says: bool) {
    let file = File::new(plan, 1);
    assert_eq!(file.allows(OLD, 1, 2), 2, "{WASTED}");
    let old = asker(&file, OLD, 20, 2);
    let killed = killed(&file, hash, says);
    let old = end(old);
    end(killed);
    let old = old + file.allows(OLD, 20, 1) + file.allows(OLD, 20, 1);
    assert!(old <= 2, "{OVER}");
    assert_eq!(old, 2, "{WASTED}");
}

/// A pending slot of the key is left by a killed process while another makes the same key.
fn a_pending_key_is_left() {
    let file = File::new(bucket(), 2);
    let killed = killed(&file, NEW, true);
    let asks = asker(&file, NEW, 20, 2);
    let asked = end(asks);
    end(killed);
    let asked = asked + file.allows(NEW, 20, 1);
    assert!(asked <= 2, "{OVER}");
    assert_eq!(asked, 2, "{WASTED}");
}

/// Two claim the same slot, each for its key: one ends the claim of the other, which is late then.
fn a_claim_is_taken_over() {
    let file = File::new(bucket(), 1);
    let threads = [asker(&file, NEW, 20, 2), asker(&file, OTHER, 20, 2)];
    let allowed: u64 = threads.map(end).iter().sum();
    let (new, other) = (file.ask(NEW, 20, 1), file.ask(OTHER, 20, 1));
    assert!(allowed <= 2 && !new.0 && !other.0, "{OVER}");
    // One has the slot, and the other is refused for lack of room.
    assert!(allowed == 2 && new.1 != other.1, "{WASTED}");
}

/// A claim that another thread ended goes on, while the slot is claimed for another key.
fn a_late_claimer_clears() {
    let file = File::new(window(), 1);
    let look = Slot::new(&file.words).look().expect("nobody else is here");
    let next = look.key.next(Key::fingerprint_of(NEW));
    assert!(Slot::new(&file.words).close(look, next));
    let late = {
        let file = Arc::clone(&file);
        spawn(move || _ = Slot::new(&file.words).clear(next, 1))
    };
    let other = {
        let file = Arc::clone(&file);
        spawn(move || {
            let slot = Slot::new(&file.words);
            assert!(slot.abandon(look.key), "{WASTED}");
            let look = slot.look().expect("nobody claims it");
            let next = look.key.next(Key::fingerprint_of(OTHER));
            assert!(slot.close(look, next) && slot.clear(next, 1) && slot.publish(look.key, next), "{WASTED}");
        })
    };
    end(late);
    end(other);
    let slot = Slot::new(&file.words);
    assert_eq!(slot.tenancy(slot.key()).read(0), 0, "{STARTS}");
}

/// A key loses its slot beside a thread that finds it closed.
fn a_closed_slot() {
    let file = File::new(bucket(), 1);
    let claimer = {
        let file = Arc::clone(&file);
        spawn(move || {
            let slot = Slot::new(&file.words);
            let look = slot.look().expect("nobody else is here");
            slot.note(second(20));
            assert!(slot.close(look, look.key.next(Key::fingerprint_of(NEW))), "{WASTED}");
        })
    };
    let other = {
        let file = Arc::clone(&file);
        spawn(move || {
            let slot = Slot::new(&file.words);
            let closed = slot.look().is_some_and(|look| !look.is_open());
            assert!(!closed || slot.newest() == second(20), "{EARLY}");
        })
    };
    end(claimer);
    end(other);
}

/// One process decides by a rate that another changes. What a key of the new rate begins with is all that was let through.
fn the_rate_is_changed(plan: SharedPlan, known: u64) {
    let file = File::new(plan, 2);
    assert!(known == 0 || file.allows(OLD, 12, known) == known, "{WASTED}");
    let head = Arc::new(AtomicU64::new(0));
    let late = {
        let (file, head) = (Arc::clone(&file), Arc::clone(&head));
        spawn(move || {
            let holds = || head.load(Ordering::Acquire) == 0;
            let by = By { holds: &holds, ..By::only(&file.plan) };
            let answer = file.keys().decide(&by, OLD, second(12), 1, WhenKeysFull::Refuse);
            answer.map_or(0, |answer| u64::from(answer.decision.allowed))
        })
    };
    head.store(1, Ordering::Release);
    let before = file.keys().carry(&file.plan, OLD, &[(&file.plan, second(12))], true);
    let allowed = known + end(late);
    let by = By { before: &|| before, ..By::only(&file.plan) };
    let remaining = file.keys().peek(&by, NEW, second(12), 1).remaining;
    assert!(allowed + remaining <= 2, "{OVER}");
    assert_eq!(allowed + remaining, 2, "{WASTED}");
}

#[test]
fn a_change_of_the_rate_takes_every_cost_along() {
    for model in [|| the_rate_is_changed(bucket(), 1), || the_rate_is_changed(log(), 1)] {
        check(model);
        fails(Mutant::SharedCarriesOpen, OVER, model);
    }
    check(|| the_rate_is_changed(bucket(), 0));
    fails(Mutant::SharedMissesChange, OVER, || the_rate_is_changed(bucket(), 0));
}

#[test]
fn a_slot_is_seen_closed_with_its_time() {
    check(a_closed_slot);
    fails(Mutant::SharedForgetsNewest, EARLY, a_closed_slot);
}

#[test]
fn a_beginning_is_of_its_tenancy() {
    check(a_late_claimer_clears);
}

#[test]
fn a_new_key_is_let_through_in_one_slot() {
    check(a_key_is_made_by_two);
    fails(Mutant::SharedSettlesUnseen, OVER, a_key_is_made_by_two);
    #[cfg(hitring_loom)]
    fails(Mutant::SharedLooksByLoad, OVER, a_key_is_made_by_two);
    #[cfg(hitring_shuttle)]
    check(a_key_is_made_by_three);
    check(a_pending_key_is_left);
}

#[test]
fn a_claim_takes_no_cost_along() {
    for model in [
        || a_slot_is_claimed_while_its_key_asks(bucket()),
        || a_slot_is_claimed_while_its_key_asks(window()),
        || a_slot_is_claimed_while_its_key_asks(log()),
    ] {
        check(model);
        fails(Mutant::SharedClosesUnseen, OVER, model);
    }
    fails(Mutant::SharedKeepsLate, OVER, || a_slot_is_claimed_while_its_key_asks(bucket()));
    fails(Mutant::SharedKeepsStarts, OVER, || a_slot_is_claimed_while_its_key_asks(window()));
}

#[test]
fn a_key_that_lost_its_slot_begins_when_it_did() {
    check(a_key_comes_with_an_old_time);
    fails(Mutant::SharedForgetsNewest, OVER, a_key_comes_with_an_old_time);
}

#[test]
fn a_killed_claimer_leaves_the_slot_to_others() {
    for model in [
        || a_claimer_is_killed(bucket(), OTHER, false),
        || a_claimer_is_killed(bucket(), OTHER, true),
        || a_claimer_is_killed(bucket(), OLD, true),
        || a_claimer_is_killed(window(), OTHER, false),
    ] {
        check(model);
    }
    fails(Mutant::SharedIgnoresClosed, WASTED, || a_claimer_is_killed(bucket(), OTHER, false));
}

#[test]
fn a_late_claimer_changes_nothing() {
    check(a_claim_is_taken_over);
    fails(Mutant::SharedTakesOver, WASTED, a_claim_is_taken_over);
}
