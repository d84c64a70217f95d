//! [`DataDirectory`]: the directory of one server.
//!
//! | file | whose | what |
//! |---|---|---|
//! | `lock` | the server that runs | a write lock for as long as the server lives; its text is the process id and the address |
//! | `hits.ring` | the kernel's page cache | all counts; other processes may have it open, too |
//! | `hitring.db`, and `-wal` and `-shm` beside it | the thread that commits | resources, hits that it decides on, keys, and removals that are under way |
//!
//! The lock is of the open file (`F_OFD_SETLK`), so it ends with the process, however that ends, and no other file of the
//! process that is closed gives it back.
//!
//! Tests: below, `tests/python/integration/test_serve.py`.

use std::ffi::CString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The directory, for as long as this server has it.
#[derive(Debug)]
pub struct DataDirectory {
    path: PathBuf,
    lock: File,
}

/// Why a directory cannot be had.
#[derive(Debug)]
pub enum DataError {
    /// Another server has it.
    Taken {
        /// The directory.
        path: PathBuf,
        /// What that server says of itself.
        by: String,
    },
    /// What the system said.
    Io {
        /// The directory, or a file in it.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// What it said.
        error: io::Error,
    },
}

impl DataDirectory {
    /// Takes the directory at `path`. If it does not exist, it is made for its owner alone (mode 0700). The server is at `address`.
    ///
    /// # Errors
    /// [`DataError`].
    pub fn take(path: &Path, address: &str) -> Result<Self, DataError> {
        let failed = |path: &Path, doing, error| DataError::Io { path: path.into(), doing, error };
        if !path.is_dir() {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
            made.map_err(|error| failed(path, "the data directory cannot be made", error))?;
        }
        let file = path.join("lock");
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&file);
        let mut lock = opened.map_err(|error| failed(&file, "it cannot be opened for writing", error))?;
        let is_ours = locked(&lock).map_err(|error| failed(&file, "it cannot be locked", error))?;
        let mut by = String::new();
        // A failed read is ignored, because only the name of the lock's holder is missing then.
        let _ = lock.read_to_string(&mut by);
        if !is_ours {
            return Err(DataError::Taken { path: path.into(), by: by.trim().to_owned() });
        }
        if !by.is_empty() && !by.starts_with("process ") {
            let error = io::Error::other("it is not the lock of a server; move it away");
            return Err(failed(&file, "it cannot be used", error));
        }
        let mut taken = Self { path: path.into(), lock };
        taken.sign(address).map_err(|error| failed(&file, "it cannot be written", error))?;
        // Checked here, so that each step that makes a file in it need not report it.
        may_write(path).map_err(|error| failed(path, "no file can be made in it", error))?;
        Ok(taken)
    }

    /// The file of all counts.
    #[must_use]
    pub fn ring(&self) -> PathBuf {
        self.path.join("hits.ring")
    }

    /// The database.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.path.join("hitring.db")
    }

    /// Writes the process and the address of this server into the lock.
    fn sign(&mut self, address: &str) -> io::Result<()> {
        self.lock.set_len(0)?;
        self.lock.rewind()?;
        writeln!(self.lock, "process {} at http://{address}", std::process::id())
    }
}

/// Whether files can be made in a directory.
fn may_write(path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: `path` ends with a zero, and lives through the call.
    match unsafe { libc::faccessat(libc::AT_FDCWD, path.as_ptr(), libc::W_OK | libc::X_OK, libc::AT_EACCESS) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Takes the lock of an open file; false if another open file has it.
fn locked(file: &File) -> io::Result<bool> {
    // SAFETY: zeroes are a valid `flock`, which is plain numbers: from the beginning to the end of the file.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = libc::F_WRLCK as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    // SAFETY: `file` is open, and `lock` lives through the call.
    if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) } == 0 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EAGAIN | libc::EACCES) => Ok(false),
        _ => Err(error),
    }
}

impl Drop for DataDirectory {
    fn drop(&mut self) {
        // So that a later server does not find this server's name. The lock is still held, so the next holder writes its own
        // name after this.
        let _ = fs::File::set_len(&self.lock, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_server_has_a_directory() {
        let path = std::env::temp_dir().join(format!("hitring-data-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        let take = |path: &Path| DataDirectory::take(path, "127.0.0.1:8000");
        let first = take(&path.join("deep")).expect("it can be made");
        match take(&path.join("deep")) {
            Err(DataError::Taken { by, .. }) => {
                assert_eq!(by, format!("process {} at http://127.0.0.1:8000", std::process::id()));
            }
            other => panic!("{other:?}"),
        }
        drop(first);
        assert!(take(&path.join("deep")).is_ok());
        let text = path.join("deep/lock");
        fs::write(&text, "somebody's text").expect("it can be written");
        assert!(take(&path.join("deep")).is_err());
        assert_eq!(fs::read_to_string(&text).expect("it is there"), "somebody's text");
        let file = path.join("file");
        fs::write(&file, "no directory").expect("it can be written");
        assert!(matches!(take(&file), Err(DataError::Io { .. })));
        fs::remove_dir_all(&path).expect("it is ours");
    }
}
