//! Morris registers: what a hit raises is decided for the register it is counted in, and nothing is lost to neighbours.
//!
//! Each thread's numbers are given, so that the final register is the same in every interleaving, or the mean is off.

use hitring::sketch::morris::Base;
use hitring::sketch::morris_ring::MorrisRing;
use hitring::sync::mutant::Mutant;
use hitring::window::geometry::Geometry;
use hitring::{Morris, Outcome, Tick};

use super::{geometry, span};
use crate::explorer::{Arc, JoinHandle, check, fails, spawn};

const BIASED: &str = "the mean of the estimates is off";
const LOST: &str = "a hit was lost or invented";

struct Registers {
    geometry: Geometry,
    ring: MorrisRing,
}

impl Registers {
    /// Base 2, every register of lap 0 raised.
    fn used() -> Arc<Self> {
        let geometry = geometry(2, 3);
        let ring = MorrisRing::new(&geometry, Base::new(2.0).expect("the seed's base"));
        let registers = Self { geometry, ring };
        for tick in 0..registers.lap() {
            assert_eq!(registers.record(tick, 1, &[]), Outcome::Counted);
        }
        Arc::new(registers)
    }

    /// The ticks of a lap.
    fn lap(&self) -> u64 {
        self.ring.slots() as u64
    }

    /// Counts `amount` hits; `numbers` decide the tick's register, then that of all time; behind them come ones, which
    /// raise nothing.
    fn record(&self, tick: u64, amount: u64, numbers: &[f64]) -> Outcome {
        let mut numbers = numbers.iter();
        let mut draw = || *numbers.next().unwrap_or(&1.0);
        self.ring.record_with(&self.geometry, Tick(tick), amount, &mut draw)
    }

    fn register(&self, tick: u64) -> u64 {
        self.ring.cells(&self.geometry).iter().find(|cell| cell.tick == Tick(tick)).map_or(0, |cell| cell.count)
    }
}

fn writer(registers: &Arc<Registers>, tick: u64, amount: u64, numbers: &'static [f64]) -> JoinHandle<()> {
    let registers = Arc::clone(registers);
    spawn(move || assert_eq!(registers.record(tick, amount, numbers), Outcome::Counted))
}

fn end(threads: impl IntoIterator<Item = JoinHandle<()>>) {
    threads.into_iter().for_each(|thread| thread.join().expect("a model thread ends"));
}

/// Both hits find register 0 of a new lap, from which a raise is certain. From register 1 the chance is 1/2, and 0.9 is
/// none: the second hit must not raise it, whichever it is.
fn first_hits() {
    let registers = Registers::used();
    let tick = registers.lap();
    end([0, 1].map(|_| writer(&registers, tick, 1, &[0.9])));
    assert_eq!(registers.register(tick), 1, "{BIASED}");
}

/// Both hits draw a raise from register 1; from register 2 the chance is 1/4. By `numbers`, the same for both.
fn second_hits(numbers: &'static [f64], expected: u64) {
    let registers = Registers::used();
    let tick = registers.lap();
    assert_eq!(registers.record(tick, 1, &[]), Outcome::Counted);
    end([0, 1].map(|_| writer(&registers, tick, 1, numbers)));
    assert_eq!(registers.register(tick), expected, "{BIASED}");
}

/// 0.2 raises register 1 and register 2. The 0.9 behind it is for the all-time register, unless a hit draws anew.
fn lucky() {
    second_hits(&[0.2, 0.9], 3);
}

/// 0.4 raises register 1, but not register 2.
fn unlucky() {
    second_hits(&[0.4, 0.9], 2);
}

/// Two neighbours in a word, the first hits of their lap: each brings its own register, and neither the other's back.
fn neighbours() {
    let registers = Registers::used();
    assert!(registers.ring.neighbours() > 1, "the model needs ticks that share a word");
    let tick = registers.lap();
    end([tick, tick + 1].map(|tick| writer(&registers, tick, 1, &[])));
    assert_eq!([tick, tick + 1].map(|tick| registers.register(tick)), [1, 1], "{LOST}");
    assert_eq!(registers.ring.newest(), Tick(tick + 1), "{LOST}");
    assert!(!registers.ring.sum(&registers.geometry, span(0, 1)).exact, "{LOST}");
}

/// Neighbours again, in a lap that both have hits in: a hit that loses to its neighbour must not be decided twice.
fn raised_neighbours() {
    let registers = Registers::used();
    let tick = registers.lap();
    for tick in [tick, tick + 1] {
        assert_eq!(registers.record(tick, 1, &[]), Outcome::Counted);
    }
    end([tick, tick + 1].map(|tick| writer(&registers, tick, 1, &[0.4, 0.9])));
    assert_eq!([tick, tick + 1].map(|tick| registers.register(tick)), [2, 2], "{BIASED}");
}

/// A slow hit of lap 1 against lap 2 of its word: counted in its own tick or late, never in the later lap.
fn stale_writer() {
    let registers = Registers::used();
    let lap = registers.lap();
    let slow = {
        let registers = Arc::clone(&registers);
        spawn(move || registers.record(lap, 1, &[]))
    };
    let fast = writer(&registers, 2 * lap, 1, &[]);
    let slow = slow.join().expect("a model thread ends");
    end([fast]);
    assert!(matches!(slow, Outcome::Counted | Outcome::Late), "{LOST}");
    assert_eq!((registers.register(2 * lap), registers.register(lap)), (1, 0), "{LOST}");
    assert_eq!(registers.ring.outcomes(&registers.geometry).late, u64::from(slow == Outcome::Late), "{LOST}");
}

/// An amount takes several steps; readers beside it never see a register go down, or half a step.
fn reader() {
    let registers = Registers::used();
    let tick = registers.lap();
    let threads = [3, 1].map(|amount| writer(&registers, tick, amount, &[0.1; 20]));
    let reader = {
        let registers = Arc::clone(&registers);
        spawn(move || {
            let sum = || registers.ring.sum(&registers.geometry, span(tick, tick)).count;
            let (first, second) = (sum(), sum());
            assert!(first <= second, "{LOST}: {first} {second}");
        })
    };
    end(threads.into_iter().chain([reader]));
    assert_eq!(registers.register(tick), 4, "{LOST}");
}

/// The same in a [`Morris`], which has the register alone: two hits by `numbers`, after `before` others.
fn counter(before: u64, numbers: &'static [f64], expected: u64) {
    let counter = Arc::new(Morris::with_base(2.0).expect("the seed's base"));
    (0..before).for_each(|_| assert_eq!(counter.record_with(1, &mut || 0.2), Outcome::Counted));
    end([0, 1].map(|_| {
        let counter = Arc::clone(&counter);
        let mut numbers = numbers.iter();
        spawn(move || {
            let mut draw = || *numbers.next().unwrap_or(&1.0);
            assert_eq!(counter.record_with(1, &mut draw), Outcome::Counted);
        })
    }));
    let registers = counter.registers();
    assert_eq!(registers.iter().map(|(_, register, ())| register).collect::<Vec<_>>(), [expected], "{BIASED}");
}

fn counter_first_hits() {
    counter(0, &[0.9], 1);
}

fn counter_lucky() {
    counter(1, &[0.2, 0.9], 3);
}

fn counter_unlucky() {
    counter(1, &[0.4, 0.9], 2);
}

#[test]
fn a_counter_decides_again_by_the_same_number() {
    check(counter_first_hits);
    check(counter_lucky);
    check(counter_unlucky);
    fails(Mutant::MorrisKeepsStep, BIASED, counter_first_hits);
    fails(Mutant::MorrisKeepsStep, BIASED, counter_unlucky);
    fails(Mutant::MorrisDrawsAnew, BIASED, counter_lucky);
    fails(Mutant::LifeLoadStore, BIASED, counter_lucky);
}

#[test]
fn a_lost_exchange_decides_again() {
    check(first_hits);
    check(lucky);
    check(unlucky);
    check(raised_neighbours);
    fails(Mutant::MorrisKeepsStep, BIASED, first_hits);
    fails(Mutant::MorrisKeepsStep, BIASED, unlucky);
}

#[test]
fn a_lost_exchange_keeps_its_number() {
    fails(Mutant::MorrisDrawsAnew, BIASED, lucky);
    fails(Mutant::MorrisDrawsAnew, BIASED, raised_neighbours);
}

#[test]
fn no_register_is_lost_to_a_neighbour_or_a_lap() {
    check(neighbours);
    check(stale_writer);
    fails(Mutant::SlotLoadStore, LOST, neighbours);
    fails(Mutant::SlotLoadStore, LOST, stale_writer);
}

#[test]
fn a_register_never_goes_down() {
    check(reader);
    fails(Mutant::SlotLoadStore, LOST, reader);
}
