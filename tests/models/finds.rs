//! Finds of a file: a reader beside a merge that writes an entry again finds the old one, the new one or none, and no mixture.

use hitring::shared::format::finds::{FIND, Finds, Key};
use hitring::sync::AtomicU64;
use hitring::sync::mutant::Mutant;
use hitring::{Replica, Tick, Writer};

use crate::explorer::{Arc, check, fails, spawn};

const TORN: &str = "a find has parts of two";

const fn find(name: u64, sequence: u64, tick: u64, hits: u64) -> (Key, u64) {
    let writer = Writer { replica: Replica { process: 7, sequence }, generation: 1 };
    ((name, writer, Tick(tick)), hits)
}

const OLD: (Key, u64) = find(1, 1, 10, 5);
const NEW: (Key, u64) = find(2, 2, 100, 6);

fn words() -> Arc<Vec<AtomicU64>> {
    let words: Vec<AtomicU64> = (0..FIND).map(|_| AtomicU64::new(0)).collect();
    assert!(Finds(&words).write(Tick(0)).tell(OLD.0, OLD.1), "there is room");
    Arc::new(words)
}

/// The only entry is out of every window, and is written again.
fn an_entry_is_written_again() {
    let words = words();
    let merge = {
        let words = Arc::clone(&words);
        spawn(move || assert!(Finds(&words).write(Tick(50)).tell(NEW.0, NEW.1), "there is room"))
    };
    let reader = {
        let words = Arc::clone(&words);
        spawn(move || {
            let found: Vec<(Key, u64)> = Finds(&words).iter().collect();
            assert!(found.iter().all(|find| [OLD, NEW].contains(find)), "{TORN}: {found:?}");
        })
    };
    merge.join().expect("a model thread ends");
    reader.join().expect("a model thread ends");
    assert_eq!(Finds(&words).iter().collect::<Vec<_>>(), [NEW]);
}

#[test]
fn a_find_is_read_whole() {
    check(an_entry_is_written_again);
    fails(Mutant::FindUnversioned, TORN, an_entry_is_written_again);
}
