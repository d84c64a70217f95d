//! Values that are set, and what a copied directory decides on.

use super::{Folder, MINUTE, committed, counted, delete, done, endpoint, hit, recovered, set, value};

#[test]
fn a_value_that_is_set_counts_on_and_survives() {
    let folder = Folder::new();
    let mut ring = folder.ring(40);
    let mut committer = folder.committer(&ring);
    recovered(&mut committer);
    ring.record_hit(&endpoint("a"), 10).expect("a name");
    done(&mut committer, hit("a", 5), None).expect("it counts");
    for (to, after) in [(100, "102"), (0, "2"), ((1 << 53) - 1, "9007199254740993")] {
        assert_eq!(done(&mut committer, set("a", to), None), Ok((String::new(), false)));
        assert_eq!(value(&committer, &ring, "a"), to);
        ring.record_hit(&endpoint("a"), 1).expect("a name");
        assert_eq!(done(&mut committer, hit("a", 1), None), Ok((after.to_owned(), false)));
        assert_eq!(done(&mut committer, hit("a", 0), None), Ok((after.to_owned(), false)));
    }
    // Hits stay what they are.
    assert_eq!(counted(&ring, "a"), (21, 21));
    // One that was never hit is there, and nothing else is.
    done(&mut committer, set("new", 0), None).expect("there is room");
    assert!(ring.contains(&endpoint("new")) && value(&committer, &ring, "new") == 0);
    // Committed, and the server is killed.
    drop(committer);
    committed(&folder, &ring, vec![hit("a", 1), set("a", 7), set("other", 3)]);
    for round in 0..2 {
        let mut committer = folder.committer(&ring);
        recovered(&mut committer);
        let values = ["a", "new", "other", "none"].map(|id| value(&committer, &ring, id));
        assert_eq!((values, ring.contains(&endpoint("none"))), ([7, 0, 3, 0], false), "{round}");
        assert!(ring.contains(&endpoint("new")));
        drop(committer);
        if round == 0 {
            drop(ring);
            std::fs::remove_file(folder.0.join("hits.ring")).expect("it is there");
            ring = folder.ring(40);
        }
    }
}

#[test]
fn a_value_ends_with_its_endpoint() {
    let folder = Folder::new();
    let ring = folder.ring(40);
    let mut committer = folder.committer(&ring);
    recovered(&mut committer);
    for id in ["a", "b"] {
        done(&mut committer, set(id, 50), None).expect("there is room");
    }
    done(&mut committer, delete("a"), None).expect("it is there");
    // Another process.
    assert!(ring.remove(&endpoint("b")).expect("it can be written"));
    for _ in 0..2 {
        for id in ["a", "b"] {
            assert_eq!(value(&committer, &ring, id), 0);
        }
        drop(committer);
        committer = folder.committer(&ring);
        recovered(&mut committer);
        assert!(!ring.contains(&endpoint("a")) && !ring.contains(&endpoint("b")));
    }
    for id in ["a", "b"] {
        ring.record_hit(&endpoint(id), 2).expect("a name");
        assert_eq!(value(&committer, &ring, id), 2);
        assert_eq!(done(&mut committer, hit(id, 1), None), Ok(("3".to_owned(), false)));
    }
}

#[test]
fn a_copied_directory_has_a_ledger_of_its_own() {
    let (one, other) = (Folder::new(), Folder::new());
    let ring = one.ring(40);
    let mut committer = one.committer(&ring);
    recovered(&mut committer);
    done(&mut committer, hit("a", 5), None).expect("it counts");
    done(&mut committer, set("a", 100), None).expect("it is there");
    drop((committer, ring));
    for file in ["hits.ring", "hitring.db"] {
        std::fs::copy(one.0.join(file), other.0.join(file)).expect("it is there");
    }
    let rings = [one.ring(40), other.ring(40)];
    let mut committers = [one.committer(&rings[0]), other.committer(&rings[1])];
    for (committer, more) in committers.iter_mut().zip([3, 20]) {
        let lost = recovered(committer).lost;
        assert_eq!((lost, done(committer, hit("a", more), None)), (0, Ok(((100 + more).to_string(), false))));
    }
    // Each has what the other decided on.
    rings[0].merge(&rings[1].snapshot()).expect("it fits");
    assert_eq!(rings[0].query_hits(&endpoint("a"), MINUTE).expect("exact").count, 28);
    rings[1].merge(&rings[0].snapshot()).expect("it fits");
    assert_eq!(rings[1].query_hits(&endpoint("a"), MINUTE).expect("exact").count, 28);
    // Once more without the ring: what both decided on before is not lost.
    drop((committers, rings));
    std::fs::remove_file(other.0.join("hits.ring")).expect("it is there");
    let ring = other.ring(40);
    let mut committer = other.committer(&ring);
    assert_eq!(recovered(&mut committer).lost, 5);
    assert_eq!((counted(&ring, "a"), value(&committer, &ring, "a")), ((25, 25), 120));
}
