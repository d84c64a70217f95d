//! Limiters: nothing is let through twice, nothing is refused without need, and a key that is dropped takes no cost along.

use std::time::Duration;

use hitring::limit::plan::{Form, Plan, State, Version};
use hitring::limit::{bucket, log, many, sliding};
use hitring::sync::Mutex;
use hitring::sync::mutant::Mutant;
use hitring::{Decision, Rate};

use crate::explorer::{Arc, JoinHandle, check, fails, spawn};

const OVER: &str = "more was let through than the limit";
const WASTED: &str = "a cost was refused for which there was room";

/// Two in two seconds, in ticks of a second: four beginnings are kept.
fn window() -> Plan {
    let rate = Rate::new(2, Duration::from_secs(2)).expect("a possible rate");
    Plan::Sliding(sliding::Plan::new(rate, 2).expect("it fits"))
}

/// Two at once, and one a second.
fn bucket() -> Plan {
    let rate = Rate::new(2, Duration::from_secs(2)).expect("a possible rate");
    Plan::Bucket(bucket::Plan::new(rate, 2).expect("it fits"))
}

/// `limit` in two seconds, as a log.
fn log(limit: u64) -> Plan {
    Plan::Log(log::Plan::new(Rate::new(limit, Duration::from_secs(2)).expect("a possible rate"), 0))
}

/// Several rates together.
fn many(rates: &str) -> Plan {
    let rates = rates.parse().expect("possible rates");
    Plan::Many(Box::new(many::Plan::new(rates, 2, 0).expect("they fit")))
}

const fn second(seconds: u64) -> u64 {
    seconds * 1_000_000_000
}

fn allow(plan: &Plan, state: &State, seconds: u64, cost: u64) -> Decision {
    plan.decide(state, second(seconds), cost, true).expect("nobody closes it")
}

/// A state of an older lap: two were let through in each of the seconds 0, 3, 6 and 9.
fn used(plan: &Plan) -> Arc<State> {
    let state = plan.state(0);
    for round in 0..4 {
        assert!(allow(plan, &state, 3 * round, 2).allowed, "{WASTED}");
    }
    Arc::new(state)
}

fn asker(plan: &Plan, state: &Arc<State>, seconds: u64) -> JoinHandle<u64> {
    let (plan, state) = (plan.clone(), Arc::clone(state));
    spawn(move || allow(&plan, &state, seconds, 1).allowed.into())
}

fn sum(threads: impl IntoIterator<Item = JoinHandle<u64>>) -> u64 {
    threads.into_iter().map(|thread| thread.join().expect("a model thread ends")).sum()
}

/// One is left, and two want it.
fn the_last_one(plan: Plan) {
    let state = used(&plan);
    assert!(allow(&plan, &state, 12, 1).allowed, "{WASTED}");
    let allowed = sum([asker(&plan, &state, 12), asker(&plan, &state, 12)]);
    assert!(allowed <= 1, "{OVER}");
    assert_eq!(allowed, 1, "{WASTED}");
}

/// Two come into a new tick at once, after a pause in which many began.
fn a_tick_is_begun_by_two() {
    let plan = window();
    let state = used(&plan);
    let allowed = sum([asker(&plan, &state, 13), asker(&plan, &state, 13)]);
    assert_eq!(allowed, 2, "{WASTED}");
    assert!(!allow(&plan, &state, 13, 1).allowed, "{OVER}");
}

/// One is a tick ahead of the other: whatever order they come in, the two of the window are all there are.
fn one_is_a_tick_ahead() {
    let plan = window();
    let state = used(&plan);
    let threads = [asker(&plan, &state, 13), asker(&plan, &state, 14), asker(&plan, &state, 14)];
    assert_eq!(sum(threads), 2, "{OVER}, or {WASTED}");
    assert!(!allow(&plan, &state, 15, 1).allowed, "{OVER}");
    assert!(allow(&plan, &state, 17, 2).allowed, "{WASTED}");
}

/// One is so far ahead that it takes the place of a beginning that the other needs.
fn one_is_a_lap_ahead() {
    let plan = window();
    let state = used(&plan);
    assert!(allow(&plan, &state, 12, 1).allowed, "{WASTED}");
    let ahead = asker(&plan, &state, 16);
    let behind = asker(&plan, &state, 12);
    assert_eq!(sum([ahead, behind]), 2, "{WASTED}");
}

/// A unit is all there is, and two want it.
fn the_only_unit() {
    let plan = log(1);
    let state = plan.state(0);
    assert!(allow(&plan, &state, 0, 1).allowed, "{WASTED}");
    let state = Arc::new(state);
    let allowed = sum([asker(&plan, &state, 12), asker(&plan, &state, 12)]);
    assert!(allowed <= 1, "{OVER}");
    assert_eq!(allowed, 1, "{WASTED}");
}

/// There is room for one, and one has just come: the word that a thread raises is not that of the unit that came.
fn a_unit_is_about_to_come() {
    let plan = log(2);
    let state = used(&plan);
    let threads = [asker(&plan, &state, 12), asker(&plan, &state, 12)];
    assert_eq!(sum(threads), 2, "{WASTED}");
    assert!(!allow(&plan, &state, 13, 1).allowed, "{OVER}");
    assert!(allow(&plan, &state, 14, 2).allowed, "{WASTED}");
}

/// One comes late with a later time than those that two laps of the log were let through at meanwhile.
fn a_late_thread_is_ahead() {
    let plan = log(1);
    let state = Arc::new(plan.state(0));
    let ahead = asker(&plan, &state, 100);
    assert!(allow(&plan, &state, 50, 1).allowed || !allow(&plan, &state, 98, 1).allowed, "{WASTED}");
    let behind = u64::from(allow(&plan, &state, 99, 1).allowed);
    assert!(sum([ahead]) + behind <= 1, "{OVER}");
}

/// A cost of two and one of one, of three: whichever comes first, both are let through, and then no more.
fn costs_of_a_log_differ() {
    let plan = log(3);
    let state = plan.state(0);
    assert!(allow(&plan, &state, 0, 3).allowed, "{WASTED}");
    let state = Arc::new(state);
    let two = {
        let (plan, state) = (plan.clone(), Arc::clone(&state));
        spawn(move || 2 * u64::from(allow(&plan, &state, 12, 2).allowed))
    };
    assert_eq!(sum([two, asker(&plan, &state, 12)]), 3, "{WASTED}");
    assert!(!allow(&plan, &state, 13, 1).allowed, "{OVER}");
}

/// One looks, and finds a word that was raised for a cost of two in a later state, which was refused then.
fn a_refusal_is_of_its_state() {
    let plan = log(2);
    let state = Arc::new(plan.state(0));
    let looks = {
        let (plan, state) = (plan.clone(), Arc::clone(&state));
        spawn(move || u64::from(plan.decide(&state, second(20), 1, false).expect("nobody closes it").allowed))
    };
    assert!(allow(&plan, &state, 12, 1).allowed, "{WASTED}");
    let two = {
        let (plan, state) = (plan.clone(), Arc::clone(&state));
        spawn(move || u64::from(allow(&plan, &state, 19, 2).allowed))
    };
    let one = u64::from(allow(&plan, &state, 19, 1).allowed);
    // Either both of 19 s came at once, or one of them: then there is room for another.
    let (looks, two) = (sum([looks]), sum([two]));
    assert!(one + two == 1, "{OVER}, or {WASTED}");
    assert!(two == 1 || looks == 1, "{WASTED}");
}

/// One in two seconds, and two in ten, where one is left of both: two threads want it.
fn the_last_one_of_many(costs: [u64; 2]) {
    let plan = many("1/2s;2/10s");
    let state = plan.state(0);
    assert!(allow(&plan, &state, 3, 1).allowed && !allow(&plan, &state, 4, 1).allowed, "{WASTED}");
    let state = Arc::new(state);
    let ask = |cost: u64| {
        let (plan, state) = (plan.clone(), Arc::clone(&state));
        spawn(move || cost * u64::from(allow(&plan, &state, 9, cost).allowed))
    };
    let allowed = sum(costs.map(ask));
    assert!(allowed <= 1, "{OVER}");
    assert_eq!(allowed, 1, "{WASTED}");
    // The cost that was refused took nothing from either: what came at 3 s is out at 13 s, and what came at 9 s is not.
    assert!(!allow(&plan, &state, 11, 1).allowed, "{OVER}");
    assert!(allow(&plan, &state, 14, 1).allowed, "{WASTED}");
}

/// One in two seconds, of which two threads want one, and more in ten.
fn the_only_unit_of_the_first() {
    let plan = many("1/2s;5/10s");
    let state = plan.state(0);
    assert!(allow(&plan, &state, 3, 1).allowed, "{WASTED}");
    let state = Arc::new(state);
    let allowed = sum([asker(&plan, &state, 9), asker(&plan, &state, 9)]);
    assert!(allowed <= 1, "{OVER}");
    assert_eq!(allowed, 1, "{WASTED}");
}

/// A key's state, in the place that a map has for it.
struct Key {
    plan: Plan,
    place: Mutex<Option<Arc<State>>>,
    newest: u64,
}

impl Key {
    fn allow(&self, seconds: u64) -> u64 {
        loop {
            let state = {
                let mut place = self.place.lock();
                Arc::clone(place.get_or_insert_with(|| Arc::new(self.plan.state(second(self.newest)))))
            };
            match self.plan.decide(&state, second(seconds), 1, true) {
                Some(decision) => return decision.allowed.into(),
                None => self.take_out(&state),
            }
        }
    }

    fn take_out(&self, state: &Arc<State>) {
        let mut place = self.place.lock();
        if place.as_ref().is_some_and(|current| Arc::ptr_eq(current, state)) {
            *place = None;
        }
    }

    fn drop_idle(&self, seconds: u64) {
        let state = self.place.lock().clone();
        if let Some(state) = state
            && self.plan.close(&state, second(seconds))
        {
            self.take_out(&state);
        }
    }
}

/// An idle key is dropped while two want what it has, or one twice: with three threads loom takes long.
fn a_key_is_dropped(plan: Plan) {
    let key = Arc::new(Key { place: Mutex::new(Some(used(&plan))), plan, newest: 20 });
    let asks = |times: u64| {
        let key = Arc::clone(&key);
        spawn(move || (0..times).map(|_| key.allow(20)).sum())
    };
    let threads = if cfg!(hitring_loom) { vec![asks(3)] } else { vec![asks(1), asks(2)] };
    let sweeper = {
        let key = Arc::clone(&key);
        spawn(move || key.drop_idle(20))
    };
    let allowed = sum(threads);
    sweeper.join().expect("a model thread ends");
    assert!(allowed <= 2, "{OVER}");
    assert_eq!(allowed, 2, "{WASTED}");
}

/// A limiter whose rate is changed: the version and the state that hold.
struct Changing(Mutex<(Arc<Version>, Arc<State>)>);

impl Changing {
    /// As the map of a limiter does it: a decision that finds the state frozen makes the successor, too.
    fn allow(&self, after: &Arc<Version>, seconds: u64) -> u64 {
        loop {
            let (version, state) = self.0.lock().clone();
            match version.plan.decide(&state, second(seconds), 1, true) {
                Some(decision) => return decision.allowed.into(),
                None => self.change(&version, &state, after),
            }
        }
    }

    fn change(&self, before: &Version, state: &Arc<State>, after: &Arc<Version>) {
        state.freeze();
        let next = after.carry(before, state, 0, 0);
        let mut place = self.0.lock();
        if Arc::ptr_eq(&place.1, state) {
            *place = (Arc::clone(after), Arc::new(next));
        }
    }
}

/// One unit is left while the rate is changed to one that has as much.
fn the_rate_is_changed(burst: Option<u64>, known: u64) {
    let version = |rate: &str| {
        let form = Form { burst, resolution: None, ticks: 2, known };
        Version::new(rate.parse().expect("possible rates"), form).expect("they fit")
    };
    let before = Arc::new(version("2/2s"));
    let after = before.changed("2/3s".parse().expect("a possible rate"), None, second(12)).expect("it fits");
    let (state, after) = (used(&before.plan), Arc::new(after));
    assert!(allow(&before.plan, &state, 12, 1).allowed, "{WASTED}");
    let limiter = Arc::new(Changing(Mutex::new((Arc::clone(&before), Arc::clone(&state)))));
    let asker = {
        let (limiter, after) = (Arc::clone(&limiter), Arc::clone(&after));
        spawn(move || limiter.allow(&after, 12))
    };
    let changer = {
        let (limiter, after) = (Arc::clone(&limiter), Arc::clone(&after));
        spawn(move || {
            limiter.change(&before, &state, &after);
            0
        })
    };
    let allowed = limiter.allow(&after, 12) + sum([asker, changer]);
    assert!(allowed <= 1, "{OVER}");
    assert_eq!(allowed, 1, "{WASTED}");
    // And in what is after it.
    assert!(limiter.allow(&after, 12) == 0, "{OVER}");
}

#[test]
fn a_change_of_the_rate_takes_every_cost_along() {
    let models =
        [|| the_rate_is_changed(None, 0), || the_rate_is_changed(None, 65), || the_rate_is_changed(Some(2), 0)];
    for model in models {
        check(model);
        fails(Mutant::LimitCarriesOpen, OVER, model);
    }
}

#[test]
fn the_last_unit_goes_to_one() {
    for model in [|| the_last_one(window()), || the_last_one(bucket()), || the_last_one(log(2))] {
        check(model);
        fails(Mutant::LimitLoadStore, OVER, model);
    }
}

#[test]
fn a_tick_has_its_beginning_when_it_is_seen() {
    check(a_tick_is_begun_by_two);
    fails(Mutant::LimitStartsLate, WASTED, a_tick_is_begun_by_two);
}

#[test]
fn a_log_has_the_word_of_a_unit_when_it_is_seen() {
    check(the_only_unit);
    fails(Mutant::LimitStartsLate, OVER, the_only_unit);
    for model in [a_unit_is_about_to_come, costs_of_a_log_differ] {
        check(model);
        fails(Mutant::LimitForgetsLap, WASTED, model);
    }
    check(a_late_thread_is_ahead);
    fails(Mutant::LimitRaisesUnseen, OVER, a_late_thread_is_ahead);
    check(a_refusal_is_of_its_state);
    fails(Mutant::LimitRefusesUnseen, WASTED, a_refusal_is_of_its_state);
}

#[test]
fn several_limits_take_a_cost_together_or_not_at_all() {
    for model in [|| the_last_one_of_many([1, 1]), || the_last_one_of_many([1, 2])] {
        check(model);
    }
    fails(Mutant::LimitLoadStore, OVER, || the_last_one_of_many([1, 1]));
    check(the_only_unit_of_the_first);
    fails(Mutant::LimitStartsLate, OVER, the_only_unit_of_the_first);
}

#[test]
fn threads_in_different_ticks_share_one_window() {
    check(one_is_a_tick_ahead);
    check(one_is_a_lap_ahead);
}

#[test]
fn a_dropped_key_takes_no_cost_along() {
    for model in [|| a_key_is_dropped(window()), || a_key_is_dropped(bucket()), || a_key_is_dropped(log(2))] {
        check(model);
        fails(Mutant::LimitDropsOpen, OVER, model);
    }
}
