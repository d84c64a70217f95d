//! Begins a new writer in a file that was copied, or is opened on another boot.
//!
//! The slots stay where they are. The former writer's hits in them are written as frozen cells (frozen.rs), behind all other
//! cells and with a seal of their own. Then the header is written, which begins the new writer and leads to these cells.
//!
//! | step | killed after it |
//! |---|---|
//! | take [`Byte::Change`], [`Byte::Present`] and [`Byte::Reading`], so that others neither count nor read | as before |
//! | check that all fits together | as before |
//! | write the totals of the old writer beside those of others | as before: the file's own writer is left out when they are read |
//! | write the frozen cells and the seal | as before: the old header leads to the old ones |
//! | bring it to the disk; write the header, one sector; bring that to the disk | the new writer has begun |
//!
//! Each life keeps its note of void hits, because as many hits of the old writer are void as before.
//!
//! Living endpoints are copied to a new file instead (rewrite.rs) if
//! * something does not fit together, as in a copy that was made while others counted: damaged words stay behind;
//! * lives that are over, or merged hits that have left the window, have a fourth of the places in use: these are free again;
//! * a process has the file open for reading.
//!
//! Others that open the file meanwhile wait as long as [`progress`](super::format::sections::Sections::progress) changes.
//!
//! Tests: `tests/shared/boots.rs`, `tests/shared/kills.rs`, `tests/shared/exchange.rs`, `tests/shared/fleet.rs`.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::book::Book;
use super::check;
use super::exchange::ring_before;
use super::file::lock::{self, Byte, Changing};
use super::file::{self, Access, Found, Opened, RingFile, find, open, sync_folder, write_header, write_seal};
use super::format::checksum::Checksum;
use super::format::frozen;
use super::format::header::{Header, LimitTime};
use super::format::layout::{Layout, OTHERS, PAGE, Room};
use super::format::lives::Life;
use super::format::origin::Origin;
use super::format::sections::Sections;
use super::rewrite::{STEP, copy, newest, shares};
use crate::cell::writer::Replica;
use crate::error::SharedError;
use crate::sync::Ordering;
use crate::time::Tick;

/// The file at `path`, for writing; `None` if it does not exist.
///
/// # Errors
/// Before anything is changed: [`SharedError::Owner`] if it belongs to neither this user nor root and `trusts` is false, and the
/// error of `fits` for its layout.
pub fn attach(
    path: &Path,
    trusts: bool,
    catches: bool,
    fits: impl Fn(&Layout) -> Result<(), SharedError>,
) -> Result<Option<(RingFile, Header)>, SharedError> {
    let check = |file: &File| match file::untrusted_owner(file) {
        Ok(Some(uid)) if !trusts => Err(SharedError::Owner { path: path.into(), uid }),
        Ok(_) => Ok(()),
        Err(error) => Err(SharedError::io(path, "its owner cannot be told", error)),
    };
    loop {
        match open(path, catches)? {
            Opened::File(file, header) => {
                check(file.file())?;
                fits(&header.layout)?;
                return Ok(Some((file, header)));
            }
            Opened::Copy(found) => {
                check(&found.file)?;
                fits(&found.header.layout)?;
                renew(path, &found, catches)?;
            }
            Opened::None => return Ok(None),
        }
    }
}

/// Begins a new writer in the file that was found at `path`, a copy, or in one that takes its place.
fn renew(path: &Path, found: &Found, catches: bool) -> Result<(), SharedError> {
    alone(
        path,
        found,
        catches,
        |found| found.is_copy,
        |path, found, old, book| {
            let goes_on = || _ = book.sections.progress().fetch_add(1, Ordering::Relaxed);
            let failed = |error| SharedError::io(path, "it cannot be locked", error);
            let is_unread = lock::take(&found.file, Byte::Reading).map_err(failed)?;
            if is_unread && is_tidy(book) && check::faults(book, false, goes_on).is_empty() {
                return in_place(path, old, book);
            }
            replace(path, found, old, goes_on)
        },
    )
}

/// Replaces the file at `path` by a copy of its living endpoints, if it is [`is_wasteful`] and not open for writing;
/// answers whether it did. Steps and kills are those of a copy (rewrite.rs).
///
/// # Errors
/// [`SharedError`].
#[cfg(feature = "server")]
pub fn tidy(path: &Path, catches: bool) -> Result<bool, SharedError> {
    let Some(found) = find(path, Access::Write)? else { return Ok(false) };
    let mut is_done = false;
    let tidied = alone(
        path,
        &found,
        catches,
        |_| true,
        |path, found, old, book| {
            if is_wasteful(book) {
                replace(path, found, old, || _ = book.sections.progress().fetch_add(1, Ordering::Relaxed))?;
                is_done = true;
            }
            Ok(())
        },
    );
    match tidied {
        Err(SharedError::InUse { .. }) => Ok(false),
        tidied => tidied.map(|()| is_done),
    }
}

/// Does `work` in the file that was found at `path` while this process has it alone, if the file still is as `wanted`.
fn alone(
    path: &Path,
    found: &Found,
    catches: bool,
    wanted: impl Fn(&Found) -> bool,
    work: impl FnOnce(&Path, &Found, &RingFile, Book<'_>) -> Result<(), SharedError>,
) -> Result<(), SharedError> {
    let path = &path.canonicalize().map_err(|error| SharedError::io(path, "it cannot be found", error))?;
    let failed = |error| SharedError::io(path, "it cannot be locked", error);
    let in_use = || SharedError::InUse { path: path.into() };
    let _changing =
        Changing::wait_while(&found.file, None, || file::progress(&found.file)).map_err(failed)?.ok_or_else(in_use)?;
    // Another process may have done it: put another file there, or begun a new writer in this one.
    if !found.is_at(path) {
        return Ok(());
    }
    let Some(found) = find(path, Access::Write)?.filter(wanted) else { return Ok(()) };
    if !found.is_at(path) || !lock::take(&found.file, Byte::Present).map_err(failed)? {
        return Err(in_use());
    }
    let _taken = Taken(&found.file);
    file::sweep(path);
    let (opened, words) = (found.file.try_clone().map_err(failed)?, found.header.layout.words);
    let old = RingFile::map(opened, path, Access::Write, catches, words)?;
    let book = Book { sections: Sections::new(old.words(), &found.header.layout), header: &found.header };
    work(path, &found, &old, book)
}

/// Puts a copy of the living endpoints of `old` in its place.
fn replace(path: &Path, found: &Found, old: &RingFile, goes_on: impl Fn()) -> Result<(), SharedError> {
    let draft = copy(path, old, &found.header, found.header.layout.room, None, goes_on)?;
    draft.unnamed.belong_like(&found.file).map_err(|error| SharedError::io(path, "it cannot be made", error))?;
    draft.unnamed.replace(path)?;
    sync_folder(&found.file, path, "a new writer has begun, but its folder cannot be brought to the disk")
}

/// Gives the locks back when dropped, although a child that was forked meanwhile has the open file, too.
struct Taken<'a>(&'a File);

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        [Byte::Present, Byte::Reading].into_iter().for_each(|byte| lock::give(self.0, byte));
    }
}

/// Whether little room is left, and removed endpoints and old merged hits have more than a fourth of the places in use.
#[cfg(feature = "server")]
pub fn is_wasteful(book: Book<'_>) -> bool {
    let lives = book.sections.lives;
    let names = lives.names;
    let is_short = |used: u64, room: usize| used.saturating_mul(4) > room as u64 * 3;
    let is_full = is_short(lives.begun() as u64, lives.capacity())
        || is_short(names.used.load(Ordering::Relaxed), names.arena.len());
    is_full && !is_tidy(book)
}

/// Whether removed endpoints and old merged hits have at most a fourth of the places in use.
fn is_tidy(book: Book<'_>) -> bool {
    let expired = ring_before(newest(book), &book.header.layout.geometry);
    let mut left = 0;
    for life in going_on(book) {
        left += if life.is_merged() || !life.is_alive() { 0 } else { book.former_ledgers(life, expired).len() };
        let is_over = |life: Life<'_>| life.total() == 0 && book.row(life).all(|cell| cell.tick < expired);
        let is_left = if life.is_merged() { is_over(life) } else { !life.is_alive() };
        left += usize::from(is_left);
    }
    left * 4 <= book.sections.lives.begun()
}

/// Every life; raises `progress` now and then, for processes that wait.
fn going_on(book: Book<'_>) -> impl Iterator<Item = Life<'_>> {
    let lives = book.sections.lives.iter().enumerate();
    lives.map(move |(number, life)| {
        if number % STEP == 0 {
            book.sections.progress().fetch_add(1, Ordering::Relaxed);
        }
        life
    })
}

/// Begins a new writer in the file of `book`, which this process has alone.
fn in_place(path: &Path, old: &RingFile, book: Book<'_>) -> Result<(), SharedError> {
    let failed = |error| SharedError::io(path, "it cannot be written", error);
    let (sections, header) = (book.sections, book.header);
    let geometry = &header.layout.geometry;
    let now = newest(book);
    let mut others = book.known();
    // One row is left for the old writer. If its totals were folded, its hits would count twice until the header is written.
    others.fold(OTHERS - 1, ring_before(now, geometry));
    others.fold(OTHERS - 1, Tick(u64::MAX));
    others.know(header.replica, book.own_totals(), now);
    book.others().write(others, ring_before(now, geometry));
    let layout = write_frozen(old.file(), book).map_err(failed)?;
    let layout = layout.ok_or_else(|| SharedError::TooLarge { path: path.into() })?;
    let new = Header {
        layout,
        replica: Replica::new(),
        origin: Origin::of(old.file()).map_err(failed)?,
        limits: LimitTime::new(header.limits.origin, sections.limit_time()),
        began: sections.outcomes(),
        ..header.clone()
    };
    write_seal(old.file(), &new).and_then(|()| write_header(old.file(), &new)).map_err(failed)
}

/// Writes the cells of all writers up to now to a place to which the header does not lead; answers the layout with them,
/// or `None` if that would be more than a file may be.
fn write_frozen(file: &File, book: Book<'_>) -> io::Result<Option<Layout>> {
    let layout = &book.header.layout;
    let room = Room { frozen: 0, gap: 0, ..layout.room };
    let with = |room: Room| Layout::new(layout.geometry, layout.precision, room);
    let Some(without) = with(room) else { return Ok(None) };
    // In the gap, with a page for the seal, if the gap is long enough; else at the end.
    let gap = (layout.room.gap as usize).saturating_sub(PAGE);
    let (begin, end) = (without.frozen.start, layout.words);
    for (begin, most) in [(begin, gap), (end, usize::MAX)] {
        let mut writing =
            Writing { file, at: begin as u64 * 8, buffer: Vec::new(), words: 0, sum: Checksum::default() };
        if most > 0 && write_shares(book, &mut writing, most)? {
            let gap = (begin - without.frozen.start) as u64;
            return Ok(with(Room { frozen: writing.words as u64, gap, ..room }));
        }
    }
    Ok(None)
}

/// Writes the shares of all lives as long as they take no more than `most` words; answers whether they did.
fn write_shares(book: Book<'_>, writing: &mut Writing<'_>, most: usize) -> io::Result<bool> {
    let mut frozen = book.frozen_lives().peekable();
    for life in going_on(book).filter(|life| !life.is_merged()) {
        while frozen.next_if(|&(of, _)| of < life.index()).is_some() {}
        let before = frozen.next_if(|&(of, _)| of == life.index()).map(|(_, shares)| shares);
        frozen::words_of(life.index(), &shares(book, life, before.as_ref())).for_each(|word| writing.add(word));
        // The end and the checksum come as well.
        if writing.words + 2 > most {
            return Ok(false);
        }
        writing.flush_if_full()?;
    }
    if writing.words > 0 {
        writing.add(0);
        let sum = writing.sum.value();
        writing.add(sum);
    }
    writing.flush().map(|()| true)
}

/// Words that are written one after the other.
struct Writing<'a> {
    file: &'a File,
    /// Where the buffer belongs.
    at: u64,
    buffer: Vec<u8>,
    words: usize,
    sum: Checksum,
}

impl Writing<'_> {
    fn add(&mut self, word: u64) {
        let bytes = word.to_le_bytes();
        self.sum.add(&bytes);
        self.buffer.extend(bytes);
        self.words += 1;
    }

    fn flush_if_full(&mut self) -> io::Result<()> {
        if self.buffer.len() < 1 << 20 { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_all_at(&self.buffer, self.at)?;
        self.at += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}
