//! Limits in shared words: one step at a time, killed and stopped at each, against plans in memory and against logs.
//!
//! Tests: `tests/limit`.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use proptest::prelude::*;

use super::super::slot::stopped;
use super::*;
use crate::limit::plan::{Plan, State};
use crate::sync::AtomicU64;

const SECOND: u64 = 1_000_000_000;
const LIMIT: u64 = 5;

fn rate(limit: u64, seconds: u64) -> Rate {
    Rate::new(limit, Duration::from_secs(seconds)).expect("a possible rate")
}

/// How many plans there are.
const PLANS: usize = 4;

/// Two windows whose words look alike, a bucket and a log.
fn plan(which: usize) -> SharedPlan {
    let plan = match which {
        0 | 1 => SharedPlan::sliding(rate(LIMIT, [10, 20][which]), TICKS, 0),
        2 => SharedPlan::new(rate(10, 10), Some(LIMIT), 0),
        _ => SharedPlan::new(rate(LIMIT, 10), None, 0),
    };
    plan.expect("it fits")
}

/// The same in memory.
fn alone(which: usize) -> (Plan, State) {
    let plan = match which {
        0 | 1 => Plan::Sliding(sliding::Plan::new(rate(LIMIT, [10, 20][which]), TICKS).expect("it fits")),
        2 => Plan::Bucket(bucket::Plan::new(rate(10, 10), LIMIT).expect("it fits")),
        _ => Plan::Log(log::Plan::new(rate(LIMIT, 10), 0)),
    };
    let state = plan.state(0);
    (plan, state)
}

/// Words for so many keys, as another process would find them.
#[derive(Clone)]
struct File(Rc<[AtomicU64]>);

impl File {
    fn new(slots: usize) -> Self {
        Self((0..slots * WORDS).map(|_| AtomicU64::new(0)).collect())
    }

    fn keys(&self) -> SharedKeys<'_> {
        SharedKeys::new(&self.0).expect("there is a slot")
    }

    fn ask(&self, which: usize, key: u64, now: u64, cost: u64) -> Answer {
        let by = plan(which);
        self.keys().decide(&By::only(&by), hash(which, key), now, cost, WhenKeysFull::Refuse).expect("it never changes")
    }

    fn allows(&self, which: usize, key: u64, now: u64, cost: u64) -> bool {
        self.ask(which, key, now, cost).decision.allowed
    }

    /// How many of `LIMIT` and one more are let through, one at a time.
    fn takes(&self, which: usize, key: u64, now: u64) -> u64 {
        (0..=LIMIT).map(|_| u64::from(self.allows(which, key, now, 1))).sum()
    }
}

fn hash(which: usize, key: u64) -> u64 {
    let mixed = (key * PLANS as u64 + which as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

#[test]
fn keys_have_limits_of_their_own() {
    let file = File::new(40);
    for which in 0..PLANS {
        for key in 0..5 {
            assert_eq!(file.keys().peek(&By::only(&plan(which)), hash(which, key), 0, 1).remaining, LIMIT);
            assert_eq!(file.takes(which, key, 0), LIMIT);
            assert_eq!(file.keys().peek(&By::only(&plan(which)), hash(which, key), 0, 1).remaining, 0);
        }
    }
    assert_eq!((file.keys().len(0), file.keys().len(100 * SECOND)), (5 * PLANS, 0));
}

#[test]
fn what_takes_nothing_makes_no_key() {
    let file = File::new(1);
    assert!(file.allows(0, 1, 0, 0) && !file.allows(0, 1, 0, LIMIT + 1));
    assert!(file.keys().peek(&By::only(&plan(0)), hash(0, 1), 0, 1).allowed);
    assert!(file.0.iter().all(|word| word.load(crate::sync::Ordering::Relaxed) == 0));
    assert_eq!(file.ask(2, 1, 0, LIMIT + 1).decision.retry_after, None);
}

#[test]
fn an_idle_key_makes_room_exactly_when_it_is_as_good_as_new() {
    for which in 0..PLANS {
        let file = File::new(1);
        let now = 7 * SECOND + 1;
        assert!(file.allows(which, 1, now, 2));
        let refused = file.ask(which, 2, now, 1);
        assert!(refused.lacked_room && !refused.decision.allowed && refused.decision.remaining == 0);
        let free = now + refused.decision.retry_after.expect("it is free then").as_nanos() as u64;
        // A window of ten ticks and the running one; two tokens; a window.
        assert_eq!(free, [18 * SECOND, 28 * SECOND, 9 * SECOND + 1, 17 * SECOND + 1][which]);
        assert!(file.ask(which, 2, free - 1, 1).lacked_room);
        assert!(file.allows(which, 1, free - 1, 1), "it is still there");
        let free = free.max(file.keys().slot(0).until());
        assert!(file.ask(which, 2, free - 1, 1).lacked_room);
        assert_eq!(file.takes(which, 2, free), LIMIT);
        assert!(file.ask(which, 1, free, 1).lacked_room);
    }
}

#[test]
fn without_room_costs_are_refused_or_unlimited_as_asked() {
    let file = File::new(3 * BLOCK);
    for key in 0..1_000 {
        let _ = file.ask(0, key, 0, 1);
    }
    assert_eq!(file.keys().len(0), 3 * BLOCK);
    let by = plan(0);
    let allow = |cost| {
        let answer = file.keys().decide(&By::only(&by), hash(0, 1_001), 0, cost, WhenKeysFull::Allow);
        answer.expect("it never changes")
    };
    for _ in 0..2 * LIMIT {
        let answer = allow(1);
        assert!(answer.lacked_room && answer.decision.allowed);
    }
    let answer = allow(LIMIT + 1);
    assert!(!answer.decision.allowed, "more than there ever is");
}

#[test]
fn nothing_is_left_of_the_key_before() {
    // Many more than the sixteen epochs that a state tells apart, and each plan after each other.
    let file = File::new(1);
    let mut now = 0;
    for round in 0..2_000u64 {
        let which = (round * round / 3 % PLANS as u64) as usize;
        now += 25 * SECOND;
        let (plan, state) = alone(which);
        for step in 0..9 {
            let (now, cost) = (now + step * 900_000_000, 1 + step % 3);
            let alone = plan.decide(&state, now, cost, true).expect("it is open");
            let answer = file.ask(which, round, now, cost);
            assert_eq!(answer, Answer { decision: alone, lacked_room: false }, "round {round}, step {step}");
        }
        now += 10 * SECOND;
    }
}

#[test]
fn a_key_that_comes_late_begins_when_it_lost_its_slot() {
    for which in 0..PLANS {
        let file = File::new(2);
        assert_eq!(file.takes(which, 1, 5 * SECOND), LIMIT);
        // Both slots change hands.
        for key in [2, 3] {
            assert!(file.allows(which, key, 100 * SECOND, 1));
        }
        // Its process read the clock long ago: in one of the slots it has its limit once more, and once only.
        assert!(file.ask(which, 1, 6 * SECOND, 1).lacked_room);
        let taken = file.takes(which, 1, 6 * SECOND) + file.takes(which, 1, 130 * SECOND);
        assert_eq!(taken, LIMIT);
        assert_eq!(file.takes(which, 1, 129 * SECOND), 0);
    }
    let file = File::new(2);
    assert_eq!(file.takes(0, 1, 5 * SECOND), LIMIT);
    for key in [2, 3] {
        assert!(file.allows(2, key, 100 * SECOND, 1));
    }
    // One is free at 101 s as of the clock of another, and the late one finds it given up.
    let slot = file.keys().slot(0);
    let look = slot.look().expect("no other thread");
    assert!(slot.close(look, look.key.next(0)) && slot.abandon(look.key));
    assert_eq!(file.takes(0, 1, 6 * SECOND), LIMIT);
    assert_eq!(file.takes(0, 1, 100 * SECOND), 0, "it began as of 100 s");
}

#[test]
fn time_ends_closed() {
    for which in 0..PLANS {
        let file = File::new(1);
        let all: u64 =
            (0..100).map(|more| file.takes(which, 1, LAST - 50 + more) + file.takes(which, 1, u64::MAX)).sum();
        assert!(all <= LIMIT, "{which}: {all}");
    }
}

#[test]
fn plans_that_do_not_fit_are_refused() {
    let per_ms: Rate = "4294967296/ms".parse().expect("a rate");
    assert!(matches!(SharedPlan::new(per_ms, None, 0), Err(LimitError::TooFine { .. })));
    assert!(SharedPlan::new(per_ms, Some(1_000), 0).is_ok());
    assert!(matches!(SharedPlan::new(rate(1, 1), Some(0), 0), Err(LimitError::Burst { given: 0 })));
    let decades = rate(1, 20 * 366 * 86_400);
    assert!(SharedPlan::new(decades, None, 0).is_err() && SharedPlan::new(decades, Some(1), 0).is_err());
    assert!(SharedPlan::new(rate(1_000_000, 1), None, 0).is_ok());
    assert!(SharedKeys::new(&[]).is_none());
}

#[test]
fn room_is_as_stated() {
    let keys = 20_000;
    let file = File::new(SharedKeys::words_for(keys) / WORDS);
    let lacked = (0..keys as u64).filter(|&key| file.ask(0, key, 0, 1).lacked_room).count();
    assert_eq!((lacked, file.keys().len(0)), (0, keys));
    assert_eq!(SharedKeys::words_for(1), BLOCK * WORDS);
}

/// A new key is killed before each of its changes in turn. Then it asks again, and so does another key.
#[test]
fn a_kill_at_any_step_leaves_what_others_go_on_with() {
    for which in 0..PLANS {
        for other in 0..PLANS {
            let mut steps = 0;
            loop {
                let file = File::new(1);
                assert_eq!(file.takes(other, 1, 0), LIMIT);
                let now = 50 * SECOND;
                let answer = stopped::killed_after(steps, || file.ask(which, 2, now, 1));
                // A cost whose process was killed counts or does not.
                let taken = file.takes(which, 2, now);
                assert!((LIMIT - 1..=LIMIT).contains(&taken), "{which} after {other}, {steps} steps: {taken}");
                assert_eq!(file.takes(which, 2, now), 0);
                assert_eq!(file.takes(other, 1, 100 * SECOND), LIMIT);
                steps += 1;
                if answer.is_some() {
                    break;
                }
            }
            assert!(steps > 6, "{steps}");
        }
    }
}

/// After a claim was killed, the old key finds its slot as it was, or has lost it for good.
#[test]
fn a_claimed_slot_is_had_by_the_old_key_too() {
    for steps in 0..20 {
        let file = File::new(1);
        assert_eq!(file.takes(0, 1, 0), LIMIT);
        let _ = stopped::killed_after(steps, || file.ask(1, 2, 50 * SECOND, 1));
        let taken = file.takes(0, 1, 50 * SECOND);
        // Once the killed process's cost may have been let through, the slot belongs to the new key.
        assert!(taken == LIMIT || taken == 0 && file.keys().len(50 * SECOND) == 1, "{steps} steps: {taken}");
    }
}

#[test]
fn of_two_pending_slots_of_one_key_one_is_settled() {
    for left in [0, 1] {
        let (file, plan, hash) = (File::new(2), plan(2), hash(2, 1));
        let (keys, now) = (file.keys(), SECOND);
        let wanted = Wanted { hash, now, beside: 0, until: Some(&|now| plan.until(now, 1)), begins: None };
        let pend = |at: usize| {
            let look = keys.slot(at).look().expect("no other thread");
            keys.claim(&wanted, at, look).expect("no other thread")
        };
        let both = [pend(0), pend(1)];
        // The processes of both are gone, so that a later process decides between them, from either side.
        let settled = keys.settle(&wanted, left, both[left]);
        assert_eq!(settled, left == 0);
        assert_eq!(file.takes(2, 1, now), LIMIT);
        assert_eq!(keys.len(now), 1);
        assert!(keys.slot(1).key().is_nobody());
    }
}

/// A process is stopped at any step, while all others do whatever they want, for any time. Then it continues.
#[test]
fn who_was_stopped_goes_on_without_harm() {
    for (which, other) in [(0, 1), (1, 0), (2, 0), (0, 2), (0, 0), (2, 2), (3, 0), (0, 3), (3, 3)] {
        for (slots, known) in [(1, false), (2, false), (1, true), (2, true)] {
            // Long enough for the slot to be another key's, and for its epochs to come round.
            for others in [1, 2, 16, 31, 32, 33] {
                for steps in 0.. {
                    let file = File::new(slots);
                    assert_eq!(file.takes(other, 9, 0), LIMIT);
                    if known {
                        assert!(file.allows(which, 1, 50 * SECOND, 1));
                    }
                    let (theirs, was_stopped) = (file.clone(), Rc::new(Cell::new(false)));
                    let end = (100 + others * 50) * SECOND;
                    let stops = Rc::clone(&was_stopped);
                    let meanwhile = move || {
                        stops.set(true);
                        for round in 1..=others {
                            let now = (50 + round * 50) * SECOND;
                            for key in [round + 10, round + 100] {
                                let _ = theirs.ask(other, key, now, 1);
                            }
                        }
                        assert_eq!(theirs.takes(other, 8, end), LIMIT);
                        assert!(theirs.takes(which, 1, end) <= LIMIT);
                    };
                    let _ = stopped::after(steps, meanwhile, || file.ask(which, 1, 51 * SECOND, 1));
                    if !was_stopped.get() {
                        assert!(steps > 1, "{steps}");
                        break;
                    }
                    let told = format!("{which} against {other}, {slots} slots, {others} others, {steps} steps");
                    assert_eq!(file.takes(other, 8, end), 0, "{told}");
                    assert!(file.takes(which, 1, end) <= LIMIT, "{told}");
                    assert_eq!(file.takes(which, 1, end), 0, "{told}");
                    let later = end + 60 * SECOND;
                    assert_eq!(file.takes(which, 1, later), LIMIT, "{told}");
                    assert_eq!(file.takes(which, 1, later), 0, "{told}");
                }
            }
        }
    }
}

/// Ticks of one plan are twice as long as those of the other, so at twice the time their states look the same; and the slot
/// has changed hands so often that the four bits of the epoch are the same, too.
#[test]
fn a_state_of_another_tenancy_is_not_taken_for_ours() {
    let (file, start) = (File::new(1), 1_000 * SECOND);
    assert!(file.allows(0, 1, start, 1));
    let theirs = file.clone();
    let meanwhile = move || {
        for round in 1..16 {
            assert!(theirs.allows(0, 1 + round, start + round * 25 * SECOND, 1));
        }
        assert!(theirs.allows(1, 1, 2 * start, 1));
    };
    // It looks at key and state once, raises no beginning, and is stopped before its exchange.
    let answer = stopped::after(2, meanwhile, || file.ask(0, 1, start, 1));
    assert!(answer.lacked_room);
    assert_eq!(file.takes(1, 1, 2 * start), LIMIT - 1);
}

/// What was let through, when.
type Log = Vec<(u64, u64)>;

/// Whether no span of time holds more than it may.
fn is_within(which: usize, log: &Log) -> bool {
    log.iter().all(|&(from, _)| {
        log.iter().all(|&(to, _)| {
            let within: u64 = log.iter().filter(|(at, _)| (from..=to).contains(at)).map(|(_, cost)| cost).sum();
            let may = match which {
                2 => LIMIT + to.saturating_sub(from) / SECOND,
                _ if to >= from + [10, 20, 0, 10][which] * SECOND => u64::MAX,
                _ => LIMIT,
            };
            within <= may
        })
    })
}

#[derive(Clone, Copy, Debug)]
enum Fate {
    Lives,
    Killed(usize),
    Stopped(usize, usize),
}

fn fates() -> impl Strategy<Value = Fate> {
    prop_oneof![
        6 => Just(Fate::Lives),
        1 => (0usize..40).prop_map(Fate::Killed),
        2 => (0usize..40, 1usize..6).prop_map(|(steps, others)| Fate::Stopped(steps, others)),
    ]
}

/// One question: after how many milliseconds, of which plan and key, for how much, and the fate of the process that asks.
type Question = (u64, usize, u64, u64, Fate);

/// All that is known of a run.
struct Run {
    file: File,
    now: u64,
    alone: Vec<(Plan, State)>,
    /// Of which keys it is not known what was let through, or when.
    blurred: Vec<bool>,
    logs: Vec<Log>,
}

impl Run {
    fn ask(run: &Rc<RefCell<Self>>, questions: &mut std::slice::Iter<'_, Question>) -> bool {
        let Some(&(wait, which, key, cost, fate)) = questions.next() else { return false };
        let (file, now, of) = {
            let mut run = run.borrow_mut();
            run.now += wait * 1_000_000;
            (run.file.clone(), run.now, which * 3 + key as usize)
        };
        let decide = || file.ask(which, key, now, cost);
        let answer = match fate {
            Fate::Lives => Some(decide()),
            Fate::Killed(steps) => stopped::killed_after(steps, decide),
            Fate::Stopped(steps, others) => {
                let (run, theirs): (_, Vec<Question>) =
                    (Rc::clone(run), questions.by_ref().take(others).copied().collect());
                let lives = |&(wait, which, key, cost, _): &Question| (wait, which, key, cost, Fate::Lives);
                let theirs: Vec<Question> = theirs.iter().map(lives).collect();
                let meanwhile = move || {
                    let mut theirs = theirs.iter();
                    while Self::ask(&run, &mut theirs) {}
                };
                Some(stopped::after(steps, meanwhile, decide))
            }
        };
        let mut run = run.borrow_mut();
        let returned = run.now;
        let let_through = answer.filter(|answer| answer.decision.allowed);
        match (fate, answer) {
            (Fate::Lives, Some(answer)) => {
                let (plan, state) = &run.alone[of];
                if !run.blurred[of] && !answer.lacked_room {
                    let alone = plan.decide(state, now, cost, true).expect("it is open");
                    assert_eq!(answer.decision, alone, "plan {which}, key {key}, {cost} at {now}");
                }
                if let_through.is_some() {
                    run.logs[of].push((now, cost));
                    assert!(is_within(which, &run.logs[of]), "plan {which}, key {key}: {:?}", run.logs[of]);
                }
            }
            _ => {
                run.blurred[of] = true;
                // It was let through as of a time between question and answer.
                let within = (now..=returned).step_by(50_000_000).chain([returned]).any(|at| {
                    let mut log = run.logs[of].clone();
                    log.push((at, cost));
                    is_within(which, &log)
                });
                assert!(let_through.is_none() || within, "plan {which}, key {key}: {:?}", run.logs[of]);
            }
        }
        true
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// More keys than slots, of which some are asked for by processes that are killed or stopped.
    #[test]
    fn it_is_as_exact_as_in_memory(
        questions in proptest::collection::vec((0u64..6_000, 0usize..PLANS, 0u64..3, 0u64..4, fates()), 1..120),
        slots in 1usize..8,
    ) {
        let run = Run {
            file: File::new(slots),
            now: 0,
            alone: (0..3 * PLANS).map(|of| alone(of / 3)).collect(),
            blurred: vec![false; 3 * PLANS],
            logs: vec![Log::new(); 3 * PLANS],
        };
        let run = Rc::new(RefCell::new(run));
        let mut questions = questions.iter();
        while Run::ask(&run, &mut questions) {}
    }
}
