//! The models under shuttle: a second explorer, of another kind, beside loom.
//!
//! Sequentially consistent, so it says nothing about memory orders; but it goes through interleavings that loom's
//! preemption bound leaves out: at random, and by probabilistic concurrency testing (Burckhardt and others, "A
//! Randomized Scheduler with Probabilistic Guarantees of Finding Bugs", 2010).
//!
//! `RUSTFLAGS="--cfg hitring_model --cfg hitring_shuttle" cargo test --release --test shuttle`; `HITRING_SHUTTLE_ROUNDS` sets how many
//! schedules of each kind a model is run in.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]
#![cfg(hitring_shuttle)]

mod models;

mod explorer {
    use hitring::sync::mutant::{self, Mutant};
    use std::panic::{AssertUnwindSafe, catch_unwind};

    pub use shuttle::sync::Arc;
    pub use shuttle::sync::atomic::AtomicU64 as ModelWord;
    pub use shuttle::sync::atomic::Ordering;
    pub use shuttle::thread::JoinHandle;

    fn rounds() -> usize {
        std::env::var("HITRING_SHUTTLE_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(5_000)
    }

    /// Explores `model`.
    pub fn check(model: fn()) {
        shuttle::check_random(model, rounds());
        shuttle::check_pct(model, rounds(), 3);
    }

    /// Explores `model`; the number of preemptions is not bounded here.
    pub fn check_within(_preemptions: usize, model: fn()) {
        check(model);
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

    /// Starts a model thread.
    pub fn spawn<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        shuttle::thread::spawn(body)
    }
}
