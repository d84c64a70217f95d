//! Bytes an endpoint, as the system sees them: what the resident set of a fresh process grows by.
//!
//! Each row is a child process, so that no row finds what another has freed. It fills one registry, reads its resident set
//! and says what it read; "peak" includes what was held for a moment while a map grew.

use std::process::Command;

use hitring::{Clock, ManualClock, Timestamp};

use crate::by_name::{Adaptive, ByName, Dash, Metrics, Prometheus, Ring};
use crate::names::write_name;
use crate::report::Report;

/// The argument that makes a process a child.
pub const CHILD: &str = "--fill";

const START: u32 = 1_700_000_000;
const SPARSE: Fill = Fill { endpoints: 1_000_000, seconds: 3, amount: 1 };
const BUSY: Fill = Fill { endpoints: 10_000, seconds: 700, amount: 5 };

/// So many endpoints with so many hits in each of so many seconds.
#[derive(Clone, Copy)]
struct Fill {
    endpoints: usize,
    seconds: u32,
    amount: u64,
}

/// Bytes: those of the whole process.
struct Resident {
    now: u64,
    peak: u64,
}

/// What a child says, in bytes an endpoint.
struct Said {
    resident: f64,
    peak: f64,
    claims: Option<f64>,
}

/// Measures, prints and judges the rows.
pub fn measure(report: &mut Report) {
    if resident().is_none() {
        println!("\nMemory is measured on Linux alone.");
        return;
    }
    println!(
        "\n{:56} {:>8} {:>10} {:>8}",
        "bytes an endpoint, its name of 23 bytes included", "resident", "its word", "peak"
    );
    let row = |label: &str, kind: &str, fill: Fill| {
        let said = child(kind, fill);
        let claims = said.claims.map_or("-".to_owned(), |claims| format!("{claims:.0}"));
        println!("{:56} {:>8.0} {claims:>10} {:>8.0}", format!("{label}: {kind}"), said.resident, said.peak);
        said.resident
    };
    let sparse = row("1 M of 3 hits", Adaptive::NAME, SPARSE);
    for kind in [Dash::NAME, Metrics::NAME, Prometheus::NAME] {
        row("1 M of 3 hits", kind, SPARSE);
    }
    let window = row("10 k, 5 hits a second, 300 s", Adaptive::NAME, Fill { seconds: 300, ..BUSY });
    let busy = row("10 k, 5 hits a second, 700 s", Adaptive::NAME, BUSY);
    row("10 k, 5 hits a second, 700 s", Ring::NAME, BUSY);
    report.at_most("memory of 1 M adaptive endpoints of 3 hits, bytes each", sparse, 200.0);
    report.at_most("memory of 10 k busy adaptive endpoints after a window, KiB each", window / 1024.0, 3.0);
    report.at_most("memory of 10 k busy adaptive endpoints after 700 s, KiB each", busy / 1024.0, 3.0);
}

/// Runs every kind of row with few endpoints.
pub fn try_out() {
    for kind in [Adaptive::NAME, Ring::NAME, Dash::NAME, Metrics::NAME, Prometheus::NAME] {
        let fill = Fill { endpoints: 100, seconds: 20, amount: 5 };
        if resident().is_some() {
            let said = child(kind, fill);
            assert!(said.peak >= said.resident, "the peak is at least what is left");
        }
    }
}

/// Has a child fill one of `kind`.
fn child(kind: &str, fill: Fill) -> Said {
    let program = std::env::current_exe().expect("a running program has a path");
    let mut command = Command::new(program);
    command.args([CHILD, kind, &fill.endpoints.to_string(), &fill.seconds.to_string(), &fill.amount.to_string()]);
    let output = command.stderr(std::process::Stdio::inherit()).output().expect("this program can be started again");
    assert!(output.status.success(), "the child that filled {kind} ended with {}", output.status);
    let said = String::from_utf8(output.stdout).expect("a child says numbers");
    let numbers: Vec<f64> = said.split_whitespace().map(|n| n.parse().expect("a child says numbers")).collect();
    let &[resident, peak, claims] = &numbers[..] else { panic!("the child that filled {kind} said {said:?}") };
    let each = |bytes: f64| bytes / fill.endpoints as f64;
    Said { resident: each(resident), peak: each(peak), claims: (claims > 0.0).then(|| each(claims)) }
}

/// What a child does: `arguments` are those after [`CHILD`].
pub fn be_child(arguments: &[String]) {
    let [kind, endpoints, seconds, amount] = arguments else {
        panic!("a child is told kind, endpoints, seconds, amount")
    };
    let fill = Fill {
        endpoints: endpoints.parse().expect("a number of endpoints"),
        seconds: seconds.parse().expect("a number of seconds"),
        amount: amount.parse().expect("an amount"),
    };
    let said = match kind.as_str() {
        Adaptive::NAME => filled::<Adaptive>(fill),
        Ring::NAME => filled::<Ring>(fill),
        Dash::NAME => filled::<Dash>(fill),
        Metrics::NAME => filled::<Metrics>(fill),
        Prometheus::NAME => filled::<Prometheus>(fill),
        other => panic!("there is no {other}"),
    };
    println!("{said}");
}

fn filled<T: ByName>(fill: Fill) -> String {
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
    let claims = counters.claims().unwrap_or(0);
    assert_eq!(counters.total(), fill.endpoints as u64 * u64::from(fill.seconds) * fill.amount, "every hit is counted");
    format!("{} {} {claims}", after.now - before.now, after.peak - before.now)
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
