//! A forked child is a writer of its own: merged with its parent's, its hits are neither lost nor doubled.

use std::io::{Read, Write};
use std::os::fd::FromRawFd;

use hitring::{BottomK, GCounter, Morris, Reservoir, TopK};

/// What `body` answers in a forked child.
fn of_child(body: impl FnOnce() -> Vec<u8>) -> Vec<u8> {
    let mut ends = [0; 2];
    // SAFETY: `ends` has room for both ends.
    assert_eq!(unsafe { libc::pipe(ends.as_mut_ptr()) }, 0);
    // SAFETY: the child uses only what this test owns, whose locks no other thread holds, and leaves by `_exit`, which
    // runs nothing of the parent's.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "fork failed");
    if child == 0 {
        // SAFETY: always allowed; the alarm ends a child that hangs. The write end is this function's alone.
        let mut pipe = unsafe {
            libc::alarm(10);
            std::fs::File::from_raw_fd(ends[1])
        };
        let written = pipe.write_all(&body());
        drop(pipe);
        // SAFETY: always allowed.
        unsafe { libc::_exit(i32::from(written.is_err())) };
    }
    // SAFETY: the write end is closed once, here; the read end is this function's alone.
    let mut pipe = unsafe {
        libc::close(ends[1]);
        std::fs::File::from_raw_fd(ends[0])
    };
    let mut bytes = Vec::new();
    pipe.read_to_end(&mut bytes).expect("the pipe can be read");
    let mut status = 0;
    // SAFETY: `status` is valid, and the child is ours.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(status, 0, "the child failed");
    bytes
}

#[test]
fn g_counters() {
    let counter = GCounter::new("a").expect("a name");
    counter.record(3);
    let bytes = of_child(|| {
        counter.record(4);
        // A grandchild, too.
        let grandchild = GCounter::from_bytes(&of_child(|| {
            counter.record(50);
            counter.to_bytes()
        }));
        counter.merge(&grandchild.expect("its bytes"));
        counter.to_bytes()
    });
    counter.record(100);
    let child = GCounter::from_bytes(&bytes).expect("its bytes");
    assert_eq!((child.count(), counter.count()), (57, 103));
    counter.merge(&child);
    child.merge(&counter);
    assert_eq!((child.count(), counter.count()), (157, 157));
}

#[test]
fn morris_registers() {
    let counter = Morris::with_error(0.001).expect("a possible error").seeded(1);
    counter.record(1_000);
    let bytes = of_child(|| {
        counter.record(2_000);
        counter.to_bytes()
    });
    counter.record(4_000);
    counter.merge(&Morris::from_bytes(&bytes).expect("its bytes")).expect("the same base");
    assert!((counter.estimate() - 7_000.0).abs() < 70.0, "{}", counter.estimate());
    assert_eq!(counter.registers().len(), 2);
}

#[test]
fn lists_of_the_most_frequent() {
    let top = TopK::<String>::new(4).expect("a size");
    top.add("a", 3);
    let bytes = of_child(|| {
        top.add("a", 4);
        top.add("b", 1);
        top.to_bytes()
    });
    top.add("a", 100);
    top.merge(&TopK::from_bytes(&bytes).expect("its bytes"));
    assert_eq!(top.items(), [("a".to_owned(), 107, 0), ("b".to_owned(), 1, 0)]);
}

#[test]
fn samples() {
    let sample = Reservoir::with_seed(10, 1).expect("a size");
    (0..4u8).for_each(|item| sample.add(item));
    let drawn = BottomK::with_seed(10, 1).expect("a size");
    (0..4u8).for_each(|item| drawn.add(item));
    let of_both = |sample: &Reservoir<u8>, drawn: &BottomK<u8>| {
        let mut items = [sample.items(), drawn.items()];
        items.iter_mut().for_each(|items| items.sort_unstable());
        assert_eq!(items[0], items[1]);
        let tags: std::collections::BTreeSet<_> =
            drawn.tagged().into_iter().map(|(tag, _)| format!("{tag:?}")).collect();
        (items[0].clone(), tags)
    };
    let bytes = of_child(|| {
        (4..6).for_each(|item| (sample.add(item), drawn.add(item)).0);
        let (items, tags) = of_both(&sample, &drawn);
        assert_eq!((items, sample.seen()), ((0..6).collect(), 6));
        // Another child-like copy merges in without loss.
        let copy = sample.clone();
        copy.add(6);
        sample.merge(&copy).expect("the same size");
        assert_eq!(sample.seen(), 7);
        tags.into_iter().collect::<Vec<_>>().join("\n").into_bytes()
    });
    (4..6).for_each(|item| (sample.add(item), drawn.add(item)).0);
    let (items, ours) = of_both(&sample, &drawn);
    assert_eq!(items, (0..6).collect::<Vec<_>>());
    // By the same seed both drew the same priorities, and yet their adds are told apart.
    let theirs = String::from_utf8(bytes).expect("text").lines().map(str::to_owned).collect();
    assert_eq!(ours.intersection(&theirs).count(), 4);
}
