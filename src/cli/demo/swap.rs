//! Scenario 3: to Morris registers, and what becomes of the hits before.
//!
//! Tests: `tests/demo`.

use std::time::Duration;

use super::page::Page;
use super::{after, registry};
use crate::cell::hits::{Accuracy, Hits};
use crate::counter::strategy::Strategy;
use crate::{Event, EventKind, Received};

const MINUTES: Duration = Duration::from_secs(300);

pub fn play(page: &mut Page) {
    page.title(
        "Swapping the strategy, to Morris registers",
        "A Morris register counts very many hits in a few bits: it is raised with a chance that falls as it grows, so what \
         it says is an estimate. The answer says so, and how far off it may be.",
    );
    let (builder, clock) = registry();
    let registry = builder.strategy(Strategy::Ring).build().expect("the defaults are possible");
    let swaps = registry.listen(EventKind::StrategySwapped.into(), 16).expect("the capacity is possible");
    let handle = registry.counter("/home").expect("there is room");
    let told = |hits: Hits| match hits.accuracy {
        Accuracy::Estimate { error } => {
            format!("about\u{a0}{} (standard\u{a0}error\u{a0}{:.0}\u{a0}%)", hits.count, 100.0 * error)
        }
        _ => format!("{},\u{a0}exactly", hits.count),
    };
    let ask = || told(registry.query_hits("/home", MINUTES).expect("the window can be asked for"));
    handle.record(1_000);
    page.step(&format!("ring: 1000 hits recorded, query_hits says {}", ask()));
    let strategy = Strategy::morris(0.05).expect("five percent is possible");
    registry.swap_strategy(&strategy).expect("it suits");
    page.step(&format!("swap_strategy({}): query_hits says {}", strategy.to_text(), ask()));
    clock.set(after(150));
    handle.record(100_000);
    page.step(&format!("at 150 s 100000 hits more: query_hits says {}", ask()));
    clock.set(after(300));
    page.step(&format!("at 300 s, when the first hits have left the window: {}", ask()));
    let seeds_own = Strategy::morris_base(2.0).expect("2 is possible");
    registry.swap_strategy(&seeds_own).expect("it suits");
    clock.set(after(450));
    handle.record(100_000);
    page.step(&format!("swap_strategy({}), at 450 s another 100000 hits: {}", seeds_own.to_text(), ask()));
    while let Received::Event(Event::StrategySwapped { old, new, .. }) = swaps.try_recv() {
        page.step(&format!("a listener had an event: StrategySwapped, from {old} to {new}"));
    }
    page.because(
        "A swap begins a new generation: it takes the hits from then on, and the old one stays readable until its last hit \
         has left the window. So nothing is lost and nothing has to be converted, and an answer is as exact as the least \
         exact generation in it. With base 2 a register is a power of 2 less one: six bits, and a standard error of 71\u{a0}% \
         of what it says.",
    );
}
