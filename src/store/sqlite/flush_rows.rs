//! The transaction of a part of a flush, in the commit thread.
//!
//! Tests: `tests/store/flushes.rs`.

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::commit::{Committer, store_error};
use super::flush::{Ended, LifeRows, Part};
use super::flushed::Rows;
use super::open::{MOMENT, PATIENCE};
use super::{endpoints, flushed};
use crate::store::StoreError;
use crate::sync::Ordering;
use crate::time::Tick;

impl Committer {
    /// Writes a part in one transaction.
    ///
    /// # Errors
    /// Why the database refused it. None of it is written then.
    pub fn flush(&mut self, part: &Part) -> Result<(), StoreError> {
        let Self { database, ledger, rows, progress, keep, bases, .. } = self;
        let level = if part.is_last { "FULL" } else { "NORMAL" };
        let lives = progress.shared.lives();
        rows.ids.resize(lives.max(rows.ids.len()), None);
        rows.kept.resize(lives.max(rows.kept.len()), 0);
        // Orders wait behind it, so it does not wait for another process that has the lock.
        let busy = |connection: &Connection, time| connection.busy_timeout(time).map_err(|error| store_error(&error));
        busy(&database.connection, MOMENT)?;
        let written = database.connection.pragma_update(None, "synchronous", level).and_then(|()| {
            let transaction = database.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            for Ended { endpoint, epoch, .. } in &part.ended {
                endpoints::remove(&transaction, endpoint, *epoch)?;
            }
            let mut untimed = 0;
            for row in part.lives.iter().filter(|row| progress.shared.is_living(row.life)) {
                untimed += write(&transaction, row, rows, *keep)?;
            }
            if part.is_empty() {
                // SQLite syncs only what changes something.
                transaction.execute("UPDATE meta SET batch = batch + 1", [])?;
            }
            transaction.commit()?;
            Ok(untimed)
        });
        busy(&database.connection, PATIENCE)?;
        match written {
            Ok(untimed) => {
                progress.unsynced.store(u32::from(!part.is_last), Ordering::Release);
                progress.untimed.fetch_add(untimed, Ordering::Relaxed);
                for Ended { life, endpoint, epoch } in &part.ended {
                    rows.forget(*life);
                    ledger.remove_before(endpoint, *epoch);
                    bases.remove_before(endpoint, *epoch);
                }
                Ok(())
            }
            Err(error) => {
                // The rows that the transaction made do not exist.
                rows.ids.fill(None);
                Err(store_error(&error))
            }
        }
    }
}

/// Writes the rows of a life; returns how many of its new hits are untimed.
fn write(transaction: &Transaction<'_>, row: &LifeRows, rows: &mut Rows, keep: u64) -> rusqlite::Result<u64> {
    let id = match rows.ids[row.life] {
        Some(id) => id,
        None => endpoints::enter(transaction, &row.endpoint, row.epoch)?,
    };
    rows.ids[row.life] = Some(id);
    let mut untimed = 0;
    if row.is_unsure {
        let counted = endpoints::find(transaction, &row.endpoint)?.map_or(0, |found| found.counted);
        untimed = row.mark.total.saturating_sub(counted);
        for (writer, cells) in &row.cells {
            untimed = untimed.saturating_sub(flushed::missing(transaction, id, *writer, cells)?);
        }
    }
    endpoints::count(transaction, id, row.mark.total)?;
    // Old cells are deleted rarely, and not of all endpoints at once. By chance, so that a server that is restarted often deletes them, too.
    let newest = row.cells.last().and_then(|(_, cells)| cells.last()).map_or(0, |(tick, _)| tick.0);
    let until = newest.saturating_sub(keep);
    let kept = &mut rows.kept[row.life];
    let stagger = rows.seed.wrapping_add(row.life as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) % (keep / 4).max(1);
    if *kept == 0 {
        *kept = until.saturating_sub(stagger).max(1);
    }
    if until > *kept + keep / 4 {
        flushed::forget_before(transaction, id, Tick(until))?;
        *kept = until;
    }
    // Afterwards: if the clock was ahead for a moment, the slots still have deleted cells. These are written again, now or by the next pass
    // of all lives.
    for (writer, cells) in &row.cells {
        flushed::write(transaction, id, *writer, cells)?;
    }
    Ok(untimed)
}
