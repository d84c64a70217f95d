//! Deliberate faults that prove the models can fail.
//!
//! A model that passes says little until the same model is seen to fail on a broken counter. Each place in the
//! algorithms that a model defends asks `mutated!`; under a model checker the test that is running may switch one
//! fault on, in every other build the question is the constant `false` and costs nothing.
//!
//! Tests: `tests/models`.

/// One deliberate fault.
#[cfg(hitring_model)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// A slot is changed by a load and a store instead of one compare-and-exchange.
    SlotLoadStore,
    /// A slot that matches the lap is raised by `fetch_add`, without looking at what it had become.
    SlotFetchAdd,
    /// A reader closes a tick without changing the word of its slot.
    RingNoSeal,
    /// A writer to a closed tick says so only after its hit is in the slot.
    RingAnnounceLate,
    /// A writer to a closed tick does not say so at all.
    RingNoAnnounce,
    /// The first hit of a tick is not announced, though its slot was not sealed a lap ago.
    RingBeginsUnannounced,
    /// A reader says that slots are sealed before it has sealed them.
    RingSealedEarly,
    /// A reader turns over a slot that belongs to a newer lap than the tick it closes.
    RingTurnsNewer,
    /// A reader reads what leaves a sum after it has turned over the slots of the new one.
    RingLeavesLate,
    /// A reader takes a sum on without looking whether the ticks that left it have changed.
    RingLeavingUnchecked,
    /// The same in a stripe.
    StripeLeavingUnchecked,
    /// The owner of a stripe does not say that it wrote below its published tick.
    StripeNoLate,
    /// The owner of a stripe says so only after its hit is in the slot.
    StripeLateAfter,
    /// The owner of a stripe writes a new tick's slot before it publishes the tick.
    StripeTickAfterSlot,
    /// The owner of a stripe publishes a new tick without ordering the hits of the one before.
    StripeClosesRelaxed,
    /// A dead thread's id is released without ordering its stores before the next owner.
    IdsRelaxedRelease,
    /// A thread takes an id without looking whether another was quicker.
    IdsClaimUnchecked,
    /// The record of a reset counter goes into the stripe before the stripe has been emptied.
    StripeResetByReader,
    /// A word is given to another tick before it is said that the old one is gone.
    SparseForgetsLate,
    /// A writer that enters a gate does not tell the one who is closing it.
    GateKeepsClosing,
    /// An idle endpoint is dropped without a second look behind the closed gate.
    EndpointDropsUnseen,
    /// A generation is dropped while a writer that knows it is inside.
    EndpointDropsInside,
    /// The end of an endpoint is not said in the word that the short way reads.
    EndpointEndsQuietly,
    /// What is only done without handles is done with them, too.
    EndpointIgnoresHandles,
    /// A generation is retired while it is still in the chain.
    EndpointRetiresLinked,
    /// The ticks of a generation are said to be unknown after it was unlinked.
    EndpointForgetsLate,
    /// A thread reads an endpoint's generations with neither a guard nor a handle.
    ReachUnguarded,
    /// A swap or a promotion drops the generations before it.
    EndpointSwapForgets,
    /// The sliding log looks at the lap under one hold of the lock and writes under another.
    SlidingTwoLocks,
    /// A hit that lost an exchange raises the register that won by what it decided for the one that lost.
    MorrisKeepsStep,
    /// A hit that lost an exchange draws a new number, so that only the lucky must be lucky twice.
    MorrisDrawsAnew,
    /// A register is raised by a load and a store instead of a compare-and-exchange.
    RegisterLoadStore,
    /// A reader takes a dense sketch for whole, without what was written into its cells meanwhile.
    DenseForgetsCells,
    /// A limiter decides on a word and stores what it decided.
    LimitLoadStore,
    /// The beginning of a tick is noted after the tick has begun.
    LimitStartsLate,
    /// A log takes the word of a unit that is about to come for that of the one before.
    LimitForgetsLap,
    /// The words of a limiter are raised without looking whether its state has moved on.
    LimitRaisesUnseen,
    /// A log refuses by words that may be of a later state.
    LimitRefusesUnseen,
    /// A key that looks idle is dropped without closing it.
    LimitDropsOpen,
    /// What a limiter let through is carried to its next rate without freezing it.
    LimitCarriesOpen,
    /// Until when a cost counts is said after it was let through.
    SharedKeepsLate,
    /// A slot is taken from a key without looking whether a cost of it came meanwhile.
    SharedClosesUnseen,
    /// A slot keeps the beginnings of the key that had it before.
    SharedKeepsStarts,
    /// A slot does not say as of when a key lost it.
    SharedForgetsNewest,
    /// A pending key is settled without looking for it in other slots.
    SharedSettlesUnseen,
    /// Other slots are looked at by loads instead of read-modify-writes.
    SharedLooksByLoad,
    /// What a key let through at an older rate is carried to the next one without freezing its slot.
    SharedCarriesOpen,
    /// A cost is let through in a slot that was found without looking at the rate afterwards.
    SharedMissesChange,
    /// A slot that somebody claims is taken for one of its old key.
    SharedIgnoresClosed,
    /// A claim of somebody else's is taken over without ending it.
    SharedTakesOver,
    /// A part of a window of uniques is begun by a store instead of a compare-and-exchange.
    PartsLoadStore,
    /// A reader of uniques takes the sketches for all there is, without the items that came first.
    ManyForgetsFirst,
    /// A new stripe becomes visible before its contents.
    TableRelaxedPublish,
    /// A reader uses a remembered sum without checking that it was not being replaced meanwhile.
    RecallUnchecked,
    /// A word of one writer's is raised by a load and a store, though any thread of the process may raise it.
    LifeLoadStore,
    /// A copy of a G-Counter goes on under the generation of its original.
    CopyKeepsGeneration,
    /// An add that passes over a chosen position of a reservoir does not say so.
    ReservoirForgetsPassed,
    /// An add of a chosen position takes its place even from a later one.
    ReservoirTakesBack,
    /// A name is put into a bucket of a file by a store instead of a compare-and-exchange.
    NameTakenOver,
    /// A life of a file is given its name by a store instead of a compare-and-exchange.
    LifeTakenOver,
    /// The number of lives is raised before the name leads to the last one.
    LifeUnfinished,
    /// A removed endpoint that comes again is given its former life.
    LifeUsedAgain,
    /// A life is ended by a load and a store instead of a compare-and-exchange.
    LifeEndsByStore,
    /// Whoever closes a file leaves the first free place to a process that is about to take it.
    CloseLeavesAPlace,
    /// Raising a slot to a number adds it.
    RaiseAdds,
    /// A name begins a life in a place that is kept for a merge.
    KeptPlacesTaken,
    /// A merge takes the places that it keeps for its own, though one may have been taken.
    KeptPlacesTrusted,
    /// The version of a find stays while its words change.
    FindUnversioned,
    /// The totals of merged registries are written where they are read.
    OthersInPlace,
}

#[cfg(hitring_model)]
thread_local! {
    static ON: std::cell::Cell<Option<Mutant>> = const { std::cell::Cell::new(None) };
}

/// Runs `model` with `mutant` switched on in this OS thread; both checkers run all model threads on it.
#[cfg(hitring_model)]
pub fn with<R>(mutant: Mutant, model: impl FnOnce() -> R) -> R {
    struct Off;
    impl Drop for Off {
        fn drop(&mut self) {
            ON.with(|on| on.set(None));
        }
    }
    ON.with(|on| on.set(Some(mutant)));
    let _off = Off;
    model()
}

/// Whether `mutant` is switched on.
#[cfg(hitring_model)]
pub fn is_on(mutant: Mutant) -> bool {
    ON.with(|on| on.get() == Some(mutant))
}

/// Whether the named [`Mutant`] is switched on: a constant `false` outside the model checkers.
macro_rules! mutated {
    ($name:ident) => {{
        #[cfg(hitring_model)]
        let on = $crate::sync::mutant::is_on($crate::sync::mutant::Mutant::$name);
        #[cfg(not(hitring_model))]
        let on = false;
        on
    }};
}
pub(crate) use mutated;
