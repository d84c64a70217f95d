//! What is foreign, cut, newer, damaged or not allowed is refused, and left as it was.

use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::Duration;

use hitring::shared::Inspection;
use hitring::{ConfigError, Outcome, QueryError, SharedError, SharedRegistry};

use super::processes::{fork, wait};
use super::{Folder, MINUTE, START, made, small};

/// The words of the header, and the one that holds its checksum.
const HEADER: usize = 64;

fn is_root() -> bool {
    // SAFETY: it only answers a number.
    unsafe { libc::geteuid() == 0 }
}

/// Every way to open what is at `path`; each must fail, and none may change a byte.
fn refusals(path: &Path) -> Vec<SharedError> {
    let bytes = fs::read(path).expect("it can be read");
    let errors = vec![
        small().create(path).map(drop).expect_err("refused"),
        SharedRegistry::open(path).map(drop).expect_err("refused"),
        SharedRegistry::read(path).map(drop).expect_err("refused"),
        Inspection::open(path).map(drop).expect_err("refused"),
    ];
    assert!(fs::read(path).expect("it can be read") == bytes, "it was changed");
    errors
}

/// A whole file's bytes.
fn whole() -> (Folder, Vec<u8>) {
    let folder = Folder::new();
    let registry = small().create(folder.file("whole.ring")).expect("it can be made");
    assert_eq!(registry.record_hit("/home", 3), Ok(Outcome::Counted));
    let bytes = fs::read(registry.path()).expect("it can be read");
    (folder, bytes)
}

/// `bytes` with `word` of the header as `value`, and a checksum that is right for it.
pub fn forged(bytes: &[u8], word: usize, value: u64) -> Vec<u8> {
    let mut forged = bytes.to_vec();
    forged[word * 8..word * 8 + 8].copy_from_slice(&value.to_le_bytes());
    let end = (HEADER - 1) * 8;
    let crc = !forged[..end].iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    });
    forged[end..end + 8].copy_from_slice(&u64::from(crc).to_le_bytes());
    forged
}

#[test]
fn what_is_not_ours_is_left_alone() {
    let folder = Folder::new();
    let snapshot = hitring::Registry::new().snapshot().to_bytes();
    for (name, bytes) in [("empty", &b""[..]), ("text", b"HITRING, or so they say"), ("snapshot", &snapshot)] {
        let path = folder.file(name);
        fs::write(&path, bytes).expect("it can be written");
        let errors = refusals(&path);
        assert!(errors.iter().all(|error| matches!(error, SharedError::Foreign { .. })), "{errors:?}");
    }
    for path in [&folder.0, Path::new("/dev/null")] {
        assert!(SharedRegistry::create(path).is_err() && SharedRegistry::read(path).is_err(), "{path:?}");
    }
    // The other end of a pipe is not waited for.
    let pipe = folder.file("pipe");
    let name = CString::new(pipe.as_os_str().as_bytes()).expect("it has no zero");
    // SAFETY: the name is a C string.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    assert!(SharedRegistry::create(&pipe).is_err() && SharedRegistry::read(&pipe).is_err());
}

#[test]
fn what_was_cut_is_refused() {
    let (folder, bytes) = whole();
    let path = folder.file("cut.ring");
    for length in
        [8, 9, 100, 511, 512, 4_095, 4_096, 4_097, 8_192, bytes.len() / 2, bytes.len() - 4_096, bytes.len() - 1]
    {
        fs::write(&path, &bytes[..length]).expect("it can be written");
        for error in refusals(&path) {
            assert!(matches!(error, SharedError::Truncated { .. }), "{length}: {error}");
        }
    }
}

#[test]
fn every_word_of_the_header_is_checked() {
    let (folder, bytes) = whole();
    let path = folder.file("flipped.ring");
    for word in 0..HEADER {
        for bit in [0, 31, 63] {
            let mut flipped = bytes.clone();
            flipped[word * 8 + bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, &flipped).expect("it can be written");
            for error in refusals(&path) {
                let expected = match word {
                    0 => matches!(error, SharedError::Foreign { .. }),
                    1 => matches!(error, SharedError::Version { .. }),
                    _ => matches!(error, SharedError::Damaged { .. }),
                };
                assert!(expected, "word {word}, bit {bit}: {error}");
            }
        }
    }
}

#[test]
fn other_versions_and_impossible_sizes_are_refused_even_with_a_right_checksum() {
    let (folder, bytes) = whole();
    let path = folder.file("forged.ring");
    let word = |word: usize| u64::from_le_bytes(bytes[word * 8..word * 8 + 8].try_into().expect("eight bytes"));
    fs::write(&path, forged(&bytes, 20, word(20))).expect("it can be written");
    assert!(SharedRegistry::read(&path).is_ok(), "the checksum of this test is the file's");
    for version in [0, 1, 3, 77] {
        fs::write(&path, forged(&bytes, 1, (word(1) & !0xffff_ffff) | version)).expect("it can be written");
        for error in refusals(&path) {
            assert!(
                matches!(error, SharedError::Version { version: found, .. } if u64::from(found) == version),
                "{error}"
            );
        }
    }
    for (at, values) in [
        (2, &[0, 1, word(2) - 1, word(2) + 512, u64::MAX][..]),
        (3, &[0, 999, u64::MAX]),
        (4, &[0, u64::MAX, word(4) + 1]),
        (5, &[0, u64::MAX, word(5) - 1, word(5) + (1 << 32)]),
        (6, &[u64::MAX, 0]),
        (7, &[u64::MAX, word(7) + 4_096]),
        (8, &[u64::MAX, 1 << 50]),
        (9, &[u64::MAX, 1 << 50, 513]),
        (10, &[0, 3, 19, u64::MAX]),
    ] {
        for &value in values {
            fs::write(&path, forged(&bytes, at, value)).expect("it can be written");
            for error in refusals(&path) {
                assert!(matches!(error, SharedError::Damaged { .. }), "word {at} as {value}: {error}");
            }
        }
    }
}

#[test]
fn a_file_has_the_settings_it_was_made_with() {
    let made = made();
    let other = |builder: hitring::SharedBuilder| builder.create(made.path()).map(drop).expect_err("refused");
    for (error, part) in [
        (other(SharedRegistry::builder()), "window"),
        (other(small().slack(5)), "slack"),
        (other(small().resolution(Duration::from_millis(500))), "resolution"),
        (other(small().precision(10)), "precision"),
        (other(small().max_endpoints(7)), "max_endpoints"),
        (other(small().name_bytes(640)), "name_bytes"),
        (other(small().visitors(16)), "visitors"),
        (other(small().limits(33)), "limits"),
    ] {
        assert!(matches!(&error, SharedError::Settings { what, .. } if what.contains(part)), "{error}");
    }
    // A copy is refused before a new writer begins in it.
    let copy = made.folder.file("copy.ring");
    fs::copy(made.path(), &copy).expect("it can be copied");
    let before = fs::read(&copy).expect("it can be read");
    assert!(matches!(small().slack(5).create(&copy), Err(SharedError::Settings { .. })));
    assert!(fs::read(&copy).expect("it can be read") == before);
    let whatever = SharedRegistry::builder().window(MINUTE).create(made.path());
    assert_eq!(whatever.expect("its room is no matter where none is given").max_endpoints(), 64);
    assert!(matches!(
        small().max_skew(MINUTE).open(made.path()),
        Err(SharedError::Config(ConfigError::SkewBeyondSlack { .. }))
    ));
    assert!(matches!(SharedRegistry::open(made.folder.file("none")), Err(SharedError::Io { .. })));
    assert!(matches!(small().create(made.folder.file("no/folder")), Err(SharedError::Io { .. })));
    assert!(matches!(small().visitors(1 << 60).create(made.folder.file("huge")), Err(SharedError::TooLarge { .. })));
    assert!(!made.folder.file("huge").exists());
}

#[test]
fn a_file_is_its_owners() {
    let made = made();
    assert_eq!(fs::metadata(made.path()).expect("it is there").mode() & 0o777, 0o600);
    let link = made.folder.file("link");
    symlink(made.path(), &link).expect("a link can be made");
    assert!(small().create(&link).is_ok(), "a link to a file is that file");
    let dangling = made.folder.file("dangling");
    symlink(made.folder.file("nowhere"), &dangling).expect("a link can be made");
    assert!(small().create(&dangling).is_err(), "nothing is made where a link leads");
    if !is_root() {
        fs::set_permissions(made.path(), fs::Permissions::from_mode(0o400)).expect("it is ours");
        assert!(matches!(SharedRegistry::open(made.path()), Err(SharedError::Io { .. })));
        assert!(SharedRegistry::read(made.path()).is_ok());
        println!("not root: files of other users are not tried");
        return;
    }
    std::os::unix::fs::chown(made.path(), Some(12_345), None).expect("root may");
    assert!(matches!(small().create(made.path()), Err(SharedError::Owner { uid: 12_345, .. })));
    assert!(SharedRegistry::open(made.path()).is_ok());
}

#[test]
fn a_full_disk_makes_no_file() {
    if !is_root() {
        println!("not root: no small disk can be mounted");
        return;
    }
    let folder = Folder::new();
    let name = |text: &str| CString::new(text).expect("it has no zero");
    let disk = folder.file("disk");
    fs::create_dir(&disk).expect("it can be made");
    let (kind, path) = (name("tmpfs"), name(disk.to_str().expect("it is text")));
    let size = name("size=1m");
    // SAFETY: all are C strings.
    let mounted = unsafe { libc::mount(kind.as_ptr(), path.as_ptr(), kind.as_ptr(), 0, size.as_ptr().cast()) };
    if mounted != 0 {
        println!("no small disk can be mounted here");
        return;
    }
    let outcome = std::panic::catch_unwind(|| {
        let error = SharedRegistry::create(disk.join("hits.ring")).map(drop).expect_err("the disk is full");
        assert!(matches!(error, SharedError::NoSpace { bytes, .. } if bytes > 1 << 20), "{error}");
        assert_eq!(disk.read_dir().expect("it is there").count(), 0, "nothing is left");
        // What fits is made, and never wants more.
        let registry = small().visitors(0).limits(0).create(disk.join("small.ring")).expect("it fits");
        fs::write(disk.join("rest"), vec![1; 2 << 20]).expect_err("the disk is full");
        for number in 0..64 {
            assert_eq!(registry.record_hit(&format!("/{number}"), 1), Ok(Outcome::Counted));
        }
        assert_eq!(registry.total(MINUTE).expect("exact"), 64);
    });
    // SAFETY: the path is a C string.
    assert_eq!(unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH) }, 0);
    outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

#[test]
fn of_many_who_make_one_file_one_does() {
    let folder = Folder::new();
    for round in 0..20 {
        let path = folder.file(&format!("race-{round}.ring"));
        let children: Vec<_> = (0..8)
            .map(|_| {
                fork(|| {
                    let registry = small().create(&path).expect("one makes it, the others open it");
                    assert_eq!(registry.record_hit("/home", 1), Ok(Outcome::Counted));
                })
            })
            .collect();
        assert!(children.into_iter().all(|child| wait(child) == 0));
        let registry = SharedRegistry::open(&path).expect("it is whole");
        assert_eq!((registry.total_ever("/home"), registry.room().lives), (8, 1));
    }
    assert_eq!(folder.0.read_dir().expect("it is there").count(), 20, "nothing is left beside them");
}

#[test]
fn who_has_a_file_open_that_is_removed_or_replaced_is_told() {
    let made = made();
    assert!(made.is_current());
    let other = small().create(made.folder.file("other.ring")).expect("it can be made");
    fs::rename(other.path(), made.path()).expect("it can be moved");
    assert!(!made.is_current());
    assert_eq!(made.record_hit("/home", 1), Ok(Outcome::Counted), "it goes on in what it has open");
    fs::remove_file(made.path()).expect("it is there");
    assert!(!made.is_current());
}

#[test]
fn a_file_that_is_cut_ends_neither_readers_nor_writers() {
    let made = made();
    let whole = small().create(made.folder.file("whole.ring")).expect("it can be made");
    assert_eq!(whole.record_hit("/home", 2), Ok(Outcome::Counted));
    let handle = made.counter("/home").expect("there is room");
    assert_eq!(handle.record(1), Outcome::Counted);
    let reader = SharedRegistry::read(made.path()).expect("it is whole");
    let inspection = Inspection::open(made.path()).expect("it is whole");
    let file = fs::File::options().write(true).open(made.path()).expect("it can be opened");
    // By another process, as it happens.
    assert_eq!(wait(fork(|| file.set_len(4_096).expect("it can be cut"))), 0);
    assert_eq!(handle.record(1), Outcome::Refused);
    assert_eq!(made.record_hit("/home", 1), Ok(Outcome::Refused));
    assert_eq!(made.record_hit("/new", 1), Ok(Outcome::Refused));
    assert_eq!(handle.count(), Err(QueryError::FileLost));
    for registry in [&made.registry, &reader] {
        assert_eq!(registry.query_hits("/home", MINUTE), Err(QueryError::FileLost));
        assert_eq!(registry.total(MINUTE), Err(QueryError::FileLost));
        assert!(registry.top(1, MINUTE).is_err() && registry.is_lost());
    }
    assert!(matches!(inspection.report(None), Err(SharedError::Truncated { .. })));
    assert!(matches!(inspection.faults(), Err(SharedError::Truncated { .. })));
    assert!(matches!(SharedRegistry::open(made.path()), Err(SharedError::Truncated { .. })));
    // Others are none the worse.
    assert_eq!(whole.record_hit("/home", 2), Ok(Outcome::Counted));
    assert_eq!(whole.query_hits("/home", MINUTE).expect("exact"), 4);
    assert!(!whole.is_lost());
}

#[test]
fn another_bus_error_goes_where_it_went_before() {
    let folder = Folder::new();
    let _registry = small().create(folder.file("hits.ring")).expect("it can be made");
    // A page of a file that hitring has not mapped, so its handler does not catch the fault.
    let path = folder.file("empty");
    let child = fork(|| {
        let file = fs::File::options().read(true).write(true).create(true).truncate(true).open(&path);
        let file = file.expect("it can be made");
        // SAFETY: a new mapping, of pages that the file does not have.
        unsafe {
            let fd = std::os::fd::AsRawFd::as_raw_fd(&file);
            let page = libc::mmap(std::ptr::null_mut(), 4_096, libc::PROT_READ, libc::MAP_SHARED, fd, 0);
            assert_ne!(page, libc::MAP_FAILED);
            std::ptr::read_volatile(page.cast::<u8>());
        }
    });
    assert_eq!(wait(child), -libc::SIGBUS);
}

#[test]
fn clocks_that_are_stepped_miscount_nothing() {
    let made = made();
    let other_clock = hitring::ManualClock::new(super::at(START));
    let other = small().clock(other_clock.clone()).open(made.path()).expect("it is whole");
    let count = |registry: &SharedRegistry| registry.query_hits("/home", MINUTE).expect("exact").count;
    assert_eq!(made.record_hit("/home", 1), Ok(Outcome::Counted));
    // Back a little: time stands still.
    made.set(START - 15);
    assert_eq!(made.record_hit("/home", 1), Ok(Outcome::Counted));
    assert_eq!((count(&made), count(&other)), (2, 2));
    // An hour back: it follows. What was counted lies in the future; a slot that is free is taken, one that has a later
    // tick is not given back.
    made.set(START - 3_600);
    let outcome = made.record_hit("/home", 1).expect("the name is possible");
    assert!(matches!(outcome, Outcome::Counted | Outcome::Late));
    assert_eq!(count(&other), 2);
    // An hour ahead: it follows, and the other, whose clock is right, is refused what would be late.
    made.set(START + 3_600);
    assert_eq!(made.record_hit("/home", 10), Ok(Outcome::Counted));
    assert_eq!(count(&made), 10);
    other_clock.set(super::at(START + 1));
    assert!(other.record_hit("/home", 1).is_ok());
    other_clock.set(super::at(START + 3_600));
    made.set(START + 3_600);
    assert_eq!(other.record_hit("/home", 1), Ok(Outcome::Counted));
    assert_eq!((count(&made), count(&other)), (11, 11));
    let metrics = other.metrics();
    assert_eq!(metrics.total_hits + metrics.late, 15);
}
