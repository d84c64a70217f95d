//! Rows measured in turns, round after round, so that a change of the machine's speed meets all of them; a row's figure
//! is the median of its rounds.

use crate::row::Row;

/// Nanoseconds a call of every row.
pub struct Medians {
    figures: Vec<(String, usize, f64)>,
    rounds: usize,
}

impl Medians {
    /// Measures `rows`, each with `calls` calls a round.
    pub fn of(rows: &[Row], rounds: usize, calls: impl Fn(&Row) -> u64) -> Self {
        let mut nanos = vec![Vec::with_capacity(rounds); rows.len()];
        for round in 0..=rounds {
            for (row, nanos) in rows.iter().zip(&mut nanos) {
                let n = calls(row);
                #[expect(clippy::cast_precision_loss, reason = "a figure")]
                let per_call = row.time(n).as_nanos() as f64 / n as f64;
                // The first round only warms up.
                if round > 0 {
                    nanos.push(per_call);
                }
            }
        }
        let figures = rows.iter().zip(nanos).map(|(row, mut all)| {
            all.sort_by(f64::total_cmp);
            (row.name.clone(), row.threads, all[all.len() / 2])
        });
        Self { figures: figures.collect(), rounds }
    }

    /// The figure of a row.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn get(&self, name: &str, threads: usize) -> f64 {
        let found = self.figures.iter().find(|(n, t, _)| n == name && *t == threads);
        let Some((.., nanos)) = found else { panic!("there is no row {name} with {threads} threads") };
        *nanos
    }

    /// Prints every row.
    pub fn print(&self) {
        let title = format!("row (median of {} rounds)", self.rounds);
        println!("{title:56} {:>8} {:>10}", "threads", "ns a call");
        for (name, threads, nanos) in &self.figures {
            println!("{name:56} {threads:>8} {nanos:>10.2}");
        }
    }
}
