//! The ring of registers: its layout, the states of its words, and its estimates under real threads.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hitring::cell::form::Cell;
use hitring::sketch::morris::Base;
use hitring::sketch::morris_ring::MorrisRing;
use hitring::window::geometry::Geometry;
use hitring::window::{Reading, Span};
use hitring::{ConfigError, Outcome, Resolution, Tick};

use super::{Sample, base, numbers, with_error};

fn geometry(millis: u64, window: u32, slack: u32) -> Geometry {
    let resolution = Resolution::new(Duration::from_millis(millis)).expect("a possible resolution");
    Geometry::new(resolution, Duration::from_millis(millis) * window, slack).expect("a possible geometry")
}

fn usual() -> Geometry {
    geometry(1_000, 300, 20)
}

fn bases() -> Vec<Base> {
    [0.5, 0.1, 0.05, 0.01].map(with_error).into_iter().chain([base(2.0)]).collect()
}

fn tick(ring: &MorrisRing, geometry: &Geometry, tick: u64) -> Reading {
    ring.sum(geometry, Span { first: Tick(tick), to: Tick(tick) })
}

#[test]
fn the_table_of_the_header() {
    let rows = [
        (base(2.0), 5, 65),
        (with_error(0.5), 4, 81),
        (with_error(0.1), 3, 108),
        (with_error(0.05), 2, 161),
        (with_error(0.01), 1, 320),
    ];
    for (base, neighbours, words) in rows {
        let ring = MorrisRing::new(&usual(), base);
        assert_eq!((ring.neighbours(), ring.slots()), (neighbours, neighbours * words), "{base:?}");
        // The array is filled up to a cache line.
        assert_eq!(ring.bytes() - size_of::<MorrisRing>(), words.next_multiple_of(8) * 8, "{base:?}");
    }
}

/// The whole ring of ticks behind the newest is there, wherever in its word that lies; up to the year 9999.
#[test]
fn the_slack_holds_for_every_newest_tick() {
    for geometry in [usual(), geometry(1, 300, 20), geometry(1_000, 1, 0), geometry(60_000, 1_000, 1)] {
        for base in bases() {
            let slots = geometry.slots() as u64;
            for newest in (5_000..5_010).chain([geometry.resolution().last_tick().0]) {
                let ring = MorrisRing::new(&geometry, base);
                for tick in newest + 1 - slots..=newest {
                    assert_eq!(ring.record(&geometry, Tick(tick), 1), Outcome::Counted);
                }
                let span = Span { first: Tick(newest + 1 - slots), to: Tick(newest) };
                assert_eq!(ring.sum(&geometry, span), Reading::exact(slots), "{base:?} {newest}");
                assert_eq!(ring.newest(), Tick(newest));
                let cells: Vec<_> = (span.first.0..=newest).map(|tick| Cell { tick: Tick(tick), count: 1 }).collect();
                let mut ours = ring.cells(&geometry);
                ours.sort_unstable();
                assert_eq!(ours, cells, "{base:?} {newest}");
            }
        }
    }
}

#[test]
fn every_row_of_the_state_table() {
    let geometry = usual();
    for base in bases() {
        let ring = MorrisRing::new(&geometry, base);
        let (k, lap) = (ring.neighbours() as u64, ring.slots() as u64);
        let now = 7 * lap;
        // Never used, then older.
        assert_eq!(tick(&ring, &geometry, now), Reading::NONE);
        for old in now - lap..now {
            assert_eq!(ring.record(&geometry, Tick(old), 1), Outcome::Counted);
        }
        assert_eq!(tick(&ring, &geometry, now), Reading::NONE);
        assert!(!ring.record_current(&geometry, Tick(now), 1), "the short way does not begin a lap");
        assert_eq!(tick(&ring, &geometry, now - lap), Reading::exact(1));
        // Replaced whole.
        assert_eq!(ring.record(&geometry, Tick(now), 1), Outcome::Counted);
        assert_eq!(tick(&ring, &geometry, now), Reading::exact(1));
        for which in 0..k {
            assert_eq!(tick(&ring, &geometry, now - lap + which), Reading { count: 0, exact: false });
            assert_eq!(ring.record(&geometry, Tick(now - lap + which), 3), Outcome::Late);
            assert!(!ring.record_current(&geometry, Tick(now - lap + which), 3));
        }
        assert_eq!(tick(&ring, &geometry, now - lap + k), Reading::exact(1), "the next word");
        for which in 1..k {
            assert_eq!(tick(&ring, &geometry, now + which), Reading::NONE);
            assert!(!ring.record_current(&geometry, Tick(now + which), 1), "a neighbour has no hit yet");
        }
        // Ours.
        assert!(ring.record_current(&geometry, Tick(now), 0));
        assert!(ring.record_current(&geometry, Tick(now), 1_000));
        assert!(tick(&ring, &geometry, now).count > 1);
        assert_eq!(ring.outcomes(&geometry).late, 3 * k);
        // Reset.
        let (ever, outcomes) = (ring.ever(), ring.outcomes(&geometry));
        ring.reset(&geometry);
        assert!(ring.cells(&geometry).is_empty() && ring.newest() == Tick(0));
        assert_eq!((ring.ever(), ring.outcomes(&geometry)), (ever, outcomes));
    }
}

#[test]
fn an_amount_fits_or_is_refused_whole() {
    let geometry = usual();
    let base = base(2.0);
    let ring = MorrisRing::new(&geometry, base);
    let mut lucky = || 1e-30;
    assert_eq!(ring.record_with(&geometry, Tick(5), 0, &mut lucky), Outcome::Counted);
    assert!(ring.cells(&geometry).is_empty(), "no hits change nothing");
    assert_eq!(ring.record_with(&geometry, Tick(5), 63, &mut lucky), Outcome::Counted);
    let full = [Cell { tick: Tick(5), count: base.max_register() }];
    assert_eq!(ring.cells(&geometry), full);
    assert_eq!(ring.record_with(&geometry, Tick(5), 1, &mut lucky), Outcome::Saturated);
    assert_eq!(ring.record_with(&geometry, Tick(6), 64, &mut lucky), Outcome::Saturated);
    assert_eq!(ring.cells(&geometry), full, "the neighbour was not begun");
    assert_eq!(ring.outcomes(&geometry).saturated, 65);
    // It saturates by what is drawn, not by the largest amount.
    assert_eq!(ring.record(&geometry, Tick(7), i64::MAX as u64 / 16), Outcome::Counted);
    ring.refuse(Outcome::Future, 4);
    assert_eq!(ring.outcomes(&geometry).future, 4);
}

#[test]
fn registers_that_do_not_fit_name_an_error_that_does() {
    let small = geometry(1, 40, 20);
    let error = MorrisRing::check(&small, with_error(0.001)).expect_err("24 bits do not fit beside 42");
    let ConfigError::MorrisTooFine { thousandths, .. } = error else { panic!("{error}") };
    assert!(error.to_string().contains("0.002") && thousandths == 2, "{error}");
    assert_eq!(MorrisRing::check(&small, with_error(0.002)), Ok(()));
    assert_eq!(MorrisRing::check(&geometry(1, 300, 20), with_error(0.001)), Ok(()), "24 bits beside 40");
    assert_eq!(MorrisRing::check(&geometry(1_000, 40, 20), with_error(0.001)), Ok(()));
}

#[test]
fn sums_are_unbiased_and_as_exact_as_stated() {
    let geometry = usual();
    for base in [with_error(0.05), base(2.0)] {
        let mut draw = numbers(9);
        let mut sums = Vec::new();
        let mut evers = Vec::new();
        for _ in 0..400 {
            let ring = MorrisRing::new(&geometry, base);
            for tick in 10_000..10_020 {
                for amount in [1, 1, 1, 47, 50] {
                    assert_eq!(ring.record_with(&geometry, Tick(tick), amount, &mut draw), Outcome::Counted);
                }
            }
            sums.push(ring.sum(&geometry, Span { first: Tick(9_900), to: Tick(10_019) }).count as f64);
            evers.push(ring.outcomes(&geometry).counted as f64);
        }
        let (sums, evers) = (Sample::of(&sums), Sample::of(&evers));
        assert!(sums.off(2_000.0) < 4.0 && evers.off(2_000.0) < 4.0, "{base:?}: {sums:?} {evers:?}");
        // Twenty independent estimates are more exact than one.
        let expected = base.error() * 2_000.0 / 20f64.sqrt();
        assert!((sums.variance.sqrt() / expected - 1.0).abs() < 0.2, "{base:?}: {sums:?}, not {expected}");
        assert!(evers.variance.sqrt() < base.error() * 2_000.0 * 1.25, "{base:?}: {evers:?}");
    }
}

/// Threads that begin together, in the same two neighbouring ticks of the same fresh rings, behind a line they spin on.
#[test]
fn threads_leave_no_bias() {
    const THREADS: usize = 4;
    const HITS: u64 = 25;
    let geometry = usual();
    for base in [base(2.0), with_error(0.3)] {
        let rings: Vec<_> = (0..if cfg!(hitring_tsan) { 200 } else { 3_000 })
            .map(|_| (MorrisRing::new(&geometry, base), AtomicUsize::new(THREADS)))
            .collect();
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    for (ring, waiting) in &rings {
                        waiting.fetch_sub(1, Ordering::AcqRel);
                        let mut spins = 0u32;
                        while waiting.load(Ordering::Acquire) > 0 {
                            std::hint::spin_loop();
                            spins += 1;
                            if spins.is_multiple_of(1 << 8) {
                                std::thread::yield_now();
                            }
                        }
                        for _ in 0..HITS {
                            for tick in [100, 101] {
                                if !ring.record_current(&geometry, Tick(tick), 1) {
                                    assert_eq!(ring.record(&geometry, Tick(tick), 1), Outcome::Counted);
                                }
                            }
                        }
                    }
                });
            }
        });
        let hits = THREADS as f64 * HITS as f64;
        let of = |estimate: &dyn Fn(&MorrisRing) -> f64| {
            Sample::of(&rings.iter().map(|(ring, _)| estimate(ring)).collect::<Vec<_>>())
        };
        for at in [100, 101] {
            let sample = of(&|ring| tick(ring, &geometry, at).count as f64);
            assert!(sample.off(hits) < 5.0, "{base:?} tick {at}: {sample:?}, not {hits}");
        }
        let sample = of(&|ring| ring.outcomes(&geometry).counted as f64);
        assert!(sample.off(2.0 * hits) < 5.0, "{base:?} all time: {sample:?}");
    }
}

/// A child that forks after its parent has drawn does not draw the same.
#[cfg(all(target_os = "linux", not(hitring_tsan)))]
#[test]
fn a_forked_child_draws_other_numbers() {
    use std::io::{Read, Write};
    use std::os::fd::FromRawFd;

    fn drawn() -> [u8; 64] {
        let mut bytes = [0; 64];
        for word in bytes.as_chunks_mut::<8>().0 {
            *word = hitring::sketch::draw::unit().to_le_bytes();
        }
        bytes
    }

    let _ = drawn();
    let mut ends = [0; 2];
    // SAFETY: `ends` has room for both ends.
    assert_eq!(unsafe { libc::pipe(ends.as_mut_ptr()) }, 0);
    // SAFETY: the child uses only what it owns and leaves by `_exit`, which runs nothing of the parent's.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "fork failed");
    if child == 0 {
        // SAFETY: the write end is this block's alone.
        let mut pipe = unsafe { std::fs::File::from_raw_fd(ends[1]) };
        let written = pipe.write_all(&drawn());
        drop(pipe);
        // SAFETY: always allowed.
        unsafe { libc::_exit(i32::from(written.is_err())) };
    }
    // SAFETY: the write end is closed once, here; the read end is this function's alone.
    unsafe { libc::close(ends[1]) };
    let mut theirs = Vec::new();
    // SAFETY: as above.
    let mut pipe = unsafe { std::fs::File::from_raw_fd(ends[0]) };
    pipe.read_to_end(&mut theirs).expect("the pipe can be read");
    let mut status = 0;
    // SAFETY: `status` is valid, and the child is ours.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert_eq!((status, theirs.len()), (0, 64), "the child failed");
    assert_ne!(drawn().as_slice(), theirs);
}
