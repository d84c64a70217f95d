//! Makes a new file from an old one: to restore a snapshot, for more room, for another window, or for a new writer if that cannot
//! begin in the old file (renew.rs).
//!
//! A rewrite copies living endpoints: names, lives, slots, totals, visitors, and states of limiters. Removed lives, names that were
//! never used and damaged records stay behind, so the new file has room again. It has a replica of its own. The hits of other
//! writers in its slots are noted by [`frozen`](super::frozen), so that snapshots of the old file and of the new one merge to the
//! same counts as one of them.
//!
//! | step | killed after it |
//! |---|---|
//! | take [`Byte::Change`] and [`Byte::Present`] of the old file, so that other processes do not count in it | as before |
//! | write the new file, without a name or under another one | as before; a file under another name is never opened again |
//! | bring it to the disk | as before |
//! | give it its name, in one step | the new file is there |
//!
//! The next rewrite of a file removes the files that killed processes left under other names. A restore writes the new file before
//! it takes the old one alone, so others wait for the last two steps only.
//!
//! Tests: `tests/shared/exchange.rs`, `tests/shared/kills.rs`, `tests/shared/fleet.rs`.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use memmap2::MmapRaw;

use super::book::Book;
use super::exchange::{by_tick, forgotten_by, ring_before};
use super::file::lock::{self, Byte, Changing};
use super::file::{Access, RingFile, Unnamed, find};
use super::format::finds::room_for;
use super::format::frozen::{self, Frozen, Share, Shares};
use super::format::header::{Header, LimitTime};
use super::format::layout::{Hot, LANES, Layout, Room};
use super::format::lives::Life;
use super::format::names::{LAST_EPOCH, Name};
use super::format::origin::Origin;
use super::format::sections::{LATE, Sections, hash};
use crate::cell::form::{Cell, in_order};
use crate::cell::outcome::Outcomes;
use crate::cell::removal::{self, Removal};
use crate::cell::writer::Replica;
use crate::error::{SharedError, SnapshotError};
use crate::registry::replicas::Replicas;
use crate::registry::snapshot::{EndpointCells, RegistrySnapshot, WriterCells};
use crate::sketch::uniques::Parts;
use crate::sync::stamp::system_bytes;
use crate::sync::{AtomicU64, Ordering};
use crate::time::clock::{SteadyClock, SystemClock};
use crate::time::{Tick, Timestamp};
use crate::window::geometry::Geometry;

/// Lives between two signs that a copy is not stuck.
pub const STEP: usize = 1_024;
/// Bytes that are brought to the disk between two such signs.
const FLUSHED: usize = 1 << 26;

/// A file that is being made.
pub struct Draft {
    pub unnamed: Unnamed,
    map: MmapRaw,
    header: Header,
}

impl Draft {
    fn new(path: &Path, layout: Layout, key: [u64; 2], limits: LimitTime) -> Result<Self, SharedError> {
        let unnamed = Unnamed::new(path, layout.words as u64 * 8)?;
        let failed = |error| SharedError::io(path, "it cannot be made", error);
        let map = MmapRaw::map_raw(&unnamed.file).map_err(failed)?;
        let origin = Origin::of(&unnamed.file).map_err(failed)?;
        let made = SystemClock.now().as_duration().as_micros() as u64;
        let header = Header { layout, key, replica: Replica::new(), origin, made, limits, began: Outcomes::default() };
        Ok(Self { unnamed, map, header })
    }

    fn book(&self) -> Book<'_> {
        // SAFETY: the mapping begins a page, is as long as that, and lives as long as `self`. Other processes do not have the file.
        let words = unsafe { std::slice::from_raw_parts(self.map.as_ptr().cast::<AtomicU64>(), self.map.len() / 8) };
        Book { sections: Sections::new(words, &self.header.layout), header: &self.header }
    }

    /// Brings it to the disk; calls `goes_on` every now and then.
    fn seal(&self, path: &Path, goes_on: impl Fn()) -> Result<(), SharedError> {
        for begin in (0..self.map.len()).step_by(FLUSHED) {
            goes_on();
            let flushed = self.map.flush_range(begin, FLUSHED.min(self.map.len() - begin));
            flushed.map_err(|error| SharedError::io(path, "it cannot be written", error))?;
        }
        self.unnamed.seal(path, &self.header)
    }

    /// Opens it for writing, before it has a name.
    pub fn open(&self, path: &Path, catches: bool) -> Result<(RingFile, Header), SharedError> {
        let failed = |error| SharedError::io(path, "it cannot be opened", error);
        let file = self.unnamed.file.try_clone().map_err(failed)?;
        Ok((RingFile::map(file, path, Access::Write, catches, self.header.layout.words)?, self.header.clone()))
    }

    /// Takes the place of the file `old` at `path`, with the limits of `old` as they are now. The caller must have `old` alone, and
    /// limiters must not decide in it meanwhile.
    ///
    /// # Errors
    /// [`SharedError`], and then `old` is where it was.
    pub fn replace(self, path: &Path, old: Book<'_>) -> Result<(), SharedError> {
        // Other registries may know of removals that came after this file was made, so the next removal must begin a higher epoch.
        let epoch = old.sections.hot(Hot::Epoch).load(Ordering::Acquire).min(LAST_EPOCH);
        self.book().sections.hot(Hot::Epoch).fetch_max(epoch, Ordering::Relaxed);
        copy_limits(old, self.book());
        self.map.flush_range(0, 4_096).map_err(|error| SharedError::io(path, "it cannot be written", error))?;
        self.unnamed.replace(path)
    }
}

impl LimitTime {
    /// A time of limiters that begins at `origin`, in microseconds since 1970. It is `latest` at the earliest, in nanoseconds. If
    /// the clock was set back, it continues from `latest`, because a limit cannot be kept if a time is repeated.
    pub fn new(origin: u64, latest: u64) -> Self {
        let now = SystemClock.now().as_duration().as_micros() as u64;
        // A damaged word is ignored, because it would shut all limits for good.
        let latest = if latest < LATE { latest } else { 0 };
        let since = now.saturating_sub(origin).saturating_mul(1_000).max(latest);
        Self { offset: since.wrapping_sub(SteadyClock.since_boot(false)), origin }
    }
}

fn new_key() -> [u64; 2] {
    let bytes = system_bytes();
    let (words, _) = bytes.as_chunks::<8>();
    [u64::from_le_bytes(words[0]), u64::from_le_bytes(words[1])]
}

/// Makes an empty file at `path`, unless it exists, in which limiters' time begins at `now`; answers whether it did.
pub fn make(path: &Path, layout: Layout, now: Timestamp) -> Result<bool, SharedError> {
    let limits = LimitTime::new(now.as_duration().as_micros() as u64, 0);
    let draft = Draft::new(path, layout, new_key(), limits)?;
    draft.seal(path, || ())?;
    draft.unnamed.publish(path)
}

/// The changes that a compaction makes; `None` leaves the setting as it was.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    /// Room for so many endpoints.
    pub max_endpoints: Option<u32>,
    /// The length of the window.
    pub window: Option<Duration>,
    /// Room for so many keys of limiters. If it is another number, all limiters begin anew.
    pub limits: Option<u64>,
}

/// Makes the file `to` from the living endpoints of the file `from`. `to` must not exist, and `from` must not be open for writing.
/// The room of removed endpoints is free again in `to`.
///
/// # Errors
/// [`SharedError`]: among others [`InUse`](SharedError::InUse), and [`Full`](SharedError::Full) if the new file is too small.
/// Then the new file is not made.
pub fn compact(from: &Path, to: &Path, wanted: Wanted) -> Result<(), SharedError> {
    let failed = |error| SharedError::io(from, "it cannot be locked", error);
    let in_use = || SharedError::InUse { path: from.into() };
    let found = find(from, Access::Write)?.ok_or_else(|| SharedError::missing(from))?;
    let _changing = Changing::wait(&found.file, None).map_err(failed)?.ok_or_else(in_use)?;
    if !lock::take(&found.file, Byte::Present).map_err(failed)? {
        return Err(in_use());
    }
    let old =
        RingFile::map(found.file.try_clone().map_err(failed)?, from, Access::Read, true, found.header.layout.words)?;
    let mut room = found.header.layout.room;
    if let Some(endpoints) = wanted.max_endpoints {
        let more = |size: u64| (size / u64::from(room.endpoints).max(1)).saturating_mul(endpoints.into());
        room = Room {
            endpoints,
            names: room.names.max(more(room.names)),
            visitors: room.visitors.max(more(room.visitors)),
            ..room
        };
    }
    room.limits = wanted.limits.unwrap_or(room.limits);
    let draft = copy(to, &old, &found.header, room, wanted.window, || ())?;
    draft.unnamed.belong_like(&found.file).map_err(failed)?;
    if draft.unnamed.publish(to)? {
        Ok(())
    } else {
        Err(SharedError::io(to, "it cannot be made", std::io::Error::from_raw_os_error(libc::EEXIST)))
    }
}

/// A file with the contents of `snapshot`, with the room of `old`, to take its place.
///
/// Its cells lie in the slots of the new file's own lives, as those of a file that was renewed do: each endpoint takes one
/// place, and merging the snapshot adds nothing.
pub fn restored(path: &Path, old: &RingFile, of: Book<'_>, snapshot: &RegistrySnapshot) -> Result<Draft, SharedError> {
    let (endpoints, max_endpoints) = (snapshot.endpoints.len(), of.header.layout.room.endpoints as usize);
    let no_room = || SharedError::from(SnapshotError::NoRoom { endpoints, max_endpoints });
    let removals: BTreeMap<&str, &Removal> =
        snapshot.removed.iter().map(|removed| (&*removed.name, &removed.removal)).collect();
    let (resolution, parts) =
        (of.header.layout.geometry.resolution(), Parts::new(&of.header.layout.geometry, of.header.layout.precision));
    let kept = snapshot.endpoints.iter().map(|theirs| {
        let removal = removals.get(&*theirs.name).copied().unwrap_or(&removal::NONE);
        (theirs.without_removed(removal, removal, resolution, parts, &mut 0), removal.epoch)
    });
    let kept: Vec<(Cow<'_, EndpointCells>, u64)> = kept.collect();
    // Lives of a new file begin one after the other.
    let shares: Frozen = kept.iter().map(|(theirs, _)| writers_of(theirs)).enumerate().collect();
    let frozen = frozen::room_for(&shares);
    let finds = finds_for(&of.header.layout.room, snapshot.removed.iter().map(|removed| &removed.removal));
    let room = Room { frozen, gap: 0, finds, ..of.header.layout.room };
    let layout = layout(path, &of.header.layout, room)?;
    let draft = Draft::new(path, layout, of.header.key, of.header.limits)?;
    let (to, geometry) = (draft.book(), &draft.header.layout.geometry);
    to.check(snapshot)?;
    if endpoints > max_endpoints {
        return Err(no_room());
    }
    to.sections.hot(Hot::Epoch).store(snapshot.epoch, Ordering::Relaxed);
    for ((theirs, removed), writers) in kept.iter().zip(shares.values()) {
        let hash = hash(draft.header.key, &theirs.name);
        let name = to.sections.lives.names.find_or_insert(hash, &theirs.name).map_err(|_| no_room())?;
        // It begins in the epoch after the removal that it outlived.
        name.raise_ended(theirs.epoch.max(*removed));
        let life = to.sections.lives.begin(name).map_err(|_| no_room())?;
        let cells = writers.values().flat_map(Share::to_cells);
        in_order(cells.collect()).into_iter().for_each(|cell| life.row().raise(geometry, cell));
        let forgotten = theirs.writers.iter().map(|cells| forgotten_by(cells, geometry)).max();
        life.known().store(theirs.forgotten.0.max(forgotten.unwrap_or(0)), Ordering::Relaxed);
        to.sections.visitors.join(life, &theirs.seen);
    }
    to.hear_of(&snapshot.removed, Tick(0));
    let now = resolution.tick(SystemClock.now());
    let mut others = Replicas::default();
    others.restore(&snapshot.totals, now, ring_before(now, geometry));
    to.others().write(others, ring_before(now, geometry));
    frozen::write(to.sections.frozen, &shares);
    // After the shares are written, because this reads them.
    to.tell_voids();
    // Brings most states to the disk. `replace` copies them once more when the draft takes the old file's place.
    copy_limits(of, to);
    draft.unnamed.belong_like(old.file()).map_err(|error| SharedError::io(path, "it cannot be made", error))?;
    draft.seal(path, || ())?;
    Ok(draft)
}

/// The room for the finds of these removals in a file with `room`, and for as many more as a new file has. The old file's room
/// does not count, because otherwise each copy of a copy would be larger.
fn finds_for<'a>(room: &Room, removals: impl Iterator<Item = &'a Removal>) -> u64 {
    let found = removals.flat_map(|removal| removal.found.values()).map(BTreeMap::len).sum::<usize>();
    room_for(room.endpoints) + found as u64
}

/// The cells of an endpoint of a snapshot, by writer.
fn writers_of(theirs: &EndpointCells) -> Shares {
    let of = |cells: &WriterCells| Share {
        epoch: cells.epoch,
        cells: by_tick(cells).into_iter().map(|cell| (cell.tick, cell.count)).collect(),
    };
    theirs.writers.iter().map(|cells| (cells.writer, of(cells))).collect()
}

fn layout(path: &Path, like: &Layout, room: Room) -> Result<Layout, SharedError> {
    Layout::new(like.geometry, like.precision, room).ok_or_else(|| SharedError::TooLarge { path: path.into() })
}

/// A draft with the living endpoints of `old`; calls `goes_on` every now and then.
pub fn copy(
    path: &Path,
    old: &RingFile,
    header: &Header,
    room: Room,
    window: Option<Duration>,
    goes_on: impl Fn(),
) -> Result<Draft, SharedError> {
    let from = Book { sections: Sections::new(old.words(), &header.layout), header };
    let mut like = header.layout.clone();
    if let Some(window) = window {
        like.geometry = Geometry::new(like.geometry.resolution(), window, like.geometry.slack())?;
    }
    let full = || SharedError::Full { path: path.into(), max_endpoints: room.endpoints };
    let cells = from.frozen();
    let slots = like.geometry.slots();
    let now = newest(from);
    // Counts the cells that are another writer's from now on, before anything is made.
    let frozen: Frozen =
        from.alive().map(|life| (life.index(), shares(from, life, cells.get(&life.index())))).collect();
    let frozen_words = frozen::room_for(&frozen);
    let mut removals = from.removals();
    let expired = ring_before(now, &like.geometry);
    removals.values_mut().for_each(|removal| removal.forget_before(expired));
    let finds = finds_for(&room, removals.values());
    let layout = layout(path, &like, Room { frozen: frozen_words, gap: 0, finds, ..room })?;
    let mut draft =
        Draft::new(path, layout, header.key, LimitTime::new(header.limits.origin, from.sections.limit_time()))?;
    let to = draft.book();
    let mut moved = Frozen::new();
    let (parts, last_tick) = (from.parts(), like.geometry.resolution().last_tick());
    let last_part = parts.part(last_tick);
    let mut left_behind = from.sections.outcomes().counted;
    for (number, life) in from.alive().enumerate() {
        if number % STEP == 0 {
            goes_on();
        }
        let Some(text) = from.name_of(life) else { continue };
        let name = to.sections.lives.names.find_or_insert(hash(header.key, &text), &text).map_err(|_| full())?;
        name.raise_ended(life.epoch());
        let new = to.sections.lives.begin(name).map_err(|_| full())?;
        new.void_before(life.from().min(Tick(last_tick.0 + 1)));
        copy_row(from, life, to, new);
        let total = life.total();
        left_behind = left_behind.saturating_sub(total);
        new.lane(0).store(total, Ordering::Relaxed);
        new.known().store(known(from, life, slots).min(last_tick.0 + 1), Ordering::Relaxed);
        to.sections.visitors.copy(new, from.sections.visitors, life, parts, last_part);
        // Each link goes before the earlier ones, so begin with the last.
        let others: Vec<Life<'_>> = from.merged(life).collect();
        let former = from.former_ledgers(life, expired);
        for other in others.into_iter().rev() {
            if former.contains(&other.index()) {
                new.lane(0).fetch_add(other.total(), Ordering::Relaxed);
                left_behind = left_behind.saturating_sub(other.total());
                continue;
            }
            let Some(writer) = other.writer() else { continue };
            // Hits that have left the window leave their place to others, unless a ledger counts them all.
            let total = other.total();
            if total == 0 && from.row(other).all(|cell| cell.tick < expired) {
                continue;
            }
            let copied = to.sections.lives.begin_merged(name).map_err(|_| full())?;
            new.link(copied, writer, other.epoch());
            copied.void_before(other.from().min(Tick(last_tick.0 + 1)));
            copy_row(from, other, to, copied);
            left_behind = left_behind.saturating_sub(total);
            for lane in 0..LANES {
                copied.lane(lane).store(other.lane(lane).load(Ordering::Acquire), Ordering::Relaxed);
            }
        }
        if let Some(shares) = frozen.get(&life.index()).filter(|shares| !shares.is_empty()) {
            moved.insert(new.index(), shares.clone());
        }
    }
    // Removals are copied, because otherwise a merge with a registry that knows one would take the name's next hits for older ones.
    // Removals that are out of every window are not copied once the names take half of the room.
    let has_room = from.sections.hot(Hot::Names).load(Ordering::Relaxed) <= to.header.layout.names.len() as u64 / 2;
    // In a copy that was made while others counted, names may lead to lives that its first page does not know.
    let of_removals = removals.values().map(|removal| removal.epoch).max();
    let mut finds = to.sections.finds.write(Tick(0));
    for (unit, removal) in removals {
        if (has_room || removal.at.0.saturating_add(slots as u64) > now.0)
            && let Some(record) = from.sections.lives.names.get(unit)
            && let Some(text) = record.text(|name| hash(header.key, name))
            && let Ok(name) = to.sections.lives.names.find_or_insert(hash(header.key, &text), &text)
        {
            name.raise_ended(removal.epoch);
            name.ended_at().fetch_max(removal.at.0, Ordering::Relaxed);
            // They fit, because `finds_for` counted them.
            for (writer, found) in removal.found {
                found.into_iter().for_each(|(tick, hits)| _ = finds.tell((name.unit(), writer, tick), hits));
            }
        }
    }
    let mut others = from.known();
    others.know(header.replica, from.own_totals(), now);
    to.others().write(others, expired);
    frozen::write(to.sections.frozen, &moved);
    // After the shares are written, because this reads them.
    to.tell_voids();
    copy_limits(from, to);
    for (word, old) in to.sections.tally().iter().zip(from.sections.tally()) {
        word.store(old.load(Ordering::Acquire), Ordering::Relaxed);
    }
    to.sections.tally()[0].store(left_behind, Ordering::Relaxed);
    // A copy that was made while others counted has words of different times: its first page may be older than its names.
    let lives = from.sections.lives;
    let seen =
        lives.iter().map(|life| life.epoch().max(life.removed())).chain(lives.names.iter().map(Name::ended)).max();
    let epoch =
        from.sections.hot(Hot::Epoch).load(Ordering::Acquire).min(LAST_EPOCH).max(seen.max(of_removals).unwrap_or(0));
    to.sections.hot(Hot::Epoch).store(epoch, Ordering::Relaxed);
    let began = to.sections.outcomes();
    draft.header.began = began;
    draft.seal(path, goes_on)?;
    Ok(draft)
}

/// Now: the clock or the newest hit, whichever is earlier, because the earlier one is not ahead of the real time.
pub fn newest(from: Book<'_>) -> Tick {
    let rows = from.alive().flat_map(|life| std::iter::once(life).chain(from.merged(life)));
    let newest = rows.flat_map(|life| from.row(life)).map(|cell| cell.tick).max();
    from.header.layout.geometry.resolution().tick(SystemClock.now()).min(newest.unwrap_or_default())
}

/// The cells of a life by writer, including its own. Also cells that are out of every window, because a clock may be set back,
/// and hits in a slot without a share would count twice then.
pub fn shares(from: Book<'_>, life: Life<'_>, shares: Option<&Shares>) -> Shares {
    let own = frozen::without(from.row(life), shares);
    let mut all = shares.cloned().unwrap_or_default();
    let cells = own.into_iter().map(|cell| (cell.tick, cell.count)).collect();
    all.insert(from.own(life), Share { epoch: life.epoch(), cells });
    // Drops the cells whose ticks the slots do not have any more.
    let present: BTreeSet<Tick> = from.row(life).map(|cell| cell.tick).collect();
    for share in all.values_mut() {
        share.cells.retain(|tick, _| present.contains(tick));
    }
    all.retain(|_, share| !share.cells.is_empty());
    all
}

/// Copies the states of limiters, and how far their time has come. A slot that changes meanwhile looks like one whose process was
/// killed. If the new file has another amount of room, states are not copied, because a key would be looked for in another place.
fn copy_limits(from: Book<'_>, to: Book<'_>) {
    if from.sections.limits.len() == to.sections.limits.len() {
        for (word, old) in to.sections.limits.iter().zip(from.sections.limits) {
            word.store(old.load(Ordering::Acquire), Ordering::Relaxed);
        }
    }
    to.sections.raise_limit_time(from.sections.limit_time());
}

fn copy_row(from: Book<'_>, old: Life<'_>, to: Book<'_>, new: Life<'_>) {
    let cells: Vec<Cell> = from.row(old).collect();
    cells.into_iter().for_each(|cell| new.row().raise(&to.header.layout.geometry, cell));
}

/// The first tick that is known in a ring of `slots`: a longer ring also has slots for ticks whose slots the old ring used again.
fn known(from: Book<'_>, life: Life<'_>, slots: usize) -> u64 {
    let geometry = &from.header.layout.geometry;
    let known = life.known().load(Ordering::Acquire);
    if slots <= geometry.slots() {
        return known;
    }
    let newest = from.row(life).map(|cell| cell.tick.0).max().unwrap_or(0);
    known.max((newest + 1).saturating_sub(geometry.slots() as u64))
}
