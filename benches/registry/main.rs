//! The registry's figures, beside those of the crates that one would use instead.
//!
//! `cargo bench --bench registry`, or with some of its parts only: `cargo bench --bench registry -- record memory top day`.
//! Run it on a machine that does nothing else, with two free cores and 2 GB; all parts together take about a minute. Without
//! `--bench`, as tests run it, every row runs once with little to do, and says nothing about speed.

#![allow(clippy::disallowed_types, clippy::disallowed_methods, missing_docs)]

mod by_name;
mod day;
#[path = "../medians/mod.rs"]
mod medians;
mod memory;
mod names;
mod record;
mod report;
#[path = "../row/mod.rs"]
#[allow(dead_code, reason = "other benches use the rest")]
mod row;
mod top;

use report::Report;

/// A part: its name, how it is measured, and how it is only tried out.
type Part = (&'static str, fn(&mut Report), fn());

const PARTS: [Part; 4] = [
    ("record", record::measure, record::try_out),
    ("memory", memory::measure, memory::try_out),
    ("top", top::measure, top::try_out),
    ("day", day::measure, day::try_out),
];

fn main() {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == memory::CHILD) {
        return memory::be_child(&arguments[1..]);
    }
    let is_measured = arguments.iter().any(|argument| argument == "--bench");
    arguments.retain(|argument| !argument.starts_with("--"));
    let is_part = |argument: &String| PARTS.iter().any(|(name, ..)| name == argument);
    if let Some(unknown) = arguments.iter().find(|argument| !is_part(argument)) {
        eprintln!("there is no part {unknown:?}; choose record, memory, top or day");
        std::process::exit(2);
    }
    let mut report = Report::default();
    for (name, measure, try_out) in PARTS {
        if !arguments.is_empty() && !arguments.iter().any(|argument| argument == name) {
            continue;
        }
        if is_measured {
            measure(&mut report);
        } else {
            try_out();
            println!("{name}: every row ran");
        }
    }
    if is_measured {
        report.print();
    }
}
