//! Deliberate faults that prove the models can fail.
//!
//! A model that passes says little until the same model is seen to fail on a broken counter. Each place in the
//! algorithms that a model defends asks `mutated!`. Under a model checker the running test may switch one fault on; in
//! every other build the question is the constant `false` and costs nothing.
//!
//! Tests: `tests/models`.

/// One deliberate fault.
#[cfg(hitring_model)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// A slot is changed by a load and a store instead of one compare-and-exchange.
    SlotLoadStore,
    /// A slot that matches the lap is raised by `fetch_add`, without looking at its present value.
    SlotFetchAdd,
    /// A reader closes a tick without changing the word of its slot.
    RingNoSeal,
    /// A writer to a closed tick announces its hit only after the hit is in the slot.
    RingAnnounceLate,
    /// A writer to a closed tick does not announce its hit at all.
    RingNoAnnounce,
    /// The first hit of a tick is not announced, though its slot was not sealed a lap ago.
    RingBeginsUnannounced,
    /// A reader announces that slots are sealed before it has sealed them.
    RingSealedEarly,
    /// A reader turns over a slot that belongs to a newer lap than the tick it closes.
    RingTurnsNewer,
    /// A reader reads the ticks that leave a sum after it has turned over the slots of the new sum.
    RingLeavesLate,
    /// A reader moves a sum forward without looking whether the ticks that left it have changed.
    RingLeavingUnchecked,
    /// The same in a stripe.
    StripeLeavingUnchecked,
    /// The owner of a stripe does not announce that it wrote below its published tick.
    StripeNoLate,
    /// The owner of a stripe announces a late hit only after the hit is in the slot.
    StripeLateAfter,
    /// The owner of a stripe writes a new tick's slot before it publishes the tick.
    StripeTickAfterSlot,
    /// The owner of a stripe publishes a new tick without ordering the hits of the one before.
    StripeClosesRelaxed,
    /// A dead thread's id is released without ordering its stores before the next owner.
    IdsRelaxedRelease,
    /// A thread takes an id without looking whether another thread took it first.
    IdsClaimUnchecked,
    /// The record of a reset counter goes into the stripe before the stripe has been emptied.
    StripeResetByReader,
    /// A word is given to another tick before the loss of the old tick is noted.
    SparseForgetsLate,
    /// A writer that enters a gate does not tell the thread that is closing it.
    GateKeepsClosing,
    /// An idle endpoint is dropped without a second look behind the closed gate.
    EndpointDropsUnseen,
    /// A generation is dropped while a writer that knows it is inside.
    EndpointDropsInside,
    /// The end of an endpoint is not written into the word that the short way reads.
    EndpointEndsQuietly,
    /// Work that needs an endpoint without handles is done while it has handles, too.
    EndpointIgnoresHandles,
    /// A generation is retired while it is still in the chain.
    EndpointRetiresLinked,
    /// The ticks of a generation are marked as unknown only after it was unlinked.
    EndpointForgetsLate,
    /// A thread reads an endpoint's generations with neither a guard nor a handle.
    ReachUnguarded,
    /// A swap or a promotion drops the generations before it.
    EndpointSwapForgets,
    /// The sliding log looks at the lap under one hold of the lock and writes under another.
    SlidingTwoLocks,
    /// A hit that lost an exchange raises the register as the winner left it, by the step that it decided for the old
    /// value.
    MorrisKeepsStep,
    /// A hit that lost an exchange draws again, so an increment has to be drawn twice and the count is too low.
    MorrisDrawsAnew,
    /// A register is raised by a load and a store instead of a compare-and-exchange.
    RegisterLoadStore,
    /// A reader takes a dense sketch for complete, without the writes to its cells meanwhile.
    DenseForgetsCells,
    /// A limiter decides on a word and stores the decision without an exchange.
    LimitLoadStore,
    /// The beginning of a tick is noted after the tick has begun.
    LimitStartsLate,
    /// A log takes the word of an upcoming unit for the word of the unit before.
    LimitForgetsLap,
    /// The words of a limiter are raised without looking whether its state has moved on.
    LimitRaisesUnseen,
    /// A log refuses by words that may be of a later state.
    LimitRefusesUnseen,
    /// A key that looks idle is dropped without closing it.
    LimitDropsOpen,
    /// The costs that a limiter let through are carried to its next rate without freezing it.
    LimitCarriesOpen,
    /// The time until which a cost counts is written after the cost was let through.
    SharedKeepsLate,
    /// A slot is taken from a key without looking whether a cost of the key came meanwhile.
    SharedClosesUnseen,
    /// A slot keeps the beginnings of the key that had it before.
    SharedKeepsStarts,
    /// A slot does not note the time as of which a key lost it.
    SharedForgetsNewest,
    /// A pending key is settled without looking for it in other slots.
    SharedSettlesUnseen,
    /// Other slots are looked at by loads instead of read-modify-writes.
    SharedLooksByLoad,
    /// The costs that a key let through at an older rate are carried to the next rate without freezing its slot.
    SharedCarriesOpen,
    /// A cost is let through in a slot that was found without looking at the rate afterwards.
    SharedMissesChange,
    /// A slot that is being claimed is taken for a slot of its old key.
    SharedIgnoresClosed,
    /// A claim that another caller began is taken over without ending it.
    SharedTakesOver,
    /// A part of a window of uniques is begun by a store instead of a compare-and-exchange.
    PartsLoadStore,
    /// A reader of uniques takes the sketches for complete, without the items that came first.
    ManyForgetsFirst,
    /// A new stripe becomes visible before its contents.
    TableRelaxedPublish,
    /// A reader uses a remembered sum without checking that it was not being replaced meanwhile.
    RecallUnchecked,
    /// A word of a single writer is raised by a load and a store, though any thread of the process may raise it.
    LifeLoadStore,
    /// A copy of a G-Counter counts under the generation of its original.
    CopyKeepsGeneration,
    /// An add that passes over a chosen position of a reservoir does not note that it did.
    ReservoirForgetsPassed,
    /// An add of a chosen position takes its place even from a later position.
    ReservoirTakesBack,
    /// A name is put into a bucket of a file by a store instead of a compare-and-exchange.
    NameTakenOver,
    /// A life of a file is given its name by a store instead of a compare-and-exchange.
    LifeTakenOver,
    /// The number of lives is raised before the name leads to the last one.
    LifeUnfinished,
    /// A removed endpoint that is created again is given its former life.
    LifeUsedAgain,
    /// A life is ended by a load and a store instead of a compare-and-exchange.
    LifeEndsByStore,
    /// A process that closes a file leaves the first free place to another one that is about to take it.
    CloseLeavesAPlace,
    /// Raising a slot to a number adds the number.
    RaiseAdds,
    /// A name begins a life in a place that is kept for a merge.
    KeptPlacesTaken,
    /// A merge uses the places that it reserved without looking whether one of them was taken.
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
