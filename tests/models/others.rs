//! Totals of other registries: a reader beside merges finds what one of them left, and no mixture.

use hitring::shared::format::others::Others;
use hitring::sync::AtomicU64;
use hitring::sync::mutant::Mutant;

use crate::explorer::{Arc, check, fails, spawn};

const TORN: &str = "the totals are of two merges";

struct Table {
    words: Vec<AtomicU64>,
    merges: AtomicU64,
}

impl Table {
    fn others(&self) -> Others<'_> {
        Others { words: &self.words, merges: &self.merges }
    }
}

/// Two merges, each of which writes its number twice.
fn a_reader_beside_merges() {
    let words = (0..4).map(|_| AtomicU64::new(0)).collect();
    let table = Arc::new(Table { words, merges: AtomicU64::new(0) });
    let merges = {
        let table = Arc::clone(&table);
        spawn(move || (1..=2).for_each(|merge| table.others().put([merge, merge].into_iter())))
    };
    let reader = {
        let table = Arc::clone(&table);
        spawn(move || {
            let read = table.others().words();
            assert!(read[0] == read[1], "{TORN}: {read:?}");
        })
    };
    merges.join().expect("a model thread ends");
    reader.join().expect("a model thread ends");
    assert_eq!(table.others().words(), [2, 2]);
}

#[test]
fn totals_are_read_whole() {
    check(a_reader_beside_merges);
    fails(Mutant::OthersInPlace, TORN, a_reader_beside_merges);
}
