//! What becomes of files that are cut, copied or damaged while others count in them, and of the signals that go with it.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use hitring::shared::{Inspection, Wanted, compact};
use hitring::{ManualClock, Outcome, QueryError, Registry, SharedError, SharedRegistry};

use super::processes::{fork, wait};
use super::{Folder, MINUTE, START, at, made, small};
use crate::threads::{SetAtEnd, together};

const PAGE: usize = 4_096;

#[test]
fn a_file_that_ends_at_any_page_is_refused_by_all() {
    let folder = Folder::new();
    let path = folder.file("cut.ring");
    let registry = small().max_endpoints(8).create(&path).expect("it can be made");
    assert_eq!(registry.record_visit("/home", "ann", 3), Ok(Outcome::Counted));
    drop(registry);
    let bytes = fs::read(&path).expect("it can be read");
    for pages in (0..bytes.len() / PAGE).rev() {
        let file = File::options().write(true).open(&path).expect("it is there");
        file.set_len((pages * PAGE) as u64).expect("it can be cut");
        let errors = [
            small().create(&path).map(drop).expect_err("refused"),
            SharedRegistry::open(&path).map(drop).expect_err("refused"),
            SharedRegistry::read(&path).map(drop).expect_err("refused"),
            Inspection::open(&path).map(drop).expect_err("refused"),
            compact(&path, &folder.file("new"), Wanted::default()).expect_err("refused"),
        ];
        for error in errors {
            let expected = match pages {
                0 => matches!(error, SharedError::Foreign { .. }),
                _ => matches!(error, SharedError::Truncated { wanted, .. } if wanted == bytes.len() as u64),
            };
            assert!(expected, "{pages} pages: {error}");
        }
        assert!(fs::read(&path).expect("it can be read") == bytes[..pages * PAGE], "it was changed");
    }
    assert!(!folder.file("new").exists());
}

#[test]
fn threads_that_make_one_file_make_one() {
    let folder = Folder::new();
    for round in 0..20 {
        let path = folder.file(&format!("race-{round}.ring"));
        together(8, |thread| {
            let registry = small().create(&path).expect("one makes it, the others open it");
            assert_eq!(registry.record_hit("/home", 1), Ok(Outcome::Counted));
            assert_eq!(registry.record_hit(&format!("/{thread}"), 1), Ok(Outcome::Counted));
        });
        let registry = SharedRegistry::open(&path).expect("it is whole");
        assert_eq!((registry.total_ever("/home"), registry.room().lives), (8, 9));
    }
    assert_eq!(folder.0.read_dir().expect("it is there").count(), 20, "nothing is left beside them");
}

/// Copies a file page by page, in an order that depends on `turn`, while others change it.
fn torn(from: &Path, to: &Path, turn: usize) {
    let (from, to) = (File::open(from).expect("it is there"), File::create(to).expect("it can be made"));
    let pages = from.metadata().expect("it is open").len() as usize / PAGE;
    let mut bytes = [0; PAGE];
    for number in 0..pages {
        let number = if turn.is_multiple_of(2) { number } else { pages - 1 - number };
        from.read_exact_at(&mut bytes, (number * PAGE) as u64).expect("it can be read");
        to.write_all_at(&bytes, (number * PAGE) as u64).expect("it can be written");
        if number.is_multiple_of(3) {
            std::thread::yield_now();
        }
    }
}

#[test]
fn a_copy_that_was_taken_while_others_count_has_what_it_has_and_goes_on() {
    let made = made();
    let (done, copies) = (AtomicBool::new(false), 40);
    let names = |round: u64| format!("/{}", round % 50);
    let sent: Vec<AtomicU64> = (0..50).map(|_| AtomicU64::new(0)).collect();
    let copy = made.folder.file("copy.ring");
    together(3, |thread| {
        if thread > 0 {
            for round in 0u64.. {
                if done.load(Ordering::Relaxed) {
                    return;
                }
                sent[round as usize % 50].fetch_add(1, Ordering::Relaxed);
                let visitor = (round % 997).to_le_bytes();
                assert_eq!(made.record_visit(&names(round), visitor, 1), Ok(Outcome::Counted));
            }
        }
        let _end = SetAtEnd(&done);
        for turn in 0..copies {
            torn(&made.path(), &copy, turn);
            let faults =
                Inspection::open(&copy).and_then(|inspection| inspection.faults()).expect("the header is whole");
            let registry = made.open(&copy);
            let after =
                Inspection::open(&copy).and_then(|inspection| inspection.faults()).expect("the header is whole");
            assert!(after.is_empty(), "what was faulty stays behind: {faults:?}, then {after:?}");
            for name in registry.endpoints() {
                let count = registry.query_hits(&name, MINUTE).expect("exact").count;
                let sent = sent[name[1..].parse::<usize>().expect("a number")].load(Ordering::Relaxed);
                assert!(count <= sent, "{name}: {count} of {sent}");
                let _ = registry.query_uniques(&name, MINUTE);
            }
            let before = registry.query_hits("/0", MINUTE).expect("exact").count;
            assert_eq!(registry.record_hit("/0", 1), Ok(Outcome::Counted));
            assert_eq!(registry.query_hits("/0", MINUTE).expect("exact").count, before + 1);
            let memory = Registry::builder().window(MINUTE).clock(made.clock.clone()).build().expect("it is possible");
            memory.merge(&registry.snapshot()).expect("it fits");
            assert_eq!(memory.total(MINUTE), registry.total(MINUTE));
            drop(registry);
            fs::remove_file(&copy).expect("it is there");
        }
    });
    let total: u64 = sent.iter().map(|sent| sent.load(Ordering::Relaxed)).sum();
    assert_eq!(made.total(MINUTE).expect("exact"), total, "the copied one is none the worse");
}

#[test]
fn a_file_that_is_cut_at_any_page_does_not_end_the_process_that_uses_it() {
    let folder = Folder::new();
    let whole = small().create(folder.file("whole.ring")).expect("it can be made");
    let mut lost = 0;
    for pages in 0..40 {
        let path = folder.file("cut.ring");
        let registry = small().clock(hitring::ManualClock::new(at(START))).create(&path).expect("it can be made");
        let reader = SharedRegistry::read(&path).expect("it is whole");
        for number in 0..40 {
            assert_eq!(registry.record_visit(&format!("/{number}"), "ann", 1), Ok(Outcome::Counted));
        }
        let memory = Registry::builder().window(MINUTE).build().expect("it is possible");
        assert_eq!(memory.record_visit("/merged", "bob", 2), Ok(Outcome::Counted));
        let rate = "5/minute".parse().expect("a rate");
        let limiter = registry.limiter("limit", rate, None).expect("there is room");
        let done = AtomicBool::new(false);
        together(3, |thread| match thread {
            0 => {
                let _end = SetAtEnd(&done);
                std::thread::sleep(std::time::Duration::from_micros(500));
                let file = File::options().write(true).open(&path).expect("it can be opened");
                assert_eq!(wait(fork(|| file.set_len((pages * PAGE) as u64).expect("it can be cut"))), 0);
                std::thread::sleep(std::time::Duration::from_micros(500));
            }
            1 => {
                for round in 0u32.. {
                    let name = format!("/{}", round % 60);
                    assert!(registry.record_visit(&name, round.to_le_bytes(), 1).is_ok());
                    let _ = (registry.remove("/59"), limiter.allow(round.to_le_bytes(), 1));
                    if done.load(Ordering::Relaxed) {
                        break;
                    }
                }
                let _ = (registry.merge(&memory.snapshot()), registry.snapshot(), registry.metrics(), registry.sync());
            }
            _ => {
                while !done.load(Ordering::Relaxed) {
                    let _ = (reader.total(MINUTE), reader.top(5, MINUTE), reader.query_uniques("/1", MINUTE));
                    let _ = (reader.snapshot(), reader.endpoints(), reader.room(), reader.metrics());
                }
            }
        });
        lost += usize::from(registry.is_lost());
        if registry.is_lost() {
            assert_eq!(registry.record_hit("/1", 1), Ok(Outcome::Refused));
            assert_eq!(registry.query_hits("/1", MINUTE), Err(QueryError::FileLost));
            assert!(!limiter.allow("any", 1).allowed);
        }
        drop((registry, reader, limiter));
        fs::remove_file(&path).expect("it is there");
    }
    assert!(lost > 20, "only {lost} of 40 were noticed");
    assert_eq!(whole.record_hit("/home", 1), Ok(Outcome::Counted));
    assert!(!whole.is_lost());
}

/// What the process that [`what_is_not_ours_goes_where_it_went_before`] starts has to do.
const TASK: &str = "HITRING_TEST_SIGNALS";

static NOTED: AtomicU64 = AtomicU64::new(0);

extern "C" fn note(_: libc::c_int) {
    NOTED.fetch_add(1, Ordering::Relaxed);
}

extern "C" fn leave(_: libc::c_int) {
    // SAFETY: allowed in a handler.
    unsafe { libc::_exit(42) };
}

fn handle(handler: libc::sighandler_t) {
    // SAFETY: the handlers above do only what a handler may.
    assert_ne!(unsafe { libc::signal(libc::SIGBUS, handler) }, libc::SIG_ERR);
}

fn raise() {
    // SAFETY: always allowed.
    assert_eq!(unsafe { libc::raise(libc::SIGBUS) }, 0);
}

/// Reads a page that its file does not have. The file is not a hitring file.
fn fault(path: &Path) {
    let file = File::options().read(true).write(true).create(true).truncate(true).open(path).expect("it can be made");
    // SAFETY: the mapping is new, so nothing else uses it.
    unsafe {
        let fd = std::os::fd::AsRawFd::as_raw_fd(&file);
        let page = libc::mmap(std::ptr::null_mut(), PAGE, libc::PROT_READ, libc::MAP_SHARED, fd, 0);
        assert_ne!(page, libc::MAP_FAILED);
        std::ptr::read_volatile(page.cast::<u8>());
    }
}

/// Not a test of its own: the work of a new process, which has not mapped a file yet.
#[test]
fn child_with_signals() {
    let Ok(task) = std::env::var(TASK) else { return };
    let folder = Folder::new();
    let before = match task.split(' ').next() {
        Some("noted") => note as extern "C" fn(libc::c_int) as libc::sighandler_t,
        Some("leaves") => leave as extern "C" fn(libc::c_int) as libc::sighandler_t,
        Some("ignored") => libc::SIG_IGN,
        _ => libc::SIG_DFL,
    };
    handle(before);
    let registry = small().create(folder.file("hits.ring")).expect("it can be made");
    if task.ends_with("fault") {
        fault(&folder.file("empty"));
    } else {
        raise();
        raise();
    }
    // The process gets here only if the signal was noted or ignored. Faults in hitring's files are still caught after that.
    assert_eq!(NOTED.load(Ordering::Relaxed), if task.starts_with("noted") { 2 } else { 0 });
    assert_eq!(registry.record_hit("/home", 1), Ok(Outcome::Counted));
    File::options().write(true).open(registry.path()).and_then(|file| file.set_len(0)).expect("it can be cut");
    assert_eq!(registry.record_hit("/home", 1), Ok(Outcome::Refused));
}

#[test]
fn what_is_not_ours_goes_where_it_went_before() {
    for (task, code, signal) in [
        ("noted raise", Some(0), None),
        ("ignored raise", Some(0), None),
        ("default raise", None, Some(libc::SIGBUS)),
        ("leaves raise", Some(42), None),
        ("leaves fault", Some(42), None),
        ("default fault", None, Some(libc::SIGBUS)),
        ("ignored fault", None, Some(libc::SIGBUS)),
    ] {
        let mut child = Command::new(std::env::current_exe().expect("it runs"));
        child.args(["--exact", "shared::damage::child_with_signals"]).env(TASK, task).stdin(Stdio::null());
        let output = child.output().expect("it can be run again");
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!((output.status.code(), output.status.signal()), (code, signal), "{task}: {said}");
    }
}

#[test]
fn a_damaged_record_costs_its_own_name_at_most() {
    let folder = Folder::new();
    let path = folder.file("damaged.ring");
    let registry = small().create(&path).expect("it can be made");
    let record = |name: &str| registry.record_hit(name, 1);
    assert_eq!((record("/victim"), record("/other")), (Ok(Outcome::Counted), Ok(Outcome::Counted)));
    // The header and the words that all change, then the table: at most half full, so 128 words for 64 names. The word of the
    // first record says which life is its name's.
    let word = 2 * PAGE as u64;
    let file = File::options().read(true).write(true).open(&path).expect("it is there");
    for damage in [1 << 40, 1 << 63, 2, 60] {
        let mut bytes = [0; 8];
        file.read_exact_at(&mut bytes, word).expect("it is long enough");
        let life = u64::from_le_bytes(bytes);
        assert!((1..64).contains(&life), "{life}");
        file.write_all_at(&(life ^ damage).to_le_bytes(), word).expect("it can be written");
        let before = registry.room().lives;
        assert_eq!(
            (record("/victim"), record("/victim"), record("/other")),
            (Ok(Outcome::Counted), Ok(Outcome::Counted), Ok(Outcome::Counted))
        );
        assert!(registry.room().lives <= before + 1, "{damage:x}");
    }
    assert_eq!(record("/new"), Ok(Outcome::Counted));
    assert_eq!(registry.total_ever("/other"), 5);
}

#[test]
fn a_file_that_was_cut_anywhere_and_grew_again_is_lost() {
    let (folder, clock) = (Folder::new(), ManualClock::new(at(START)));
    let path = folder.file("grown.ring");
    let length = small().create(&path).expect("it can be made").room().file_bytes;
    for cut in (0..length).step_by(PAGE) {
        fs::remove_file(&path).expect("it is ours");
        clock.set(at(START));
        let registry = small().clock(clock.clone()).create(&path).expect("it can be made");
        let handle = registry.counter("/a").expect("there is room");
        assert_eq!(handle.record(3), Outcome::Counted);
        let file = File::options().write(true).open(&path).expect("it is there");
        file.set_len(cut).expect("it can be cut");
        file.set_len(length).expect("it can grow");
        clock.set(at(START + 1));
        assert_eq!((handle.record(1), registry.record_hit("/b", 1)), (Outcome::Refused, Ok(Outcome::Refused)), "{cut}");
        assert_eq!(registry.query_hits("/a", MINUTE), Err(QueryError::FileLost));
        assert!(registry.is_lost());
        let error = SharedRegistry::open(&path).expect_err("it is not whole");
        assert!(matches!(error, SharedError::Damaged { .. }) || cut == 0, "{cut}: {error}");
    }
}

#[test]
fn a_damaged_number_of_names_costs_no_name() {
    let made = made();
    let record = |name: &str, amount: u64| made.record_hit(name, amount);
    for number in 0..17 {
        assert_eq!(record(&format!("/{number}"), 100 + number), Ok(Outcome::Counted));
    }
    // Half of the words that are in use.
    let file = File::options().read(true).write(true).open(made.path()).expect("it is there");
    file.write_all_at(&64u64.to_le_bytes(), (64 + 8) * 8).expect("it can be written");
    assert_ne!(
        Inspection::open(made.path()).expect("it is whole").faults().expect("it is whole"),
        Vec::<String>::new()
    );
    assert_eq!(record("/new", 1), Ok(Outcome::Counted));
    assert_eq!(made.query_hits("/new", MINUTE).map(u64::from), Ok(1));
    for number in 0..17 {
        assert_eq!(made.query_hits(&format!("/{number}"), MINUTE).map(u64::from), Ok(100 + number));
    }
}

#[test]
fn tallies_of_refused_hits_stay_at_the_most() {
    let folder = Folder::new();
    let registry = small().create(folder.file("tallies.ring")).expect("it can be made");
    for expected in [u64::MAX / 2, u64::MAX - 1, u64::MAX, u64::MAX] {
        assert_eq!(registry.record_hit("/a", u64::MAX / 2), Ok(Outcome::Saturated));
        assert_eq!(registry.metrics().saturated, expected);
    }
}
