//! hitring's own bytes of a HyperLogLog, of any precision: the frame of `src/cell/frame.rs`, kind 9.
//!
//! Redis's form (`redis`) is for Redis, which knows one precision and no checksum. What the body holds:
//!
//! | bytes | what |
//! |---|---|
//! | 4 | precision |
//! | 4 | `n`, the number of registers that are not 0 |
//! | `4 n`, if that is less than the next line's | these registers, ascending: `index * 256 + value` |
//! | else `2^precision * 3 / 4` | all registers, 6 bits each, the lowest bits of a byte first |
//!
//! Tests: `tests/sketch`.

use crate::cell::frame::{In, Kind, Out};
use crate::error::SnapshotError;
use crate::sketch::hyperloglog::precision::{Precision, Register};
use crate::sketch::hyperloglog::redis::{pack, unpack};

/// The bytes that all registers take.
const fn dense(precision: Precision) -> usize {
    precision.registers() / 4 * 3
}

/// The bytes of all registers.
pub fn write(precision: Precision, values: &[u8]) -> Vec<u8> {
    let cells = || (0u32..).zip(values).filter(|&(_, &value)| value > 0);
    let n = cells().count();
    let mut out = Out::new(Kind::HyperLogLog);
    out.u32(u32::from(precision.bits()));
    out.many(n);
    if 4 * n < dense(precision) {
        cells().for_each(|(index, &value)| out.u32(index << 8 | u32::from(value)));
    } else {
        out.bytes(&pack(values).collect::<Vec<_>>());
    }
    out.finish()
}

/// The precision, and the registers that are not zero.
pub fn read(bytes: &[u8]) -> Result<(Precision, Vec<Register>), SnapshotError> {
    let invalid = |what| SnapshotError::Invalid { what };
    let mut from = In::open(bytes, Kind::HyperLogLog)?;
    let precision = u8::try_from(from.u32()?).ok().and_then(|bits| Precision::new(bits).ok());
    let precision = precision.ok_or(invalid("precision"))?;
    let n = from.u32()? as usize;
    if n > precision.registers() {
        return Err(invalid("number of registers"));
    }
    let mut registers: Vec<Register> = Vec::new();
    if 4 * n < dense(precision) {
        for _ in 0..n {
            let cell = from.u32()?;
            registers.push(Register { index: cell >> 8, value: cell as u8 });
        }
    } else {
        let values = (0u32..).zip(unpack(from.bytes(dense(precision))?));
        registers.extend(values.filter(|&(_, value)| value > 0).map(|(index, value)| Register { index, value }));
    }
    if !from.is_empty() {
        return Err(invalid("length"));
    }
    let ascend = registers.is_sorted_by(|before, after| before.index < after.index);
    if registers.len() != n || !ascend {
        return Err(invalid("number of registers"));
    }
    if registers.iter().all(|&register| precision.allows(register)) {
        Ok((precision, registers))
    } else {
        Err(invalid("register"))
    }
}
