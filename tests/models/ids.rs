//! Thread ids: an id has one owner at a time.

use hitring::sync::threads::Ids;

use crate::explorer::{Arc, ModelWord, Ordering, check, spawn};

/// Two threads claim, hold and release: while one holds an id, the other holds another.
fn one_owner() {
    let ids = Arc::new(Ids::<1>::new());
    let holders = Arc::new([ModelWord::new(0), ModelWord::new(0)]);
    let threads = [0, 1].map(|_| {
        let (ids, holders) = (Arc::clone(&ids), Arc::clone(&holders));
        spawn(move || {
            let id = ids.claim().expect("64 ids are enough for two threads");
            assert_eq!(holders[id].fetch_add(1, Ordering::Relaxed), 0, "two threads own one id");
            holders[id].fetch_sub(1, Ordering::Relaxed);
            ids.release(id);
        })
    });
    threads.into_iter().for_each(|thread| thread.join().expect("a model thread ends"));
    assert_eq!(ids.claim(), Some(0));
}

#[test]
fn an_id_has_one_owner_at_a_time() {
    check(one_owner);
    crate::explorer::fails(hitring::sync::mutant::Mutant::IdsClaimUnchecked, "two threads own one id", one_owner);
}
