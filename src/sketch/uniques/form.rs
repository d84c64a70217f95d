//! The items of a `Uniques`, as bytes: a section of snapshots.
//!
//! | bytes | what |
//! |---|---|
//! | 4 | number of parts, all time among them, and for each, ascending: |
//! | 8 | number of the part (its first tick / ticks a part) plus 1; 0, all time |
//! | 4 | number of registers, and for each, ascending: |
//! | 4 | index * 64 + value |
//!
//! Tests: `tests/sketch`.

use crate::cell::frame::{In, Out};
use crate::error::SnapshotError;
use crate::sketch::hyperloglog::precision::Register;
use crate::sketch::uniques::{Parts, Seen};
use crate::time::Resolution;

const VALUE_BITS: u32 = 6;

/// Writes `seen`, which is ascending.
pub fn write(seen: &[Seen], out: &mut Out) {
    out.many(seen.chunk_by(|a, b| a.part == b.part).count());
    for of_part in seen.chunk_by(|a, b| a.part == b.part) {
        out.u64(of_part[0].part.map_or(0, |part| part + 1));
        out.many(of_part.len());
        for Seen { register, .. } in of_part {
            out.u32(register.index << VALUE_BITS | u32::from(register.value));
        }
    }
}

/// What [`write`] wrote, in ticks of `resolution`.
pub fn read(from: &mut In<'_>, parts: Parts, resolution: &Resolution) -> Result<Vec<Seen>, SnapshotError> {
    let invalid = |what| Err(SnapshotError::Invalid { what });
    let last = parts.part(resolution.last_tick());
    let mut seen: Vec<Seen> = Vec::new();
    for _ in 0..from.many(16)? {
        let part = from.u64()?.checked_sub(1);
        if part > Some(last) || seen.last().is_some_and(|before| before.part >= part) {
            return invalid("part");
        }
        let registers = from.many(4)?;
        if registers == 0 {
            return invalid("part");
        }
        for _ in 0..registers {
            let word = from.u32()?;
            let register = Register { index: word >> VALUE_BITS, value: (word & ((1 << VALUE_BITS) - 1)) as u8 };
            let before = seen.last().filter(|before| before.part == part);
            if !parts.precision().allows(register) || before.is_some_and(|b| b.register.index >= register.index) {
                return invalid("visitors");
            }
            seen.push(Seen { part, register });
        }
    }
    Ok(seen)
}
