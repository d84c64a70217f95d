//! The locks of a file: which processes have it open, and which one may make a change that only one may make at a time.
//!
//! Locks of the open file description (`F_OFD_SETLK`): the kernel frees them when the last descriptor is closed, also by
//! `SIGKILL`. Recording and querying take none, except for a new name in a file that is full because a merge keeps places.
//!
//! | byte | shared | exclusive |
//! |---|---|---|
//! | [`Byte::Present`] | a process that may write, for as long as the file is open | a restore or a rewrite, to be alone |
//! | [`Byte::Change`] | | a merge, a restore or a rewrite |
//! | [`Byte::Reading`] | a process that has the file open for reading | a process that begins a new writer in it |
//!
//! A forked child shares its parent's open file description and its lock. With that lock alone, the parent could take the file
//! while the child counts. So every child gets a description and a lock of its own. The parent opens and locks them before the
//! fork, because a quick parent could otherwise take the file before the child has locked it.
//!
//! | when | process | what |
//! |---|---|---|
//! | before the fork | the parent | opens every file anew, and shares [`Byte::Present`] there too |
//! | after it | the child | puts that in the place of the inherited one, and counts in a lane of its own |
//! | | the parent | closes it; the child's stays open |
//!
//! From the first of these steps to the last, a thread that opens a file, closes one or takes one [`Alone`] waits.
//!
//! A child does not get a lock of its own if the parent has no descriptor left, may not open the file any more, or has no
//! `/proc`. The parent cannot find out when such a child ends, so it never takes that file alone again.
//!
//! Tests: below, `tests/shared/processes.rs`.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::Duration;

use crate::sync::{Ordering, process, relax};

/// The longest wait for a lock.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(20);

/// The byte that is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i64)]
pub enum Byte {
    /// Having the file open for writing.
    Present = 0,
    /// Making a change that only one process may make at a time.
    Change = 1,
    /// Having the file open for reading.
    Reading = 2,
}

fn lock(file: &impl AsRawFd, kind: libc::c_int, byte: Byte) -> io::Result<bool> {
    // SAFETY: zeroes are a valid `flock`, which is plain numbers.
    let mut wanted: libc::flock = unsafe { std::mem::zeroed() };
    wanted.l_type = kind as libc::c_short;
    wanted.l_whence = libc::SEEK_SET as libc::c_short;
    wanted.l_start = byte as libc::off_t;
    wanted.l_len = 1;
    // SAFETY: the descriptor is open, and `wanted` lives through the call.
    if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const wanted) } == 0 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EAGAIN | libc::EACCES) => Ok(false),
        _ => Err(error),
    }
}

/// Shares `byte`, unless it is locked alone elsewhere.
pub fn share(file: &impl AsRawFd, byte: Byte) -> io::Result<bool> {
    lock(file, libc::F_RDLCK, byte)
}

/// Locks `byte` alone, unless it is locked elsewhere.
pub fn take(file: &File, byte: Byte) -> io::Result<bool> {
    lock(file, libc::F_WRLCK, byte)
}

/// Gives `byte` back.
pub fn give(file: &File, byte: Byte) {
    // Unlocking a locked byte does not fail.
    let _ = lock(file, libc::F_UNLCK, byte);
}

/// Tries until `attempt` answers true; gives up after `PATIENCE`.
pub fn patiently<E>(attempt: impl FnMut() -> Result<bool, E>) -> Result<bool, E> {
    while_it_goes_on(|| 0, attempt)
}

/// Tries until `attempt` answers true; gives up once `progress` has not changed for `PATIENCE`.
pub fn while_it_goes_on<E>(
    progress: impl Fn() -> u64,
    mut attempt: impl FnMut() -> Result<bool, E>,
) -> Result<bool, E> {
    let (mut waited, mut before) = (Duration::ZERO, progress());
    loop {
        if attempt()? {
            return Ok(true);
        }
        let now = progress();
        if now != before {
            (waited, before) = (Duration::ZERO, now);
        }
        if waited >= PATIENCE {
            return Ok(false);
        }
        sleep(PAUSE);
        waited += PAUSE;
    }
}

/// Until it is dropped, the file is not open for writing elsewhere, and this process does not fork.
#[derive(Debug)]
pub struct Alone<'a>(&'a File);

impl<'a> Alone<'a> {
    /// Takes it, unless the file is open for writing elsewhere, or may be. Threads that open or close a file wait meanwhile.
    pub fn take(file: &'a File, inherited: &Inherited) -> io::Result<Option<Self>> {
        begin_change();
        // From here on, dropping `alone` ends the change.
        let alone = Self(file);
        Ok((!inherited.is_unsure() && take(file, Byte::Present)?).then_some(alone))
    }
}

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        // A lock that is held alone becomes a shared one. If it was not taken, it is still shared.
        let _ = share(self.0, Byte::Present);
        end_change();
    }
}

/// Holds [`Byte::Change`], and gives it back when dropped.
#[derive(Debug)]
pub struct Changing<'a> {
    file: &'a File,
    turn: Option<&'a Turn>,
}

/// The thread of a process that may lock an open file, because the kernel tells open files apart, not threads.
#[derive(Debug, Default)]
pub struct Turn(process::AtomicU64);

impl Turn {
    /// Takes the turn, unless another thread of this process has it. A child may take a turn that a fork copied into it without
    /// the thread that holds it.
    fn take(&self) -> bool {
        let (own, held) = (u64::from(std::process::id()), self.0.load(Ordering::Relaxed));
        held != own && self.0.compare_exchange(held, own, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    fn give(&self) {
        self.0.store(0, Ordering::Release);
    }
}

impl<'a> Changing<'a> {
    /// Waits for it, at most `PATIENCE`. Threads that have the same `file` must have the same `turn`.
    pub fn wait(file: &'a File, turn: Option<&'a Turn>) -> io::Result<Option<Self>> {
        Self::wait_while(file, turn, || 0)
    }

    /// The same, but keeps waiting while `progress` changes.
    pub fn wait_while(file: &'a File, turn: Option<&'a Turn>, progress: impl Fn() -> u64) -> io::Result<Option<Self>> {
        let mut changing = None;
        while_it_goes_on(progress, || {
            changing = Self::take(file, turn)?;
            Ok::<_, io::Error>(changing.is_some())
        })?;
        Ok(changing)
    }

    /// Takes it, unless another process or thread has it.
    pub fn take(file: &'a File, turn: Option<&'a Turn>) -> io::Result<Option<Self>> {
        if !turn.is_none_or(Turn::take) {
            return Ok(None);
        }
        let taken = take(file, Byte::Change);
        if !matches!(taken, Ok(true)) {
            turn.inspect(|turn| turn.give());
        }
        Ok(taken?.then_some(Self { file, turn }))
    }
}

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        give(self.file, Byte::Change);
        self.turn.inspect(|turn| turn.give());
    }
}

/// The most open files for which a child gets a lock of its own.
const FILES: usize = 1_024;

/// Descriptors of files that are open for writing, plus 1.
static OPEN: [process::AtomicU64; FILES] = [const { process::AtomicU64::new(0) }; FILES];
/// The descriptors that the child gets for them while a fork is under way, plus 1.
static FOR_CHILD: [process::AtomicU64; FILES] = [const { process::AtomicU64::new(0) }; FILES];
/// 1 for each of them that a child may have without a lock of its own.
static UNSURE: [process::AtomicU64; FILES] = [const { process::AtomicU64::new(0) }; FILES];
/// How often this process forked.
static FORKS: process::AtomicU64 = process::AtomicU64::new(0);
/// 1 while a fork is under way, or a file is opened, closed or taken alone.
static CHANGING: process::AtomicU64 = process::AtomicU64::new(0);

fn begin_change() {
    while CHANGING.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_err() {
        relax();
    }
}

fn end_change() {
    CHANGING.store(0, Ordering::Release);
}

/// A file on which each forked child gets a lock of its own, until this is dropped.
#[derive(Debug)]
pub struct Inherited {
    /// Its slot; `None` if all slots were taken.
    index: Option<usize>,
    /// How often this process had forked then.
    forks: u64,
}

impl Inherited {
    /// From now on, each child that this process forks gets a lock of its own on `file`.
    pub fn new(file: &File) -> Self {
        static INSTALLED: OnceLock<()> = OnceLock::new();
        INSTALLED.get_or_init(|| {
            choose_lane();
            // SAFETY: the functions only make calls that are allowed around a fork.
            let _ = unsafe { libc::pthread_atfork(Some(before_fork), Some(in_parent), Some(in_child)) };
        });
        let word = file.as_raw_fd() as u64 + 1;
        let free =
            |slot: &process::AtomicU64| slot.compare_exchange(0, word, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        begin_change();
        let index = OPEN.iter().position(free);
        if let Some(index) = index {
            UNSURE[index].store(0, Ordering::Relaxed);
        }
        let forks = FORKS.load(Ordering::Relaxed);
        end_change();
        Self { index, forks }
    }

    /// Whether a child may have the file without a lock of its own.
    fn is_unsure(&self) -> bool {
        match self.index {
            Some(index) => UNSURE[index].load(Ordering::Relaxed) != 0,
            None => FORKS.load(Ordering::Relaxed) != self.forks,
        }
    }
}

impl Drop for Inherited {
    fn drop(&mut self) {
        if let Some(index) = self.index {
            begin_change();
            OPEN[index].store(0, Ordering::Release);
            end_change();
        }
    }
}

/// Which lane of totals this process counts in.
static LANE: process::AtomicU64 = process::AtomicU64::new(0);

/// The lane of totals in which this process counts. Any lane is right: processes in different lanes do not wait for each other.
#[inline(always)]
pub fn lane() -> usize {
    LANE.load(Ordering::Relaxed) as usize
}

/// Processes that begin one after the other have numbers one after the other. Lanes whose numbers differ by two are two lines
/// apart, which is better than one: processors fetch lines in pairs. So the last bit of the number becomes the second.
fn choose_lane() {
    let number = u64::from(std::process::id());
    LANE.store(number.rotate_left(1) | number >> 1 & 1, Ordering::Relaxed);
}

struct Descriptor(libc::c_int);

impl AsRawFd for Descriptor {
    fn as_raw_fd(&self) -> libc::c_int {
        self.0
    }
}

/// The descriptor that a slot holds.
fn descriptor(word: u64) -> Option<libc::c_int> {
    Some(word.checked_sub(1)? as libc::c_int)
}

/// Opens every file anew for the child, and locks it. Only system calls, no memory.
extern "C" fn before_fork() {
    begin_change();
    FORKS.fetch_add(1, Ordering::Relaxed);
    for ((open, for_child), unsure) in OPEN.iter().zip(&FOR_CHILD).zip(&UNSURE) {
        let Some(number) = descriptor(open.load(Ordering::Relaxed)) else { continue };
        let mut path = *b"/proc/self/fd/\0\0\0\0\0\0\0\0\0\0\0";
        let (mut digits, mut at) = ([0u8; 10], 0);
        let mut rest = number;
        while at == 0 || rest > 0 {
            digits[at] = b'0' + (rest % 10) as u8;
            (rest, at) = (rest / 10, at + 1);
        }
        for (place, digit) in path[14..].iter_mut().zip(digits[..at].iter().rev()) {
            *place = *digit;
        }
        // SAFETY: the path ends with a zero.
        let own = unsafe { libc::open(path.as_ptr().cast(), libc::O_RDWR | libc::O_CLOEXEC) };
        let is_shared = own >= 0 && matches!(share(&Descriptor(own), Byte::Present), Ok(true));
        if !is_shared {
            unsure.store(1, Ordering::Relaxed);
        }
        if own >= 0 {
            for_child.store(own as u64 + 1, Ordering::Relaxed);
        }
    }
}

extern "C" fn in_parent() {
    for for_child in &FOR_CHILD {
        if let Some(own) = descriptor(for_child.load(Ordering::Relaxed)) {
            for_child.store(0, Ordering::Relaxed);
            // SAFETY: `before_fork` opened it for the child, and only this loop closes it in the parent.
            unsafe { libc::close(own) };
        }
    }
    end_change();
}

/// Only system calls, no memory, no locks of the process.
extern "C" fn in_child() {
    choose_lane();
    for (open, for_child) in OPEN.iter().zip(&FOR_CHILD) {
        let own = descriptor(for_child.load(Ordering::Relaxed));
        if let (Some(own), Some(number)) = (own, descriptor(open.load(Ordering::Relaxed))) {
            for_child.store(0, Ordering::Relaxed);
            // SAFETY: both are open; `dup3` closes the child's share of the parent's description.
            unsafe {
                libc::dup3(own, number, libc::O_CLOEXEC);
                libc::close(own);
            }
        }
    }
    end_change();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_with_one_open_file_take_turns() {
        let path = std::env::temp_dir().join(format!("hitring-turn-{}", std::process::id()));
        let file = File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let (file, turn, order) = (file.expect("it can be made"), Turn::default(), crate::sync::Mutex::new(Vec::new()));
        let wait =
            || Changing::wait(&file, Some(&turn)).expect("it can be locked").expect("another thread has it briefly");
        std::thread::scope(|scope| {
            let first = wait();
            scope.spawn(|| {
                let second = wait();
                order.lock().push("second begins");
                drop(second);
            });
            sleep(PAUSE * 5);
            order.lock().push("first ends");
            drop(first);
        });
        assert_eq!(*order.lock(), ["first ends", "second begins"]);
        // `wait_while` waits as long as the holder of the lock makes progress.
        let steps = process::AtomicU64::new(0);
        let step = || steps.fetch_add(1, Ordering::Relaxed);
        std::thread::scope(|scope| {
            let first = wait();
            scope.spawn(|| {
                sleep(PATIENCE + PAUSE * 10);
                drop(first);
            });
            let second = File::options().write(true).read(true).open(&path).expect("it is there");
            assert!(Changing::wait_while(&second, None, step).expect("it can be locked").is_some());
        });
        assert!(steps.load(Ordering::Relaxed) > 200);
        // A child that was forked while a thread had the turn does not have the thread.
        turn.0.store(u64::from(std::process::id()) + 1, Ordering::Relaxed);
        assert!(turn.take() && !turn.take());
        std::fs::remove_file(path).expect("it is ours");
    }
}
