//! How all figures are taken: one way to write a row, one way to measure it, one way to judge it.
//!
//! # Why not by Criterion alone
//! The README's figures are ratios: a row of hitring beside a baseline. Criterion measures one row to its end before the
//! next, so that a change of the machine's speed between two rows becomes part of their ratio. Here the rows take turns,
//! round after round. Such a change meets all rows of a round, and the median of the rounds drops the rounds it spoils.
//!
//! Criterion does better what turns cannot: it keeps the samples of a run and tells whether a later run differs from them
//! by more than noise. So one list of rows serves both. With `--save-baseline` or `--baseline` among the arguments,
//! Criterion measures the rows, and with neither they take turns.
//!
//! | `cargo bench --bench figures --` | what happens |
//! |---|---|
//! | | rows take turns; prints nanoseconds a call, and the figures to reach |
//! | `counter limiters` | the same with these parts only |
//! | `counter --save-baseline before` | Criterion measures the rows of a part and saves them |
//! | `counter --baseline before` | Criterion measures the rows again and compares |
//!
//! Without `--bench`, as `cargo test --bench figures` runs it, every row runs a few times and every figure is computed,
//! so that a row that a figure asks for is known to exist. Nothing is printed then, because it would mean nothing.
//!
//! Take figures on a machine that does nothing else.

use std::time::Duration;

use criterion::Criterion;

use crate::row::Row;

/// Odd, so that one round is the median.
const ROUNDS: usize = 31;
/// Calls of a row in a run that is not measured.
const FEW: u64 = 200;

/// The name of a part, and how its figures are taken.
pub type Part = (&'static str, fn(&mut Run));

/// What a figure is to reach.
#[derive(Clone, Copy)]
pub enum Reach {
    AtMost(f64),
    AtLeast(f64),
    /// Nothing: the figure is to look at.
    Nothing,
}

/// One run of the bench: the rows of the part at hand, and the figures of all parts.
pub struct Run {
    /// Whether rows are as large as the README says, and not as small as a test wants them.
    pub is_whole: bool,
    part: &'static str,
    criterion: Option<Criterion>,
    /// Name, threads and nanoseconds a call of each row of the part.
    nanos: Vec<(String, usize, f64)>,
    lines: Vec<String>,
    doubts: Vec<String>,
}

/// Runs the parts that the arguments name, or all.
pub fn run(parts: &[Part], arguments: &[String]) {
    let is_compared = arguments.iter().any(|argument| argument.contains("baseline"));
    let is_named = |part: &Part| arguments.iter().any(|argument| argument == part.0);
    let is_part = |argument: &String| parts.iter().any(|(name, _)| name == argument);
    let unknown = arguments.iter().find(|argument| !argument.starts_with("--") && !is_part(argument));
    // Criterion reads its arguments itself.
    if let Some(unknown) = unknown.filter(|_| !is_compared) {
        let names: Vec<_> = parts.iter().map(|(name, _)| *name).collect();
        eprintln!("there is no part {unknown:?}; choose among {}", names.join(", "));
        std::process::exit(2);
    }
    let mut run = Run {
        is_whole: arguments.iter().any(|argument| argument == "--bench"),
        part: "",
        criterion: is_compared.then(criterion),
        nanos: Vec::new(),
        lines: Vec::new(),
        doubts: Vec::new(),
    };
    let takes_all = !parts.iter().any(is_named);
    for part in parts.iter().filter(|part| takes_all || is_named(part)) {
        run.part = part.0;
        (part.1)(&mut run);
        if !run.is_whole {
            println!("Success: {}: every row ran", part.0);
        }
    }
    if run.takes_turns() {
        run.print();
    }
}

/// Short, because there are many rows, and because the limiters allow only as many hits as fit into a short time.
fn criterion() -> Criterion {
    let short = Duration::from_millis(500);
    Criterion::default().warm_up_time(short / 2).measurement_time(short).configure_from_args()
}

impl Run {
    fn takes_turns(&self) -> bool {
        self.is_whole && self.criterion.is_none()
    }

    /// Measures the rows of a part, in turns or by Criterion, and prints them.
    pub fn measure(&mut self, rows: &[Row]) {
        let (rounds, most) = if self.takes_turns() { (ROUNDS, u64::MAX) } else { (1, FEW) };
        let mut nanos = vec![Vec::with_capacity(rounds); rows.len()];
        for round in 0..=rounds {
            for (row, nanos) in rows.iter().zip(&mut nanos) {
                let calls = row.calls.min(most);
                let per_call = row.time(calls).as_nanos() as f64 / calls as f64;
                // The first round only warms up.
                if round > 0 {
                    nanos.push(per_call);
                }
            }
        }
        let medians = rows.iter().zip(nanos).map(|(row, mut all)| {
            all.sort_by(f64::total_cmp);
            (row.name.clone(), row.threads, all[all.len() / 2])
        });
        self.nanos = medians.collect();
        if self.takes_turns() {
            println!(
                "\n{:64} {:>8} {:>14}",
                format!("{} (median of {ROUNDS} rounds)", self.part),
                "threads",
                "ns a call"
            );
            for (name, threads, nanos) in &self.nanos {
                println!("{name:64} {threads:>8} {nanos:>14.2}");
            }
        }
        for row in rows {
            if let Some(criterion) = &mut self.criterion {
                let name = format!("{}: {}, {} threads", self.part, row.name, row.threads);
                criterion.bench_function(&name, |bencher| bencher.iter_custom(|calls| row.time(calls)));
            }
        }
    }

    /// Nanoseconds a call of a row of this part.
    ///
    /// # Panics
    /// If the part does not have the row.
    pub fn of(&self, name: &str, threads: usize) -> f64 {
        let found = self.nanos.iter().find(|(n, t, _)| n == name && *t == threads);
        found.unwrap_or_else(|| panic!("{} has no row {name:?} with {threads} threads", self.part)).2
    }

    /// The same with one thread.
    pub fn one(&self, name: &str) -> f64 {
        self.of(name, 1)
    }

    /// The same with two.
    pub fn two(&self, name: &str) -> f64 {
        self.of(name, 2)
    }

    /// Adds a figure, to be printed at the end.
    pub fn figure(&mut self, what: impl AsRef<str>, figure: f64, reach: Reach) {
        let verdict = |is_reached: bool| if is_reached { "reached" } else { "MISSED" };
        let verdict = match reach {
            Reach::AtMost(most) => format!("{}: {most} or less", verdict(figure <= most)),
            Reach::AtLeast(least) => format!("{}: {least} or more", verdict(figure >= least)),
            Reach::Nothing => String::new(),
        };
        self.lines.push(format!("{:100} {figure:>9.2}   {verdict}", format!("{}: {}", self.part, what.as_ref())));
    }

    /// Adds a reason why a figure is not what it says.
    pub fn doubt(&mut self, why: String) {
        self.doubts.push(why);
    }

    /// Doubts figures of two threads if these did not run at once. If they do, `fetch_add` on one word takes much longer.
    pub fn doubt_two_threads(&mut self) {
        if self.two("fetch_add") < 1.5 * self.one("fetch_add") {
            self.doubt(format!("{}: two threads did not run at once", self.part));
        }
    }

    fn print(&self) {
        println!("\nFigures of this run");
        for line in &self.lines {
            println!("{}", line.trim_end());
        }
        for why in &self.doubts {
            println!("NOT TO BE TRUSTED: {why}");
        }
    }
}
