//! The remembered sum: each reader and each replacer finds it whole or not at all.

use hitring::Tick;
use hitring::sync::mutant::Mutant;
use hitring::window::Span;
use hitring::window::geometry::Place;
use hitring::window::remembered::{Key, Remembered, Sum};

use super::span;
use crate::explorer::{Arc, check, fails, spawn};

const TORN: &str = "a remembered sum has parts of two";

/// An entry: its span, the state it is valid in, the sum, and the place of the open tick.
type Entry = (Span, u64, u64, (usize, u64));

/// The entry that is replaced.
const OLD: Entry = (Span { first: Tick(3), to: Tick(5) }, 1, 10, (0, 0));

fn key((span, state, ..): Entry) -> Key<1> {
    Key { span, state: [state] }
}

fn sum((.., closed, (index, base)): Entry) -> Sum {
    Sum { closed, open: Place { index, base } }
}

fn remembered() -> Arc<Remembered<1>> {
    let memory = Remembered::new();
    memory.replace().expect("there is one replacer").set(key(OLD), sum(OLD));
    Arc::new(memory)
}

/// `OLD` is replaced by `new` beside a reader that asks for `asked`, which is one of them.
fn replaced(new: Entry, asked: Entry) {
    let memory = remembered();
    let replacer = {
        let memory = Arc::clone(&memory);
        spawn(move || memory.replace().expect("there is one replacer").set(key(new), sum(new)))
    };
    let reader = {
        let memory = Arc::clone(&memory);
        spawn(move || {
            let found = memory.recall(key(asked));
            assert!(found.is_none_or(|found| found == sum(asked)), "{TORN}: {found:?}");
        })
    };
    replacer.join().expect("a model thread ends");
    reader.join().expect("a model thread ends");
}

/// The entries differ in all words.
fn another_is_asked_for() {
    replaced((span(4, 6), 2, 20, (1, 8)), OLD);
}

/// The new entry differs in one word of its key and in its sum; the reader asks for it.
fn later_span() {
    const NEW: Entry = (Span { first: Tick(3), to: Tick(6) }, 1, 20, (0, 0));
    replaced(NEW, NEW);
}

fn shorter_span() {
    const NEW: Entry = (Span { first: Tick(4), to: Tick(5) }, 1, 20, (0, 0));
    replaced(NEW, NEW);
}

fn later_state() {
    const NEW: Entry = (Span { first: Tick(3), to: Tick(5) }, 2, 20, (0, 0));
    replaced(NEW, NEW);
}

/// The new sum differs in one word; the reader asks for the old one.
fn later_index() {
    replaced((span(3, 6), 1, 10, (1, 0)), OLD);
}

fn later_base() {
    replaced((span(3, 6), 1, 10, (0, 8)), OLD);
}

/// Two replace the entry one after the other: the second finds the first's key and sum, or the old ones.
fn two_replacers() {
    const NEW: Entry = (Span { first: Tick(4), to: Tick(6) }, 2, 20, (1, 8));
    let memory = remembered();
    let first = {
        let memory = Arc::clone(&memory);
        spawn(move || {
            if let Some(replacing) = memory.replace() {
                replacing.set(key(NEW), sum(NEW));
            }
        })
    };
    let second = {
        let memory = Arc::clone(&memory);
        spawn(move || {
            let found = memory.replace().and_then(|replacing| replacing.extendable_to(span(4, 6)));
            let entries = [OLD, NEW].map(|entry| (key(entry), sum(entry)));
            assert!(found.is_none_or(|found| entries.contains(&found)), "{TORN}: {found:?}");
        })
    };
    first.join().expect("a model thread ends");
    second.join().expect("a model thread ends");
}

#[test]
fn a_sum_is_remembered_whole() {
    for model in [another_is_asked_for, later_span, shorter_span, later_state, later_index, later_base] {
        check(model);
    }
    fails(Mutant::RecallUnchecked, TORN, another_is_asked_for);
}

#[test]
fn a_sum_is_replaced_by_one_after_the_other() {
    check(two_replacers);
}
