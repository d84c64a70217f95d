//! A file on the disk, and its words in memory: making, opening, mapping.
//!
//! # Making
//! The file is written without a name, or under another one, with all its room taken from the disk, and is brought to the disk.
//! Then it gets its name in one step, which fails if there is such a file already. So no process ever sees a partial file. If
//! two create it at once, the later one opens the first one's. A killed creator leaves nothing behind that could be mistaken
//! for a file.
//!
//! # Opening for writing
//! | step | why |
//! |---|---|
//! | open, read the header, check the file system and the length | a file that does not fit is refused and not changed |
//! | made elsewhere or on another boot: begin a new writer (`renew`) and open that | origin.rs |
//! | share [`Byte::Present`]; for reading [`Byte::Reading`] | a rewrite needs the file alone, a renewal without readers |
//! | check that the name still means this file; else start again | a rewrite may have replaced it meanwhile |
//! | map | |
//!
//! # What may happen to a mapped file
//! The disk has room for every page, because all room was taken when the file was made. If a file is cut while it is mapped,
//! see fault.rs. If a file is removed or replaced, a process that has it open keeps counting in it, though it does not have
//! its name any more; [`RingFile::is_current`] answers false then.
//!
//! Tests: `tests/shared/files.rs`.

mod fault;
pub mod lock;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use memmap2::{MmapOptions, MmapRaw};

use self::fault::Prepared;
use self::lock::{Alone, Byte, Changing, Inherited, Turn};
use crate::error::SharedError;
use crate::shared::format::header::{BYTES, Header, MAGIC};
use crate::shared::format::layout::{PAGE, seal_of};
use crate::shared::format::origin::Origin;
use crate::shared::format::sections::PROGRESS;
use crate::sync::{AtomicU64, Ordering, process};

/// What a file is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Write,
    Read,
}

/// A mapped file.
#[derive(Debug)]
pub struct RingFile {
    // Dropped in this order, so that the fault handler and the children forget the file before it is unmapped.
    prepared: Prepared,
    inherited: Option<Inherited>,
    turn: Turn,
    map: MmapRaw,
    file: File,
    path: PathBuf,
    access: Access,
    catches: bool,
}

impl RingFile {
    /// The words.
    #[inline]
    pub fn words(&self) -> &[AtomicU64] {
        // SAFETY: the mapping begins a page, is as long as that, and lives as long as `self`. Every process that has it mapped
        // uses atomic words only. A mapping for reading is never written, because code that stores asks `is_writable` first.
        unsafe { std::slice::from_raw_parts(self.map.as_ptr().cast::<AtomicU64>(), self.map.len() / 8) }
    }

    /// Whether words may be stored.
    pub fn is_writable(&self) -> bool {
        self.access == Access::Write
    }

    /// Whether part of the file was cut off.
    #[inline]
    pub fn is_lost(&self) -> bool {
        self.prepared.is_lost()
    }

    /// The same, and whether it was cut and grew again before this process looked: then the seal at its end is gone.
    pub fn is_gone(&self) -> bool {
        let is_unsealed = self.words()[seal_of(self.words().len())].load(Ordering::Relaxed) != MAGIC;
        if is_unsealed {
            self.prepared.lose();
        }
        is_unsealed || self.is_lost()
    }

    /// Whether its name still means this file.
    pub fn is_current(&self) -> bool {
        let inode = |data: fs::Metadata| (data.ino(), data.dev());
        let [open, named] = [self.file.metadata(), fs::metadata(&self.path)].map(|data| data.ok().map(inode));
        open.is_some() && open == named
    }

    /// Whether the process survives that the file is cut.
    pub fn catches(&self) -> bool {
        self.catches
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn file(&self) -> &File {
        &self.file
    }

    /// Waits for the lock of a change that only one thread of all processes may make at a time.
    pub fn change(&self) -> io::Result<Option<Changing<'_>>> {
        Changing::wait(&self.file, Some(&self.turn))
    }

    /// The same without waiting; `None` if another thread or process has the lock.
    pub fn change_now(&self) -> io::Result<Option<Changing<'_>>> {
        Changing::take(&self.file, Some(&self.turn))
    }

    /// Takes the file for this process and thread alone; `None` if it is open for writing elsewhere.
    pub fn alone(&self) -> io::Result<Option<Alone<'_>>> {
        self.inherited.as_ref().map_or(Ok(None), |inherited| Alone::take(&self.file, inherited))
    }

    /// Brings all stored words to the disk.
    pub fn sync(&self) -> io::Result<()> {
        self.map.flush()
    }

    /// Maps `file`, whose header said that it has so many words. If `catches`, the process survives that the file is cut.
    pub fn map(file: File, path: &Path, access: Access, catches: bool, words: usize) -> Result<Self, SharedError> {
        let mut options = MmapOptions::new();
        options.len(words * 8);
        let map = match access {
            Access::Write => options.map_raw(&file),
            Access::Read => options.map_raw_read_only(&file),
        };
        let map = map.map_err(|error| SharedError::io(path, "it cannot be mapped", error))?;
        // SAFETY: `prepared` is dropped before `map`, as the fields are in this order, and `words` shows the bytes as atomic
        // words only.
        let prepared = unsafe { Prepared::new(map.as_ptr(), map.len(), catches.then_some(&file)) };
        let inherited = (access == Access::Write).then(|| Inherited::new(&file));
        // Absolute, because a service may change its working directory.
        let path = std::path::absolute(path).unwrap_or_else(|_| path.into());
        Ok(Self { prepared, inherited, turn: Turn::default(), map, file, path, access, catches })
    }
}

/// A file that was found at a path.
#[derive(Debug)]
pub struct Found {
    pub file: File,
    pub header: Header,
    /// Whether it was made elsewhere, or on another boot.
    pub is_copy: bool,
    /// Its inode, and the device that is on.
    inode: (u64, u64),
}

impl Found {
    /// Whether `path` means it.
    pub fn is_at(&self, path: &Path) -> bool {
        fs::metadata(path).is_ok_and(|named| (named.ino(), named.dev()) == self.inode)
    }
}

/// How far the process that renews `file` has come.
pub fn progress(file: &File) -> u64 {
    let mut word = [0; 8];
    file.read_exact_at(&mut word, PROGRESS as u64 * 8).map_or(0, |()| u64::from_le_bytes(word))
}

/// Opens the file at `path` and reads its header; `None` if it does not exist.
pub fn find(path: &Path, access: Access) -> Result<Option<Found>, SharedError> {
    // Not to wait for the other end of a pipe.
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    let opened = OpenOptions::new().read(true).write(access == Access::Write).custom_flags(flags).open(path);
    let mut file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(SharedError::io(path, "it cannot be opened", error)),
    };
    let failed = |error| SharedError::io(path, "it cannot be read", error);
    let data = file.metadata().map_err(failed)?;
    if !data.is_file() {
        return Err(SharedError::Foreign { path: path.into() });
    }
    // Before the header is read, so that no process replaces it while this one relies on it.
    let read = || lock::share(&file, Byte::Reading);
    let is_read = access == Access::Write || lock::while_it_goes_on(|| progress(&file), read).map_err(failed)?;
    if !is_read {
        return Err(SharedError::InUse { path: path.into() });
    }
    let mut bytes = Vec::new();
    Read::by_ref(&mut file).take(BYTES as u64).read_to_end(&mut bytes).map_err(failed)?;
    let header = Header::decode(path, &bytes, data.len())?;
    let mut seal = [0; 8];
    file.read_exact_at(&mut seal, seal_of(header.layout.words) as u64 * 8).map_err(failed)?;
    if u64::from_le_bytes(seal) != MAGIC {
        return Err(SharedError::Damaged { path: path.into(), what: "end (it was cut, and grew again)" });
    }
    refuse_network(path, &file)?;
    let is_copy = Origin::of(&file).map_err(failed)? != header.origin;
    Ok(Some(Found { file, header, is_copy, inode: (data.ino(), data.dev()) }))
}

/// The owner of `file`, if that is neither this process's user nor root, which are trusted.
pub fn untrusted_owner(file: &File) -> io::Result<Option<u32>> {
    let owner = file.metadata()?.uid();
    // SAFETY: it only answers a number.
    let own = unsafe { libc::geteuid() };
    Ok((owner != own && owner != 0).then_some(owner))
}

/// A file without a name, or with a temporary one that other processes do not use.
#[derive(Debug)]
pub struct Unnamed {
    pub file: File,
    /// Its name, if it had to have one.
    named: Option<PathBuf>,
}

impl Unnamed {
    /// A file of `bytes` zeroes in the folder of `path`, all of them on the disk. Its owner alone may use it, until
    /// [`belong_like`](Self::belong_like).
    pub fn new(path: &Path, bytes: u64) -> Result<Self, SharedError> {
        let failed = |error| SharedError::io(path, "it cannot be made", error);
        let mut options = OpenOptions::new();
        options.read(true).write(true).mode(0o600);
        let unnamed = options.clone().custom_flags(libc::O_TMPFILE).open(folder_of(path));
        let made = match unnamed {
            Ok(file) => Self { file, named: None },
            // Old kernels and some file systems know no files without a name.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EISDIR | libc::EINVAL)) => {
                let name = beside(path).map_err(failed)?;
                let file = options.create_new(true).open(&name).map_err(failed)?;
                Self { file, named: Some(name) }
            }
            Err(error) => return Err(failed(error)),
        };
        // So that `sweep` knows that its process lives.
        lock::share(&made.file, Byte::Present).map_err(failed)?;
        refuse_network(path, &made.file)?;
        let length = libc::off_t::try_from(bytes).map_err(|_| SharedError::TooLarge { path: path.into() })?;
        // Checked first, because a file system may take all free space from other files before it fails.
        if free(&made.file).map_err(failed)? < bytes {
            return Err(SharedError::NoSpace { path: path.into(), bytes });
        }
        // SAFETY: the descriptor is open.
        match unsafe { libc::posix_fallocate(made.file.as_raw_fd(), 0, length) } {
            0 => Ok(made),
            libc::ENOSPC | libc::EDQUOT => Err(SharedError::NoSpace { path: path.into(), bytes }),
            libc::EFBIG => Err(SharedError::TooLarge { path: path.into() }),
            error => Err(failed(io::Error::from_raw_os_error(error))),
        }
    }

    /// Writes the header and brings the file to the disk.
    pub fn seal(&self, path: &Path, header: &Header) -> Result<(), SharedError> {
        let written = write_seal(&self.file, header).and_then(|()| write_header(&self.file, header));
        written.map_err(|error| SharedError::io(path, "it cannot be written", error))
    }

    /// Gives it the permissions of `old`, and the owner and group of `old` as far as this process may.
    pub fn belong_like(&self, old: &File) -> io::Result<()> {
        let (old, own) = (old.metadata()?, self.file.metadata()?);
        let group = if old.gid() == own.gid() { libc::gid_t::MAX } else { old.gid() };
        let owner = if old.uid() == own.uid() { libc::uid_t::MAX } else { old.uid() };
        // SAFETY: the descriptor is open.
        let give = |owner, group| unsafe { libc::fchown(self.file.as_raw_fd(), owner, group) } == 0;
        // A process that may not change the owner may set a group of its own. `MAX` leaves an owner or group as it is.
        let _ = give(owner, group) || give(libc::uid_t::MAX, group);
        self.file.set_permissions(old.permissions())
    }

    /// Gives it the name `path`, unless there is such a file; answers whether it did.
    pub fn publish(mut self, path: &Path) -> Result<bool, SharedError> {
        let linked = self.link(path);
        if let Some(name) = self.named.take() {
            let _ = fs::remove_file(name);
        }
        match linked {
            Ok(()) => {
                sync_folder(&self.file, path, "it is made, but its folder cannot be brought to the disk").map(|()| true)
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(SharedError::io(path, "it cannot be given its name", error)),
        }
    }

    /// Gives it the name `path`, in place of the file that is there. [`sync_folder`] makes that last.
    pub fn replace(mut self, path: &Path) -> Result<(), SharedError> {
        let failed = |error| SharedError::io(path, "it cannot be replaced", error);
        let name = match self.named.take() {
            Some(name) => name,
            None => {
                let name = beside(path).map_err(failed)?;
                self.link(&name).map_err(failed)?;
                name
            }
        };
        if let Err(error) = fs::rename(&name, path) {
            let _ = fs::remove_file(&name);
            return Err(failed(error));
        }
        Ok(())
    }

    fn link(&self, path: &Path) -> io::Result<()> {
        match &self.named {
            Some(name) => fs::hard_link(name, path),
            None => {
                let own = std::ffi::CString::new(format!("/proc/self/fd/{}", self.file.as_raw_fd()))?;
                let name = std::ffi::CString::new(path.as_os_str().as_encoded_bytes())?;
                let (here, follow) = (libc::AT_FDCWD, libc::AT_SYMLINK_FOLLOW);
                // SAFETY: both are C strings that live through the call.
                match unsafe { libc::linkat(here, own.as_ptr(), here, name.as_ptr(), follow) } {
                    0 => Ok(()),
                    _ => Err(io::Error::last_os_error()),
                }
            }
        }
    }
}

/// Writes the page at the end of a file with `header`.
pub fn write_seal(file: &File, header: &Header) -> io::Result<()> {
    let mut page = [0; PAGE * 8];
    page[..8].copy_from_slice(&MAGIC.to_le_bytes());
    file.write_all_at(&page, seal_of(header.layout.words) as u64 * 8)
}

/// Writes the header and brings it to the disk, behind all that was written before. It is a sector, which a disk has whole or not.
pub fn write_header(file: &File, header: &Header) -> io::Result<()> {
    file.sync_all()?;
    let bytes: Vec<u8> = header.encode().iter().flat_map(|word| word.to_le_bytes()).collect();
    file.write_all_at(&bytes, 0)?;
    file.sync_all()
}

/// Brings to the disk that `file` has the name `path`. If that fails, the name is there all the same, and `doing` says so.
pub fn sync_folder(file: &File, path: &Path, doing: &'static str) -> Result<(), SharedError> {
    let synced = match File::open(folder_of(path)) {
        Ok(folder) => folder.sync_all(),
        // A folder that may be written need not be readable. Then all of the file system is brought to the disk.
        // SAFETY: the descriptor is open.
        Err(_) => match unsafe { libc::syncfs(file.as_raw_fd()) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        },
    };
    synced.map_err(|error| SharedError::io(path, doing, error))
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

impl Drop for Unnamed {
    fn drop(&mut self) {
        if let Some(name) = &self.named {
            let _ = fs::remove_file(name);
        }
    }
}

/// The free bytes on the disk of `file` that this process's user may use; `u64::MAX` if the file system does not say.
fn free(file: &File) -> io::Result<u64> {
    // SAFETY: zeroes are a valid `statvfs`, which is plain numbers.
    let mut found: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: the descriptor is open, and `found` is there to be filled.
    if unsafe { libc::fstatvfs(file.as_raw_fd(), &raw mut found) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // A tmpfs without a limit has no blocks at all.
    Ok(if found.f_blocks == 0 { u64::MAX } else { found.f_bavail.saturating_mul(found.f_frsize) })
}

/// The beginning of the names that files have beside `path` before they take its place. It has the hash of the name, because
/// the name itself may be as long as names can be.
fn prefix(path: &Path) -> io::Result<String> {
    let name = path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the path names no file"))?;
    Ok(format!(".hitring-{:08x}-", crc32fast::hash(name.as_encoded_bytes())))
}

/// A name in the folder of `path` that other processes do not use.
fn beside(path: &Path) -> io::Result<PathBuf> {
    static NUMBER: process::AtomicU64 = process::AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let random = crate::sync::stamp::random();
    Ok(path.with_file_name(format!("{}{}-{number:x}-{random:x}.new", prefix(path)?, std::process::id())))
}

/// Removes the files beside `path` that were to take its place, and whose processes were killed before. A file that cannot be
/// removed or opened stays.
pub fn sweep(path: &Path) {
    let (Ok(prefix), Ok(files)) = (prefix(path), fs::read_dir(folder_of(path))) else { return };
    for left in files.flatten().map(|file| file.path()) {
        let named = left.file_name().and_then(|name| name.to_str());
        if named.is_some_and(|name| name.starts_with(&prefix) && name.ends_with(".new"))
            && let Ok(file) = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NOFOLLOW).open(&left)
            && matches!(lock::take(&file, Byte::Present), Ok(true))
        {
            let _ = fs::remove_file(left);
        }
    }
}

/// File systems whose files other machines may have open, by their magic numbers (statfs(2)).
const NETWORK: [(u32, &str); 14] = [
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB2"),
    (0x0102_1997, "9P"),
    (0x6573_5546, "FUSE"),
    (0x00c3_6400, "Ceph"),
    (0x5346_414f, "AFS"),
    (0x6b41_4653, "AFS"),
    (0x7375_7245, "Coda"),
    (0x0bd0_0bd0, "Lustre"),
    (0x4750_4653, "GPFS"),
    (0x7461_636f, "OCFS2"),
    (0x0116_1970, "GFS2"),
];

fn refuse_network(path: &Path, file: &File) -> Result<(), SharedError> {
    // SAFETY: zeroes are a valid `statfs`, which is plain numbers.
    let mut found: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: the descriptor is open, and `found` is there to be filled.
    if unsafe { libc::fstatfs(file.as_raw_fd(), &raw mut found) } != 0 {
        return Err(SharedError::io(path, "its file system cannot be told", io::Error::last_os_error()));
    }
    let magic = found.f_type as u32;
    match NETWORK.iter().find(|(network, _)| *network == magic) {
        Some((_, name)) => Err(SharedError::Network { path: path.into(), filesystem: (*name).to_owned() }),
        None => Ok(()),
    }
}

/// The result of an attempt to open a file for writing.
#[derive(Debug)]
pub enum Opened {
    File(RingFile, Header),
    /// It is a copy, in which a new writer has to begin.
    Copy(Found),
    /// It does not exist.
    None,
}

/// Opens the file at `path` for writing, if it is not a copy.
pub fn open(path: &Path, catches: bool) -> Result<Opened, SharedError> {
    let mut opened = None;
    let failed = |error| SharedError::io(path, "it cannot be locked", error);
    let done = lock::patiently::<SharedError>(|| {
        let Some(found) = find(path, Access::Write)? else {
            opened = Some(Opened::None);
            return Ok(true);
        };
        if found.is_copy {
            opened = Some(Opened::Copy(found));
            return Ok(true);
        }
        if !lock::share(&found.file, Byte::Present).map_err(failed)? || !found.is_at(path) {
            return Ok(false);
        }
        let file = RingFile::map(found.file, path, Access::Write, catches, found.header.layout.words)?;
        opened = Some(Opened::File(file, found.header));
        Ok(true)
    })?;
    match opened {
        Some(opened) if done => Ok(opened),
        _ => Err(SharedError::InUse { path: path.into() }),
    }
}
