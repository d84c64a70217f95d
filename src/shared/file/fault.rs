//! Lets a process survive that its file is cut while it is mapped.
//!
//! Reading or writing a page that the file no longer has raises `SIGBUS`, which ends a process without a handler, here a whole
//! service. So the first mapping installs a handler. If the address lies in a mapping of a hitring file, the handler puts an
//! empty private page there and notes that the mapping is lost. Then the instruction runs again, in that page. Every call
//! checks the note before it answers: a hit that was written to such a page is `Refused`, a query is an error. Any other
//! `SIGBUS` goes to the handler that was there before.
//!
//! Another handler may be installed after this one, for example Python's `faulthandler`. It reports the fault, restores this
//! handler and raises the signal again, which then comes without an address. While a mapped file is shorter than its mapping,
//! this handler returns from such a signal: the instruction runs again, and its fault comes here with an address.
//! | slot of the table | moved by |
//! |---|---|
//! | base 0 | the thread that maps a file: by one exchange to an address that no fault has, and to the base after `length` |
//! | base | the thread that unmaps the file, to 0, before it does |
//! | `lost` | the handler, to 1, for good |
//!
//! The handler makes only calls that are allowed in a handler: loads and stores of atomics, and the system call `mmap`.
//!
//! Tests: `tests/shared/files.rs`.

use std::ffi::{c_int, c_void};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::sync::OnceLock;

use crate::sync::{Ordering, process};

/// The most mappings for which a process is prepared at a time.
const MAPPINGS: usize = 1_024;

struct Mapping {
    base: process::AtomicU64,
    length: process::AtomicU64,
    /// The descriptor of the file, which stays open while it is mapped.
    file: process::AtomicU64,
    lost: process::AtomicU64,
}

static TABLE: [Mapping; MAPPINGS] = [const {
    Mapping {
        base: process::AtomicU64::new(0),
        length: process::AtomicU64::new(0),
        file: process::AtomicU64::new(0),
        lost: process::AtomicU64::new(0),
    }
}; MAPPINGS];

/// A mapping whose loss the process survives, until this is dropped.
#[derive(Debug)]
pub struct Prepared {
    index: Option<usize>,
    /// The note of this mapping, or a word that is always 0 if the mapping has no slot.
    lost: &'static process::AtomicU64,
}

impl Prepared {
    /// Prepares for the mapping of `length` bytes of `file` at `base`. Without a file, it prepares nothing.
    ///
    /// # Safety
    /// Until the answer is dropped, the bytes stay mapped and are used as atomic words only: an empty page may take the place
    /// of any of their pages at any time.
    pub unsafe fn new(base: *const u8, length: usize, file: Option<&File>) -> Self {
        static NEVER: process::AtomicU64 = process::AtomicU64::new(0);
        let Some(file) = file else { return Self { index: None, lost: &NEVER } };
        install();
        let base = base.addr() as u64;
        let index = TABLE.iter().position(|slot| {
            // Claimed by an address that no fault has, so that the handler never sees a base with another's length.
            let claimed = slot.base.compare_exchange(0, u64::MAX, Ordering::AcqRel, Ordering::Relaxed).is_ok();
            if claimed {
                slot.length.store(length as u64, Ordering::Relaxed);
                slot.file.store(file.as_raw_fd() as u64, Ordering::Relaxed);
                slot.lost.store(0, Ordering::Relaxed);
                slot.base.store(base, Ordering::Release);
            }
            claimed
        });
        Self { index, lost: index.map_or(&NEVER, |index| &TABLE[index].lost) }
    }

    /// Whether part of the mapping is lost.
    #[inline(always)]
    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed) != 0
    }

    /// Notes that the mapping is lost, where that can be noted.
    pub fn lose(&self) {
        if let Some(index) = self.index {
            TABLE[index].lost.store(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        if let Some(index) = self.index {
            TABLE[index].base.store(0, Ordering::Release);
        }
    }
}

static BEFORE: OnceLock<libc::sigaction> = OnceLock::new();
/// The bytes of a page, noted here because a handler may not ask for them.
static PAGE: process::AtomicU64 = process::AtomicU64::new(4_096);

fn install() {
    static INSTALLED: OnceLock<()> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        // SAFETY: it only answers a number.
        let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        PAGE.store(u64::try_from(size).unwrap_or(4_096), Ordering::Relaxed);
        // SAFETY: zeroes are a valid `sigaction`; the handler below is one of three arguments, as SA_SIGINFO wants; the
        // former action is known to the handler before it can be called.
        unsafe {
            let mut before: libc::sigaction = std::mem::zeroed();
            if libc::sigaction(libc::SIGBUS, std::ptr::null(), &raw mut before) != 0 {
                return;
            }
            let _ = BEFORE.set(before);
            let mut ours: libc::sigaction = std::mem::zeroed();
            ours.sa_sigaction = (on_fault as unsafe extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void)) as usize;
            ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
            libc::sigemptyset(&raw mut ours.sa_mask);
            libc::sigaction(libc::SIGBUS, &raw const ours, std::ptr::null_mut());
        }
    });
}

impl Mapping {
    /// Whether the file is shorter than the mapping. Makes only calls that are allowed in a handler.
    fn is_cut(&self) -> bool {
        let base = self.base.load(Ordering::Acquire);
        if base == 0 || base == u64::MAX {
            return false;
        }
        // SAFETY: zeroes are a valid `stat`, which is plain numbers.
        let mut found: libc::stat = unsafe { std::mem::zeroed() };
        // SAFETY: `found` is there to be filled, and a descriptor that is not open is an error.
        let is_known = unsafe { libc::fstat(self.file.load(Ordering::Relaxed) as c_int, &raw mut found) } == 0;
        is_known && (found.st_size as u64) < self.length.load(Ordering::Relaxed)
    }
}

/// # Safety
/// As the kernel calls a handler that was installed with SA_SIGINFO.
unsafe extern "C" fn on_fault(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel hands a valid `siginfo_t` to such a handler.
    let (address, code) = unsafe { ((*info).si_addr().addr() as u64, (*info).si_code) };
    // A signal that a process sent has the sender in the place of the address.
    let is_sent = code <= 0;
    // SAFETY: the kernel fills in the sender of a signal that was sent; asking for the own number is always allowed.
    let is_own = code == libc::SI_TKILL && unsafe { (*info).si_pid() == libc::getpid() };
    if is_own && TABLE.iter().any(Mapping::is_cut) {
        return;
    }
    for slot in TABLE.iter().filter(|_| !is_sent) {
        let base = slot.base.load(Ordering::Acquire);
        let length = slot.length.load(Ordering::Relaxed);
        if base == 0 || base == u64::MAX || !(base..base.saturating_add(length)).contains(&address) {
            continue;
        }
        slot.lost.store(1, Ordering::Relaxed);
        let size = PAGE.load(Ordering::Relaxed);
        let page = address & !(size - 1);
        let (access, kind) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED);
        // SAFETY: the page lies in a mapping for which `Prepared::new` was promised that it is used as atomic words only; an
        // empty page takes the place of one that is gone.
        let mapped = unsafe { libc::mmap(page as *mut c_void, size as usize, access, kind, -1, 0) };
        if mapped != libc::MAP_FAILED {
            return;
        }
    }
    // SAFETY: these are the kernel's.
    unsafe { hand_on(signal, info, context, is_sent) };
}

/// Calls the handler that was there before.
///
/// # Safety
/// `info` and `context` are those that the kernel gave to the handler of `signal`.
unsafe fn hand_on(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void, is_sent: bool) {
    let before = BEFORE.get();
    let handler = before.map_or(libc::SIG_DFL, |before| before.sa_sigaction);
    if handler == libc::SIG_IGN && is_sent {
        // A fault cannot be ignored: its instruction would run for ever.
    } else if handler == libc::SIG_IGN || handler == libc::SIG_DFL {
        // SAFETY: the default action takes this one's place; the instruction runs again and the process ends by it.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
        if is_sent {
            // SAFETY: no instruction brings it again, so this does; both may be called in a handler.
            unsafe { libc::raise(signal) };
        }
    } else if before.is_some_and(|before| before.sa_flags & libc::SA_SIGINFO != 0) {
        type Handler = unsafe extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);
        // SAFETY: it was installed with SA_SIGINFO, so it is a function of these three.
        let handler = unsafe { std::mem::transmute::<usize, Handler>(handler) };
        // SAFETY: it is called as the kernel would.
        unsafe { handler(signal, info, context) };
    } else {
        // SAFETY: it was installed without SA_SIGINFO, so it is a function of the signal.
        let handler: extern "C" fn(c_int) = unsafe { std::mem::transmute(handler) };
        handler(signal);
    }
}
