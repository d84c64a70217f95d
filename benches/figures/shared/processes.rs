//! Processes that do something at once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Words that a process shares with its children.
fn shared(words: usize) -> &'static [AtomicU64] {
    let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
    // SAFETY: a new mapping that overlaps nothing, of zeroes.
    let mapped = unsafe { libc::mmap(std::ptr::null_mut(), words * 8, access, kind, -1, 0) };
    assert_ne!(mapped, libc::MAP_FAILED, "there is memory");
    // SAFETY: the mapping is as long as that and begins a page; it stays until `forget`.
    unsafe { std::slice::from_raw_parts(mapped.cast(), words) }
}

fn forget(words: &'static [AtomicU64]) {
    // SAFETY: it came from `shared`, and nothing uses it any more.
    unsafe { libc::munmap(words.as_ptr().cast_mut().cast(), size_of_val(words)) };
}

/// Runs `body` in so many forked processes that begin together; the time of the slowest.
pub fn together(processes: usize, body: impl Fn(usize)) -> Duration {
    let words = shared(processes + 1);
    let children: Vec<libc::pid_t> = (0..processes)
        .map(|process| {
            // SAFETY: the child uses what it inherited and leaves by `_exit`.
            let child = unsafe { libc::fork() };
            assert!(child >= 0, "fork failed");
            if child == 0 {
                words[processes].fetch_add(1, Ordering::AcqRel);
                while words[processes].load(Ordering::Acquire) < processes as u64 {
                    std::hint::spin_loop();
                }
                let start = Instant::now();
                body(process);
                words[process].store(start.elapsed().as_nanos() as u64, Ordering::Release);
                // SAFETY: always allowed.
                unsafe { libc::_exit(0) };
            }
            child
        })
        .collect();
    for child in children {
        let mut status = 0;
        // SAFETY: `status` is valid, and this process started the child.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert_eq!(status, 0, "a process failed");
    }
    let slowest = words[..processes].iter().map(|word| word.load(Ordering::Acquire)).max().unwrap_or_default();
    forget(words);
    Duration::from_nanos(slowest)
}
