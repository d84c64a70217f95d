//! Limits in a file: their rates, their time over boots and damage, and files that are cut.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use hitring::{LimitError, SharedBuilder, SharedError, SharedLimiter, SharedRegistry, SystemClock};

use super::restore::empty;
use super::{Folder, MINUTE, made, small};

/// The word of the latest decision, behind the costs without room.
const LATEST: u64 = 64 + 6 * 8 + 2;

fn builder() -> SharedBuilder {
    small().clock(SystemClock)
}

fn limiter(registry: &SharedRegistry) -> SharedLimiter {
    registry.limiter("logins", "1/100ms".parse().expect("a rate"), None).expect("there is room")
}

/// Gives the file another inode, which has the same effect as another boot.
fn boot(path: &Path) {
    let copy = path.with_extension("copy");
    fs::copy(path, &copy).expect("it can be copied");
    fs::rename(copy, path).expect("it can be replaced");
}

/// Lets a cost of `key` through, and another after a while.
fn limits(registry: &SharedRegistry, key: &str) {
    let limiter = limiter(registry);
    for _ in 0..2 {
        assert!(limiter.allow(key, 1).allowed, "{key} is shut");
        // Even where time stands still, a caller is not told to wait longer than this.
        sleep(Duration::from_millis(150));
    }
}

/// The clock that costs little is up to some milliseconds behind the one by which the file was made.
#[test]
fn limits_of_a_file_that_was_just_made_are_not_shut_for_good() {
    let folder = Folder::in_memory();
    for number in 0..5 {
        let path = folder.file(&format!("{number}.ring"));
        let registry = builder().max_endpoints(4).limits(4).create(&path).expect("it can be made");
        limits(&registry, "ann");
        drop(registry);
        boot(&path);
        limits(&builder().open(&path).expect("it is whole"), "ben");
    }
}

#[test]
fn a_damaged_latest_time_shuts_no_limits() {
    let folder = Folder::in_memory();
    let path = folder.file("hits.ring");
    limits(&builder().create(&path).expect("it can be made"), "ann");
    let whole = fs::read(&path).expect("it can be read");
    // Up to there the time is believed.
    for bit in [0, 40, 58, 59, 60, 61, 62, 63] {
        fs::write(&path, &whole).expect("it can be written");
        let file = File::options().write(true).open(&path).expect("it is there");
        file.write_all_at(&(1u64 << bit).to_le_bytes(), LATEST * 8).expect("it can be written");
        for key in ["ben", "cleo"] {
            boot(&path);
            limits(&builder().open(&path).expect("it is whole"), key);
        }
    }
}

#[test]
fn a_limiter_of_a_file_that_was_cut_and_grew_again_refuses() {
    let folder = Folder::new();
    for catches in [true, false] {
        let path = folder.file(&format!("{catches}.ring"));
        let registry = builder().catch_sigbus(catches).create(&path).expect("it can be made");
        let limiter = limiter(&registry);
        assert!(limiter.allow("ann", 1).allowed);
        let file = File::options().write(true).open(&path).expect("it is there");
        let length = file.metadata().expect("it is there").len();
        file.set_len(0).and_then(|()| file.set_len(length)).expect("it can be cut");
        assert!(!limiter.allow("ben", 1).allowed && registry.is_lost());
    }
}

/// What a damaged slot says of its key may be wrong, but its callers still get an answer.
#[test]
fn a_flipped_bit_of_a_limit_does_not_stop_callers() {
    let folder = Folder::in_memory();
    let path = folder.file("hits.ring");
    let registry = builder().limits(8).create(&path).expect("it can be made");
    let limiter = registry.limiter("logins", "5/minute".parse().expect("a rate"), None).expect("there is room");
    let before = fs::read(&path).expect("it can be read");
    assert!(limiter.allow("ann", 3).allowed);
    let bytes = fs::read(&path).expect("it can be read");
    let file = File::options().read(true).write(true).open(&path).expect("it is there");
    let changed = (512..bytes.len()).step_by(8).filter(|&at| bytes[at..at + 8] != before[at..at + 8]);
    for at in changed.clone() {
        for bit in 0..64 {
            let word = u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes")) ^ 1 << bit;
            file.write_all_at(&word.to_le_bytes(), at as u64).expect("it can be written");
            let _ = (limiter.allow("ann", 1), limiter.peek("ann", 1), limiter.allow("ben", 1), limiter.keys_in_use());
            for at in changed.clone() {
                file.write_all_at(&bytes[at..at + 8], at as u64).expect("it can be written");
            }
        }
    }
}

/// Through a restore, too.
#[test]
fn the_last_rate_that_was_given_holds_for_all_processes() {
    let made = made();
    let rate = |text: &str| text.parse().expect("a rate");
    // A service is deployed anew with another rate, one process after another.
    let old = made.limiter("logins", rate("5/minute"), None).expect("there is room");
    assert!(old.allow("ann", 5).allowed && !old.allow("ann", 1).allowed);
    let new = made.open(&made.path()).limiter("logins", rate("8/minute"), None).expect("there is room");
    assert_eq!((old.rate(), new.rate()), (rate("8/minute"), rate("8/minute")));
    assert!(old.allow("ann", 2).allowed && new.allow("ann", 1).allowed && !old.allow("ann", 1).allowed);
    // One that begins again with the rate of before lowers it for all.
    let again = made.limiter("logins", rate("5/minute"), None).expect("there is room");
    assert_eq!((new.rate(), new.peek("ann", 1).remaining, new.peek("bob", 1).remaining), (rate("5/minute"), 0, 5));
    again.set_rate(rate("100/minute"), None).expect("there is room");
    assert_eq!((old.peek("ann", 1).remaining, new.rate().limit()), (92, 100));
    assert!(old.allow("ann", 92).allowed);
    drop(new);
    // A restore takes the rate along.
    made.restore(&empty()).expect("it is alone");
    assert_eq!((old.rate(), old.peek("ann", 1).remaining), (rate("100/minute"), 0));
    again.set_rate(rate("90/minute"), None).expect("there is room");
    assert!(!old.allow("ann", 1).allowed && !again.allow("ann", 1).allowed);
    made.clock.advance(MINUTE * 2).expect("in range");
    assert!(old.allow("ann", 90).allowed && !again.allow("ann", 1).allowed);
    // A window does not become a bucket.
    let bucket = made.limiter("logins", rate("5/minute"), Some(5)).expect_err("it is a window");
    assert!(matches!(bucket, SharedError::Limit(LimitError::NoBucket { given: 5 })));
    let made_bucket = made.limiter("posts", rate("5/minute"), Some(5)).expect("there is room");
    assert!(made_bucket.allow("ann", 5).allowed);
    let window = made_bucket.set_rate(rate("5/minute"), None).expect_err("it is a bucket");
    assert!(matches!(window, SharedError::Limit(LimitError::Bucket { burst: 5 })));
    made_bucket.set_rate(rate("60/minute"), Some(10)).expect("there is room");
    assert_eq!((made_bucket.peek("ann", 1).remaining, made_bucket.burst()), (5, Some(10)));
}
