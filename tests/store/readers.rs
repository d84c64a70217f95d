//! Which names readers leave out while a batch is not answered.

use super::{Folder, create, delete, endpoint, recovered, waiting};

#[test]
fn a_removal_that_is_refused_is_not_under_way() {
    let folder = Folder::new();
    let ring = folder.ring(9);
    let mut committer = folder.committer(&ring);
    recovered(&mut committer);
    ring.record_hit(&endpoint("hit"), 1).expect("a name");
    let acts = [create("new"), delete("hit"), delete("unknown")];
    let mut batch = acts.map(|act| waiting(act, None).0);
    assert!(committer.transact(&mut batch).is_ok());
    // A hit may begin the unknown endpoint before its removal is refused. The hit stays, so readers have to find it.
    let under_way = ["new", "hit", "unknown"].map(|id| committer.under_way.has(&endpoint(id)));
    assert_eq!(under_way, [true, true, false]);
}
