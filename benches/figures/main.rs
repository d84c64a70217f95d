//! The figures of the README: `cargo bench --bench figures`. The header of `harness` tells which arguments there are.

#![allow(clippy::disallowed_types, clippy::disallowed_methods, missing_docs)]

mod counter;
mod harness;
// The very hash of the sketches, which no public name leads to.
#[path = "../../src/sketch/hyperloglog/hash.rs"]
mod hash;
mod limiters;
mod registry;
mod row;
#[cfg(target_os = "linux")]
mod shared;
mod sketches;

use harness::Part;
use registry::{day, memory, record, top};

const PARTS: &[Part] = &[
    ("counter", counter::figures),
    ("record", record::figures),
    ("memory", memory::figures),
    ("top", top::figures),
    ("day", day::figures),
    ("sketches", sketches::figures),
    ("limiters", limiters::figures),
    #[cfg(target_os = "linux")]
    ("shared", shared::figures),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == memory::CHILD) {
        return memory::be_child(&arguments[1..]);
    }
    harness::run(PARTS, &arguments);
}
