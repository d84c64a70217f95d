//! Whether a file is the one that was made, on the boot that made it.
//!
//! A writer's cells merge by the larger value, so two files must never count as one writer. Both copies of a copied file would.
//! So a file notes the boot and the inode under which it was made. A process that opens it under another boot or inode begins
//! a new writer (see `renew`):
//!
//! | what happened | found | |
//! |---|---|---|
//! | closed, killed, moved, opened by another path or from another container | the same | the writer stays the same |
//! | copied, restored from a backup | another inode, or one born later | new writer |
//! | the machine booted | another boot | new writer, because the disk may have an older state than was exported |
//!
//! An old state that is written *into* the same inode on the same boot looks like the file itself. So replace the file instead.
//!
//! Tests: `tests/shared`.

use std::ffi::CStr;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;

/// Where and when a file was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The boot of the machine.
    pub boot: [u64; 2],
    pub inode: u64,
    /// When the inode was made, in nanoseconds; where the file system does not say, the device.
    pub birth: u64,
}

impl Origin {
    /// The origin that `file` would have if it was made now.
    pub fn of(file: &File) -> io::Result<Self> {
        // SAFETY: zeroes are a valid `statx`, which is plain numbers.
        let mut found: libc::statx = unsafe { std::mem::zeroed() };
        let empty: &CStr = c"";
        let wanted = libc::STATX_INO | libc::STATX_BTIME;
        // SAFETY: `file` is open, the path is a C string, and `found` is there to be filled.
        let failed =
            unsafe { libc::statx(file.as_raw_fd(), empty.as_ptr(), libc::AT_EMPTY_PATH, wanted, &raw mut found) };
        if failed != 0 {
            return Err(io::Error::last_os_error());
        }
        let birth = if found.stx_mask & libc::STATX_BTIME != 0 {
            (found.stx_btime.tv_sec as u64).wrapping_mul(1_000_000_000) + u64::from(found.stx_btime.tv_nsec)
        } else {
            u64::from(found.stx_dev_major) << 32 | u64::from(found.stx_dev_minor)
        };
        Ok(Self { boot: boot()?, inode: found.stx_ino, birth })
    }
}

/// The kernel's name for this boot.
fn boot() -> io::Result<[u64; 2]> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    let number = u128::from_str_radix(&digits, 16).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    Ok([(number >> 64) as u64, number as u64])
}
