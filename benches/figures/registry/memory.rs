//! Bytes an endpoint, as the system sees them: what the resident set of a fresh process grows by.
//!
//! Each row is a child process, so that no row finds what another has freed. It fills one registry, reads its resident set
//! and prints it. "At the peak" includes memory that was held for a moment while a map grew.

use std::process::{Command, Stdio};

use hitring::{Clock, ManualClock, Timestamp};

use super::by_name::{Adaptive, ByName, Dash, Metrics, Prometheus, Ring};
use super::names::write_name;
use crate::harness::Reach::{self, AtMost, Nothing};
use crate::harness::Run;

/// The argument that makes a process a child. The number of a row follows, and whether the run is whole.
pub const CHILD: &str = "--fill";

const START: u32 = 1_700_000_000;
const KIB: f64 = 1024.0;
const SPARSE: Fill = Fill { endpoints: 1_000_000, seconds: 3, amount: 1 };
const BUSY: Fill = Fill { endpoints: 10_000, seconds: 700, amount: 5 };

const ROWS: [Filled; 7] = [
    row::<Adaptive>("1 M of 3 hits", SPARSE, AtMost(200.0)),
    row::<Dash>("1 M of 3 hits", SPARSE, Nothing),
    row::<Metrics>("1 M of 3 hits", SPARSE, Nothing),
    row::<Prometheus>("1 M of 3 hits", SPARSE, Nothing),
    row::<Adaptive>("10 k, 5 hits a second, 300 s", Fill { seconds: 300, ..BUSY }, AtMost(3.0 * KIB)),
    row::<Adaptive>("10 k, 5 hits a second, 700 s", BUSY, AtMost(3.0 * KIB)),
    row::<Ring>("10 k, 5 hits a second, 700 s", BUSY, Nothing),
];

/// So many endpoints with so many hits in each of so many seconds.
#[derive(Clone, Copy)]
struct Fill {
    endpoints: usize,
    seconds: u32,
    amount: u64,
}

/// A row: what it fills, and how a child does so.
struct Filled {
    label: &'static str,
    kind: &'static str,
    fill: Fill,
    reach: Reach,
    by: fn(Fill),
}

const fn row<T: ByName>(label: &'static str, fill: Fill, reach: Reach) -> Filled {
    Filled { label, kind: T::NAME, fill, reach, by: fill_and_say::<T> }
}

impl Filled {
    /// What is filled in a run that is `whole`, or in a test.
    fn scaled(&self, whole: bool) -> Fill {
        if whole { self.fill } else { Fill { endpoints: 100, seconds: 20, ..self.fill } }
    }
}

/// Bytes: those of the whole process.
struct Resident {
    now: u64,
    peak: u64,
}

/// Measures and judges the rows.
pub fn figures(run: &mut Run) {
    if resident().is_none() {
        println!("memory is measured on Linux alone");
        return;
    }
    let program = std::env::current_exe().expect("a running program has a path");
    for (number, row) in ROWS.iter().enumerate() {
        let mut child = Command::new(&program);
        child.args([CHILD, &number.to_string(), &run.is_whole.to_string()]).stderr(Stdio::inherit());
        let output = child.output().expect("this program can be started again");
        assert!(output.status.success(), "the child that filled {} ended with {}", row.kind, output.status);
        let said = String::from_utf8(output.stdout).expect("a child says numbers");
        let numbers: Vec<f64> = said.split_whitespace().map(|n| n.parse().expect("a child says numbers")).collect();
        assert!(numbers.len() >= 2, "the child that filled {} said {said:?}", row.kind);
        let reaches = [("", row.reach), (", at the peak", Nothing), (", by its own word", Nothing)];
        for (bytes, (what, reach)) in numbers.into_iter().zip(reaches) {
            let each = bytes / row.scaled(run.is_whole).endpoints as f64;
            run.figure(format!("{}: {}, bytes an endpoint{what}", row.label, row.kind), each, reach);
        }
    }
}

/// What a child does: `arguments` are those after [`CHILD`].
pub fn be_child(arguments: &[String]) {
    let [number, whole] = arguments else { panic!("a child is told its row and its scale") };
    let row = &ROWS[number.parse::<usize>().expect("the number of a row")];
    (row.by)(row.scaled(whole == "true"));
}

/// Fills a `T`, and prints three numbers of bytes: the process's growth, its growth at its peak, and what `T` claims.
fn fill_and_say<T: ByName>(fill: Fill) {
    let clock = ManualClock::new(Timestamp::from(START));
    let mut name = String::with_capacity(32);
    // So that the program's own pages are there before it begins.
    T::new(Clock::System).add("/home", 1);
    let before = resident().expect("the parent has looked");
    let counters = T::new(Clock::from(clock.clone()));
    for second in 0..fill.seconds {
        clock.set(Timestamp::from(START + second));
        for index in 0..fill.endpoints {
            write_name(&mut name, index);
            counters.add(&name, fill.amount);
        }
    }
    let after = resident().expect("the parent has looked");
    assert_eq!(counters.total(), fill.endpoints as u64 * u64::from(fill.seconds) * fill.amount, "every hit is counted");
    let claims = counters.claims().map_or(String::new(), |bytes| bytes.to_string());
    println!("{} {} {claims}", after.now - before.now, after.peak - before.now);
}

/// The resident set of this process.
fn resident() -> Option<Resident> {
    let field = |file: &str, field: &str| {
        let text = std::fs::read_to_string(file).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix(field))?;
        Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
    };
    // The first is exact; the second lags a little behind on some kernels.
    let now = field("/proc/self/smaps_rollup", "Rss:").or_else(|| field("/proc/self/status", "VmRSS:"))?;
    Some(Resident { now, peak: field("/proc/self/status", "VmHWM:")?.max(now) })
}
