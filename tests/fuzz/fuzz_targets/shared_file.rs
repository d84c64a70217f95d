//! Any bytes as a registry's file: it is refused, or it is opened and no query of it crashes, hangs or reads beyond it.
//!
//! | first byte | the file |
//! |---|---|
//! | even | the rest of the input itself, whose header's checksum is made to fit |
//! | odd | a whole, small file, of which the rest of the input overwrites words: place (2 bytes), what (1), value (as `what` says) |
//!
//! The right numbers of a damaged file are not known. What must hold is that a repeated query gives the same answer, that a
//! snapshot of the file can be read back, and that a file compacted from it is whole.

#![no_main]

use std::cell::RefCell;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hitring::shared::{Inspection, Wanted, compact};
use hitring::{ManualClock, Registry, RegistrySnapshot, SharedBuilder, SharedRegistry, Timestamp};
use libfuzzer_sys::fuzz_target;

const NOW: u64 = 1_700_000_000;
const WINDOW: Duration = Duration::from_secs(8);
/// The words of the header that are written once; the last is their checksum.
const HEADER: usize = 64;
/// A file that asks for more is not worth its time here.
const LARGEST: usize = 1 << 20;

fn at(second: u64) -> Timestamp {
    Timestamp::try_from(second).expect("before the year 10000")
}

fn builder() -> SharedBuilder {
    let clock = ManualClock::new(at(NOW));
    let small = SharedRegistry::builder().window(WINDOW).slack(2).precision(4).max_endpoints(12);
    small.name_bytes(1_024).visitors(64).limits(8).clock(clock)
}

/// A folder, a file in it with something in each of its sections, and what was written there.
struct Place {
    folder: PathBuf,
    file: File,
    whole: Vec<u8>,
    memory: RegistrySnapshot,
}

impl Place {
    fn new() -> Self {
        let folder = Path::new("/dev/shm").join(format!("hitring-fuzz-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder in memory can be made");
        let registry = builder().create(folder.join("first")).expect("it can be made");
        let memory = Registry::builder().window(WINDOW).precision(4).clock(ManualClock::new(at(NOW))).build();
        let memory = memory.expect("it is possible");
        for (name, amount) in [("a", 1), ("/long/enough/for/some/words", 5), ("gone", 3)] {
            let _ = memory.record_visit(name, "bob", amount);
            let _ = registry.record_visit(name, "ann", amount);
            let _ = registry.record_visit_at(name, "cid", at(NOW - 5), amount);
        }
        registry.merge(&memory.snapshot()).expect("it fits");
        let _ = registry.remove("gone");
        let limiter = registry.limiter("limit", "3/second".parse().expect("a rate"), None).expect("there is room");
        let _ = limiter.allow("key", 1);
        drop(registry);
        // A copy has another writer's share of its slots.
        fs::copy(folder.join("first"), folder.join("file")).expect("it can be copied");
        let registry = builder().open(folder.join("file")).expect("it is whole");
        for name in ["a", "b"] {
            let _ = registry.record_visit(name, "dan", 2);
        }
        registry.merge(&memory.snapshot()).expect("it fits");
        drop(registry);
        fs::remove_file(folder.join("first")).expect("it is there");
        let whole = fs::read(folder.join("file")).expect("it can be read");
        let file = OpenOptions::new().read(true).write(true).open(folder.join("file")).expect("it is there");
        let _ = memory.record_visit("c", "eve", 7);
        let memory = memory.snapshot();
        Self { folder, file, whole, memory }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// The input, a value at a time; zeroes when it has no more.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut value = [0; N];
        let (now, rest) = self.0.split_at(self.0.len().min(N));
        value[..now.len()].copy_from_slice(now);
        self.0 = rest;
        value
    }
}

fn word(bytes: &[u8], word: usize) -> u64 {
    bytes.get(word * 8..word * 8 + 8).map_or(0, |bytes| u64::from_le_bytes(bytes.try_into().expect("eight")))
}

fn set(bytes: &mut [u8], word: usize, value: u64) {
    if let Some(bytes) = bytes.get_mut(word * 8..word * 8 + 8) {
        bytes.copy_from_slice(&value.to_le_bytes());
    }
}

/// Makes magic, version and checksum fit.
fn seal(bytes: &mut [u8], whole: &[u8]) {
    for at in [0, 1] {
        set(bytes, at, word(whole, at));
    }
    let end = (HEADER - 1) * 8;
    if bytes.len() > end {
        let sum = crc32fast::hash(&bytes[..end]);
        set(bytes, HEADER - 1, sum.into());
    }
}

/// The whole file with some words as the input says.
fn overwritten(whole: &[u8], mut input: Input<'_>) -> Vec<u8> {
    let mut bytes = whole.to_vec();
    let words = whole.len() / 8;
    let mut header = false;
    while !input.0.is_empty() {
        let place = usize::from(u16::from_le_bytes(input.take())) % words;
        let [what] = input.take();
        let before = word(&bytes, place);
        let value = match what % 8 {
            0 => u64::from_le_bytes(input.take()),
            1 => u64::from(input.take::<1>()[0]),
            2 => u64::from(u16::from_le_bytes(input.take())),
            3 => u64::MAX - u64::from(input.take::<1>()[0]),
            4 => before ^ 1 << (input.take::<1>()[0] % 64),
            5 => before.wrapping_add(1),
            6 => before.wrapping_sub(1),
            // What another place says.
            _ => word(whole, usize::from(u16::from_le_bytes(input.take())) % words),
        };
        header |= place < HEADER;
        set(&mut bytes, place, value);
    }
    if header {
        seal(&mut bytes, whole);
    }
    bytes
}

/// Asks for all there is.
fn ask(registry: &SharedRegistry) {
    let names = registry.endpoints();
    for name in names.iter().map(String::as_str).chain(["a", "gone", "none"]) {
        let hits = registry.query_hits(name, registry.window());
        assert_eq!(registry.query_hits(name, registry.window()), hits);
        let _ = registry.query_hits_at(name, at(NOW - 3), Duration::from_secs(2));
        let _ = (registry.query_uniques(name, registry.window()), registry.uniques_ever(name));
        let _ = (registry.total_ever(name), registry.contains(name));
    }
    let _ = (registry.total(registry.window()), registry.top(3, registry.window()), registry.metrics());
    let _ = (registry.room(), registry.len());
    let _ = registry.total_where(None, WINDOW, |name| name.len() > 1);
    let snapshot = registry.snapshot();
    let again = RegistrySnapshot::from_bytes(&snapshot.to_bytes());
    assert_eq!(again.as_ref(), Ok(&snapshot), "what was written can be read");
    let memory = Registry::builder().window(registry.window()).resolution(registry.resolution()).build();
    if let Ok(memory) = memory {
        let _ = memory.merge(&snapshot);
        let _ = (memory.total(memory.window()), memory.metrics());
    }
}

fn change(registry: &SharedRegistry, memory: &RegistrySnapshot) {
    for (name, visitor) in [("a", "ann"), ("b", "eve"), ("gone", "ann"), ("new", "new")] {
        let _ = registry.record_hit(name, 3);
        let _ = registry.record_visit(name, visitor, 1);
        let _ = registry.record_visit_at(name, "ann", at(NOW - 4), 1);
        if let Ok(handle) = registry.counter(name) {
            let _ = (handle.record(1), handle.count(), handle.uniques_ever(), handle.total_ever());
        }
    }
    for visitor in 0..24u8 {
        let _ = registry.record_visit("a", [visitor], 1);
    }
    let _ = (registry.remove("a"), registry.record_hit("a", 1));
    if let Ok(limiter) = registry.limiter("limit", "3/second".parse().expect("a rate"), None) {
        for key in ["key", "other", "third"] {
            let _ = (limiter.allow(key, 1), limiter.peek(key, 1), limiter.allow_at(key, at(NOW + 9), 2));
        }
        let _ = (limiter.keys_in_use(), limiter.without_room());
    }
    let _ = (registry.merge(memory), registry.merge(memory));
}

fn inspect(path: &Path) {
    let Ok(inspection) = Inspection::open(path) else { return };
    let _ = (inspection.report(Some(at(NOW))), inspection.faults(), inspection.is_current());
}

fuzz_target!(|input: &[u8]| {
    thread_local!(static PLACE: RefCell<Option<Place>> = const { RefCell::new(None) });
    let Some((&kind, rest)) = input.split_first() else { return };
    PLACE.with_borrow_mut(|place| {
        let place = place.get_or_insert_with(Place::new);
        let bytes = if kind % 2 == 0 {
            let mut bytes = rest.to_vec();
            seal(&mut bytes, &place.whole);
            // Its end need not be in the input.
            let wanted = word(&bytes, 2).saturating_mul(8);
            if wanted <= LARGEST as u64 && bytes.len() < wanted as usize && kind & 2 == 0 {
                bytes.resize(wanted as usize, 0);
            }
            bytes
        } else {
            overwritten(&place.whole, Input(rest))
        };
        // In place: another inode would be a copy. One in eight is.
        let path = if kind >> 5 == 7 { place.file("copy") } else { place.file("file") };
        if kind >> 5 == 7 {
            fs::write(&path, &bytes).expect("there is room");
        } else {
            place.file.write_all_at(&bytes, 0).and_then(|()| place.file.set_len(bytes.len() as u64)).expect("room");
        }
        inspect(&path);
        if let Ok(reader) = builder().read(&path) {
            ask(&reader);
        }
        if let Ok(registry) = builder().open(&path) {
            change(&registry, &place.memory);
            ask(&registry);
        }
        inspect(&path);
        let compacted = place.file("compacted");
        let wanted = Wanted { max_endpoints: (kind & 4 != 0).then_some(5), window: (kind & 8 != 0).then_some(WINDOW * 2), limits: (kind & 16 != 0).then_some(40) };
        if compact(&path, &compacted, wanted).is_ok() {
            let inspection = Inspection::open(&compacted).expect("what was made is whole");
            assert_eq!(inspection.faults().ok().as_deref(), Some(&[][..]), "a new file has no faults");
            let registry = builder().open(&compacted).expect("what was made can be opened");
            ask(&registry);
            if kind & 16 != 0 {
                let _ = registry.restore(&place.memory);
                ask(&registry);
            }
        }
        let _ = (fs::remove_file(&compacted), fs::remove_file(place.file("copy")));
    });
});
