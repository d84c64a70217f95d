//! The models under loom: every interleaving and every value that the memory model allows, up to the preemption bound.
//!
//! `RUSTFLAGS="--cfg hitring_model --cfg hitring_loom" cargo test --release --test loom`; `LOOM_MAX_PREEMPTIONS` raises the bound.
//!
//! Two variables are for `tests/sweep`, which sets one of them and runs one test. Mutants then are left out.
//!
//! | variable | what a test does |
//! |---|---|
//! | `HITRING_SWEEP_LIST=FILE` | appends to the file a line for each ordering that its models reach |
//! | `HITRING_SWEEP_WEAKEN="PLACE ORDERING SECONDS"` | explores its models, each for so long at most, with one ordering weakened |
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]
#![cfg(hitring_loom)]

mod models;

mod explorer {
    use hitring::sync::mutant::{self, Mutant};
    use hitring::sync::weaken;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use std::sync::atomic::AtomicU64;

    pub use loom::sync::atomic::AtomicU64 as ModelWord;
    pub use loom::thread::JoinHandle;
    pub use std::sync::Arc;
    pub use std::sync::atomic::Ordering;

    /// Explores `model` with up to `preemptions` preemptions.
    pub fn check_within(preemptions: usize, model: fn()) {
        let mut explorer = loom::model::Builder::new();
        explorer.preemption_bound = explorer.preemption_bound.or(Some(preemptions));
        explorer.max_branches = 10_000;
        if let Some((weakening, most)) = super::sweep::weakening() {
            explorer.max_duration = Some(most);
            let began = std::time::Instant::now();
            weaken::with(weakening, || explorer.check(model));
            println!("sweep: {}", if began.elapsed() < most { "whole" } else { "cut" });
            return;
        }
        if let Some(file) = super::sweep::list() {
            super::sweep::write(&file, &weaken::sites(|| explorer.check(model)));
            return;
        }
        let executions = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&executions);
        explorer.check(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            model();
        });
        let executions = executions.load(Ordering::Relaxed);
        println!("{executions} executions");
        assert!(executions > 10, "loom skipped executions: only {executions} were explored");
    }

    /// Explores `model` with up to three preemptions, which most faults need at most.
    pub fn check(model: fn()) {
        check_within(3, model);
    }

    /// Explores `model` with `mutant` switched on, and demands that it fails with `message`.
    pub fn fails(mutant: Mutant, message: &str, model: fn()) {
        if super::sweep::weakening().is_some() || super::sweep::list().is_some() {
            return;
        }
        let explored = catch_unwind(AssertUnwindSafe(|| mutant::with(mutant, || check(model))));
        let Err(panic) = explored else { panic!("the model does not notice {mutant:?}") };
        let said =
            panic.downcast_ref::<String>().cloned().or_else(|| panic.downcast_ref::<&str>().map(|s| s.to_string()));
        let said = said.unwrap_or_default();
        assert!(said.contains(message), "the model fails on {mutant:?}, but not for the reason {message:?}: {said}");
    }

    /// Starts a model thread. Its first step is a store, so that no execution is skipped.
    pub fn spawn<T: 'static>(body: impl FnOnce() -> T + 'static) -> JoinHandle<T> {
        loom::thread::spawn(move || {
            ModelWord::new(0).store(1, Ordering::Relaxed);
            body()
        })
    }
}

/// What `tests/sweep` asks for.
mod sweep {
    use hitring::sync::Ordering;
    use hitring::sync::weaken::{Site, Weakening};
    use std::collections::BTreeSet;
    use std::io::Write;
    use std::time::Duration;

    /// The ordering to weaken, and how long a model may take at most.
    pub fn weakening() -> Option<(Weakening, Duration)> {
        let asked = std::env::var("HITRING_SWEEP_WEAKEN").ok()?;
        let [place, order, seconds] = asked.split(' ').collect::<Vec<_>>()[..] else { panic!("three words: {asked}") };
        let [file, line, column, argument] = place.split(':').collect::<Vec<_>>()[..] else { panic!("four: {place}") };
        let order = match order {
            "Relaxed" => Ordering::Relaxed,
            "Acquire" => Ordering::Acquire,
            "Release" => Ordering::Release,
            other => panic!("no weaker ordering: {other}"),
        };
        let number = |text: &str| text.parse().expect("a number");
        let weakening = Weakening {
            file: file.to_owned(),
            line: number(line),
            column: number(column),
            argument: number(argument) as u8,
            order,
        };
        Some((weakening, Duration::from_secs(number(seconds).into())))
    }

    /// The file for the orderings that are reached.
    pub fn list() -> Option<String> {
        std::env::var("HITRING_SWEEP_LIST").ok()
    }

    /// Appends a line for each of `sites` to `file`.
    pub fn write(file: &str, sites: &BTreeSet<Site>) {
        let mut file = std::fs::File::options().append(true).create(true).open(file).expect("the file can be written");
        for Site { file: source, line, column, argument, order } in sites {
            writeln!(file, "{source}:{line}:{column}:{argument}\t{order}").expect("the file can be written");
        }
    }
}
