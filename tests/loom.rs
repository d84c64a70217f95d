//! The models under loom: every interleaving and every value that the memory model allows, up to the preemption bound.
//!
//! `RUSTFLAGS="--cfg hitring_loom" cargo test --release --test loom`; `LOOM_MAX_PREEMPTIONS` raises the bound.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]
#![cfg(hitring_loom)]

mod models;

mod explorer {
    use hitring::mutant::{self, Mutant};
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
