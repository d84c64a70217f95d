//! `hitring bench`: what hitring's calls take on this machine, beside a bare atomic and the textbook's deque under a lock.
//!
//! ```text
//! measure    rows that take turns, with 1, 2, 4, ... threads    -> medians
//! rows       what is measured
//! ```
//!
//! | answer | has |
//! |---|---|
//! | text | nanoseconds a call, and the ratio to `fetch_add` with as many threads |
//! | JSON | the same for every number of threads, and the machine |
//!
//! The figures of the README are taken by `cargo bench`, which has more rows and more rounds.
//!
//! Tests: below, `tests/bench`.

mod measure;
mod rows;

use std::io::{self, Write};

use serde_json::json;

use super::failure::Failure;
use measure::{Measured, measure};

/// Measure what counting takes on this machine
///
/// Prints nanoseconds a call and the ratio to one fetch_add, the least that any counter takes. Takes
/// a few seconds and all processors. Figures are worth something only if nothing else runs.
#[derive(clap::Args)]
#[command(after_help = "Example: hitring bench --json > figures.json\n\nThe same from Python: python -m hitring.bench")]
pub(super) struct Args {
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,

    /// Measure for a moment only; the figures are rough
    #[arg(long)]
    quick: bool,
}

/// Numbers of threads that a line of text has room for.
const COLUMNS: usize = 4;
/// What all other rows are compared with.
const BASE: &str = "fetch_add";

/// Runs the command.
pub(super) fn run(args: Args) -> Result<(), Failure> {
    let threads = threads(std::thread::available_parallelism().map_or(1, usize::from));
    let rows = rows::rows(&threads)?;
    let measured = measure(&rows, args.quick);
    let machine = Machine::this(*threads.last().expect("there is one"));
    let text = if args.json { object(&machine, &measured) } else { table(&machine, &measured, &threads) };
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| Failure::of_output(&error))
}

/// 1, 2, 4 and so on up to `most`, and `most`.
fn threads(most: usize) -> Vec<usize> {
    let mut threads: Vec<usize> =
        std::iter::successors(Some(1), |threads| Some(threads * 2)).take_while(|threads| *threads < most).collect();
    threads.push(most.max(1));
    threads
}

/// What figures depend on.
struct Machine {
    processor: String,
    threads: usize,
}

impl Machine {
    fn this(threads: usize) -> Machine {
        let about = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let value = |name: &str| {
            let line = about.lines().find(|line| line.starts_with(name))?;
            Some(line.split_once(':')?.1.trim().to_owned()).filter(|value| !value.is_empty())
        };
        let named = value("model name").or_else(|| value("Model")).or_else(|| value("Hardware"));
        Machine { processor: named.unwrap_or_else(|| std::env::consts::ARCH.to_owned()), threads }
    }
}

/// The nanoseconds of a row, and its ratio to the base with as many threads.
fn of<'m>(measured: &'m [Measured], name: &str, threads: usize) -> Option<(&'m Measured, f64)> {
    let find = |name: &str| measured.iter().find(|row| row.name == name && row.threads == threads);
    let row = find(name)?;
    Some((row, row.nanos / find(BASE)?.nanos))
}

fn table(machine: &Machine, measured: &[Measured], threads: &[usize]) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let Machine { processor, threads: all } = machine;
    let counted = |threads: usize| if threads == 1 { "1 thread".to_owned() } else { format!("{threads} threads") };
    let mut text = format!("hitring {version} on {processor}, {}, {}\n", counted(*all), std::env::consts::OS);
    text += &format!("nanoseconds a call; behind them the ratio to {BASE} with as many threads\n\n");
    let mut names: Vec<&str> = measured.iter().map(|row| &*row.name).collect();
    names.dedup();
    let mut seen = Vec::new();
    names.retain(|name| {
        !seen.contains(name) && {
            seen.push(*name);
            true
        }
    });
    // The first ones, and all.
    let mut shown: Vec<usize> = threads.iter().copied().take(COLUMNS).collect();
    if let (Some(last), Some(all)) = (shown.last_mut(), threads.last()) {
        *last = *all;
    }
    let width = names.iter().map(|name| name.len()).max().unwrap_or(0);
    text += &format!("{:width$}", "");
    for &threads in &shown {
        text += &format!("{:>12}", counted(threads));
    }
    text += "\n";
    for name in names {
        text += &format!("{name:width$}");
        for &threads in &shown {
            text += &match of(measured, name, threads) {
                Some((row, ratio)) => format!("{:>7}{:>5}", short(row.nanos), short(ratio)),
                None => format!("{:>12}", ""),
            };
        }
        text.truncate(text.trim_end().len());
        text += "\n";
    }
    text
}

/// A number with at most four characters, as far as it fits.
fn short(number: f64) -> String {
    match number {
        0.0..9.95 => format!("{number:.1}"),
        _ => format!("{number:.0}"),
    }
}

fn object(machine: &Machine, measured: &[Measured]) -> String {
    let rows = measured.iter().map(|row| {
        let ratio = of(measured, &row.name, row.threads).map(|(_, ratio)| ratio);
        json!({"name": row.name, "threads": row.threads, "nanoseconds": row.nanos, "ratio": ratio})
    });
    let object = json!({
        "hitring": env!("CARGO_PKG_VERSION"),
        "processor": machine.processor,
        "threads": machine.threads,
        "system": std::env::consts::OS,
        "base": BASE,
        "rows": rows.collect::<Vec<_>>(),
    });
    object.to_string() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_threads() {
        assert_eq!(threads(1), [1]);
        assert_eq!(threads(2), [1, 2]);
        assert_eq!(threads(6), [1, 2, 4, 6]);
        assert_eq!(threads(64), [1, 2, 4, 8, 16, 32, 64]);
    }

    #[test]
    fn the_table() {
        let row = |name: &str, threads, nanos| Measured { name: name.to_owned(), threads, nanos };
        let measured = [
            row(BASE, 1, 5.0),
            row("ring", 1, 6.0),
            row(BASE, 64, 2_000.0),
            row("ring", 64, 1_000.4),
            row("query", 1, 80.0),
        ];
        let machine = Machine { processor: "Abacus".to_owned(), threads: 64 };
        let text = table(&machine, &measured, &[1, 2, 4, 8, 64]);
        let lines: Vec<&str> = text.lines().skip(3).collect();
        assert_eq!(
            lines,
            [
                "             1 thread   2 threads   4 threads  64 threads",
                "fetch_add    5.0  1.0                           2000  1.0",
                "ring         6.0  1.2                           1000  0.5",
                "query         80   16",
            ]
        );
        assert!(text.starts_with(&format!("hitring {} on Abacus, 64 threads, ", env!("CARGO_PKG_VERSION"))));
    }
}
