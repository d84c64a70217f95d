//! Uniques of a window against one sketch of all items that it should have.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use hitring::sketch::hyperloglog::HyperLogLog;
use hitring::sketch::hyperloglog::hash::murmur;
use hitring::sketch::hyperloglog::precision::Precision;
use hitring::sketch::uniques::{Parts, Uniques};
use hitring::sync::Mutex;
use hitring::window::Span;
use hitring::window::geometry::Geometry;
use hitring::{Outcome, Resolution, Tick};
use proptest::prelude::*;

use crate::threads::together;

fn parts_of(resolution_ms: u64, window: u32, slack: u32) -> Parts {
    let resolution = Resolution::new(Duration::from_millis(resolution_ms)).expect("it is possible");
    let geometry = Geometry::new(resolution, resolution.width() * window, slack).expect("it is possible");
    Parts::new(&geometry, Precision::REDIS)
}

fn parts() -> Parts {
    parts_of(1_000, 300, 20)
}

fn item(number: u64) -> u64 {
    murmur(&number.to_le_bytes())
}

fn span(first: u64, to: u64) -> Span {
    Span { first: Tick(first), to: Tick(to) }
}

/// What a sketch of just these items counts.
fn sketched(items: impl IntoIterator<Item = u64>) -> u64 {
    let sketch = HyperLogLog::new();
    items.into_iter().for_each(|number| _ = sketch.add_hash(item(number)));
    sketch.count()
}

#[test]
fn parts_are_a_sixteenth_of_the_window_and_a_second_at_least() {
    assert_eq!((parts().width(), parts_of(1_000, 16, 0).width(), parts_of(1_000, 1, 0).width()), (19, 1, 1));
    assert_eq!((parts_of(1, 1_000, 0).width(), parts_of(1, 1 << 20, 0).width()), (1_000, 65_536));
    assert_eq!(parts_of(60_000, 60, 0).width(), 4);
}

#[test]
fn a_few_items_take_eighty_bytes() {
    let uniques = Uniques::new();
    for second in 0..100_000 {
        assert_eq!(uniques.add(parts(), Tick(second), item(second % 8)), Outcome::Counted);
    }
    assert!(uniques.bytes() <= 80, "{}", uniques.bytes());
    assert_eq!(uniques.count(parts(), span(99_701, 100_000)).count, 8);
    assert_eq!(uniques.ever(parts()), 8);
}

#[test]
fn items_leave_with_their_part() {
    let uniques = Uniques::new();
    for second in 0..3_000 {
        uniques.add(parts(), Tick(second), item(second / 3));
    }
    let all = uniques.count(parts(), span(2_700, 2_999));
    // Whole parts: of the older end up to one more.
    assert!(all.exact && (100..=108).contains(&all.count), "{all:?}");
    let one = uniques.count(parts(), span(2_999, 2_999));
    assert!(one.exact && (1..=7).contains(&one.count), "{one:?}");
    assert!((960..=1_040).contains(&uniques.ever(parts())), "{}", uniques.ever(parts()));
    assert!(!uniques.count(parts(), span(0, 2_999)).exact);
    assert_eq!(uniques.add(parts(), Tick(10), item(1)), Outcome::Late);
    assert!(uniques.bytes() < 300 * 1_024);
}

proptest! {
    /// An answer that says it is whole is that of one sketch of the items that were added in the parts it touches.
    #[test]
    fn whole_answers_are_those_of_one_sketch(
        adds in prop::collection::vec((0u64..40, 0u64..900), 0..200),
        few in any::<bool>(),
        (resolution, window, slack) in prop::sample::select(vec![(1_000, 300, 20), (1_000, 16, 0), (1, 500, 7)]),
        queries in prop::collection::vec((0u64..900, 1u64..300), 1..20),
    ) {
        let parts = parts_of(resolution, window, slack);
        let uniques = Uniques::new();
        let (mut counted, mut ever) = (Vec::new(), HashSet::new());
        for (number, tick) in adds {
            let number = if few { number % 4 } else { number };
            if uniques.add(parts, Tick(tick), item(number)) == Outcome::Counted {
                counted.push((number, tick));
                ever.insert(number);
            }
        }
        prop_assert_eq!(uniques.ever(parts), sketched(ever));
        let newest = counted.iter().map(|(_, tick)| *tick).max().unwrap_or_default();
        for (to, last) in queries.into_iter().chain([(newest, u64::from(window)), (newest, 1)]) {
            let last = last.min(u64::from(window));
            let asked = span((to + 1).saturating_sub(last), to);
            let reading = uniques.count(parts, asked);
            let touched = parts.part(asked.first)..=parts.part(asked.to);
            let items: HashSet<u64> =
                counted.iter().filter(|(_, tick)| touched.contains(&parts.part(Tick(*tick)))).map(|(n, _)| *n).collect();
            if reading.exact {
                prop_assert_eq!(reading.count, sketched(items));
            } else {
                prop_assert!(reading.count <= sketched(items), "never more than there were");
                prop_assert!(to < newest, "what ends with the newest item is whole");
            }
        }
    }

    /// Joining is commutative, associative and idempotent, and counts as one that had all items.
    #[test]
    fn joining_is_a_join(
        adds in prop::collection::vec((0usize..3, 0u64..30, 600u64..900), 0..120),
        order in Just(vec![0usize, 1, 2, 0, 2, 1]).prop_shuffle(),
    ) {
        let all = Uniques::new();
        let each = [Uniques::new(), Uniques::new(), Uniques::new()];
        for (which, number, tick) in adds {
            each[which].add(parts(), Tick(tick), item(number));
            all.add(parts(), Tick(tick), item(number));
        }
        let joined = Uniques::new();
        for which in order {
            joined.join(parts(), &each[which].cells());
        }
        prop_assert_eq!(joined.ever(parts()), all.ever(parts()));
        for last in [1, 60, 300] {
            let asked = span(900 - last, 899);
            prop_assert_eq!(joined.count(parts(), asked), all.count(parts(), asked));
        }
        let cells = joined.cells();
        joined.join(parts(), &cells);
        prop_assert_eq!(joined.cells(), cells, "joining its own changes nothing");
    }
}

/// Four threads, each with items of its own and some of all, over a moving window.
#[test]
fn threads_lose_no_item() {
    let uniques = Uniques::new();
    // By item: the last second in which it was counted. A thread that falls far behind is late, and says so.
    let counted = Mutex::new(HashMap::<u64, u64>::new());
    together(4, |thread| {
        let mut ours = Vec::new();
        for number in 0..20_000u64 {
            let second = 1_000 + number / 20;
            for of in [number * 4 + thread as u64, number * 4] {
                if uniques.add(parts(), Tick(second), item(of)) == Outcome::Counted {
                    ours.push((of, second));
                }
            }
        }
        let mut counted = counted.lock();
        for (of, second) in ours {
            let last = counted.entry(of).or_default();
            *last = second.max(*last);
        }
    });
    let counted = counted.lock();
    // The quickest is never late.
    assert!(counted.len() >= 20_000, "{}", counted.len());
    assert_eq!(uniques.ever(parts()), sketched(counted.keys().copied()));
    let last = uniques.count(parts(), span(1_700, 1_999));
    let first = parts().part(Tick(1_700));
    let touched = counted.iter().filter(|&(_, &second)| parts().part(Tick(second)) >= first);
    assert!(last.exact);
    assert_eq!(last.count, sketched(touched.map(|(&of, _)| of)));
}
