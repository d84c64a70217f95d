//! A file of a shared registry with words that nobody wrote: nothing may crash, hang or reach beyond the file.
//!
//! The first byte says how the rest is taken: as a whole file, which is looked at and read; or as words (a place and a value,
//! eight bytes each) that are written over a valid file behind its header, which is then used in every way there is.

#![no_main]

use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::Duration;

use hitring::shared::{Inspection, Wanted, compact};
use hitring::{ManualClock, Registry, SharedRegistry, Timestamp};
use libfuzzer_sys::fuzz_target;

const WINDOW: Duration = Duration::from_secs(4);
/// The fixed words of the header, which have a checksum.
const HEADER: u64 = 64 * 8;

fn folder() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    let folder = if memory.is_dir() { memory } else { std::env::temp_dir() };
    folder.join(format!("hitring-fuzz-{}", std::process::id()))
}

fn clock() -> ManualClock {
    ManualClock::new(Timestamp::from(1_700_000_000u32))
}

fn look(path: &PathBuf) {
    if let Ok(inspection) = Inspection::open(path) {
        let _ = inspection.report(Some(clock().now()));
        let _ = inspection.faults();
    }
    if let Ok(registry) = SharedRegistry::builder().clock(clock()).read(path) {
        ask(&registry);
    }
}

fn ask(registry: &SharedRegistry) {
    let _ = (registry.total(WINDOW), registry.top(3, WINDOW), registry.metrics(), registry.room());
    for name in registry.endpoints().iter().map(String::as_str).take(8).chain(["/a", "/new"]) {
        let _ = (registry.query_hits(name, WINDOW), registry.total_ever(name), registry.contains(name));
        let _ = (registry.query_uniques(name, WINDOW), registry.uniques_ever(name));
    }
    let snapshot = registry.snapshot();
    let local = Registry::builder().window(WINDOW).clock(clock()).build().expect("a possible window");
    let _ = local.merge(&snapshot);
}

fn utilise(registry: &SharedRegistry) {
    for name in ["/a", "/b", "/new", "/another/that/takes/more/than/one/line/of/the/file/for/its/name"] {
        let _ = registry.record_hit(name, 1);
        let _ = registry.record_visit(name, "ann", 2);
        if let Ok(handle) = registry.counter(name) {
            let _ = (handle.record(1), handle.count(), handle.uniques(WINDOW), handle.total_ever());
        }
    }
    if let Ok(limiter) = registry.limiter("x", "5/s".parse().expect("a rate"), None) {
        let _ = (limiter.allow("ann", 1), limiter.peek("bob"), limiter.keys_in_use());
    }
    let _ = registry.remove("/b");
    let local = Registry::builder().window(WINDOW).clock(clock()).build().expect("a possible window");
    let _ = (local.record_hit("/a", 1), local.record_hit("/merged", 2));
    let _ = registry.merge(&local.snapshot());
    ask(registry);
}

fuzz_target!(|data: &[u8]| {
    let Some((&how, rest)) = data.split_first() else { return };
    let folder = folder();
    std::fs::create_dir_all(&folder).expect("a folder for the file");
    let (path, new) = (folder.join("fuzz.ring"), folder.join("new.ring"));
    let _ = (std::fs::remove_file(&path), std::fs::remove_file(&new));
    if how % 8 == 0 {
        std::fs::write(&path, rest).expect("it can be written");
        look(&path);
        return;
    }
    let builder = SharedRegistry::builder().window(WINDOW).slack(4).max_endpoints(6).limits(8).clock(clock());
    let registry = builder.clone().create(&path).expect("it can be made");
    for name in ["/a", "/b", "/c"] {
        let _ = registry.record_visit(name, "ann", 3);
    }
    let _ = registry.remove("/c");
    drop(registry);
    let file = std::fs::File::options().write(true).open(&path).expect("it is there");
    let words = file.metadata().expect("it is there").len() / 8 - HEADER / 8;
    let (pairs, _) = rest.as_chunks::<16>();
    for pair in pairs {
        let (place, value) = pair.split_at(8);
        let place = u64::from_le_bytes(place.try_into().expect("eight bytes")) % words;
        file.write_all_at(value, HEADER + place * 8).expect("it can be written");
    }
    look(&path);
    if let Ok(registry) = builder.clone().open(&path) {
        utilise(&registry);
    }
    if compact(&path, &new, Wanted { max_endpoints: Some(9), window: None }).is_ok() {
        utilise(&builder.open(&new).expect("it was just made"));
    }
});
