//! Redis's bytes of a HyperLogLog, as `GET` answers them and `SET` takes them.
//!
//! ```text
//! byte  0      4          5      8             16
//!       +------+----------+------+-------------+-------------------
//!       | HYLL | encoding | 0    | cached      | registers ...          16,384 of them
//!       +------+----------+------+-------------+-------------------
//! ```
//! The cached estimate is little-endian; its highest bit says that it is stale. It is always written stale and never
//! believed.
//!
//! | encoding | registers |
//! |---|---|
//! | 0, dense | 6 bits each, the lowest bits of a byte first: 12,288 bytes |
//! | 1, sparse | runs, in the order of the registers, below |
//!
//! | sparse | is a run of | of length |
//! |---|---|---|
//! | `00llllll` | zeros | `l + 1`: 1 to 64 |
//! | `01llllll llllllll` | zeros | `l + 1`: 1 to 16,384, the high bits first |
//! | `1vvvvvll` | `v + 1`: 1 to 32 | `l + 1`: 1 to 4 |
//!
//! Redis keeps a sketch sparse while it takes no more than 3,000 bytes (its `hll-sparse-max-bytes`) and no register is
//! above 32; [`write`] does the same. Redis refuses an operation on broken bytes at the time it meets them; [`read`]
//! refuses them all at once, a register that no item could have raised so high among them.
//!
//! Tests: `tests/sketch`.

use crate::error::SketchError;
use crate::sketch::hyperloglog::precision::{Precision, Register};

const MAGIC: &[u8] = b"HYLL";
const HEADER: usize = 16;
const DENSE: u8 = 0;
const SPARSE: u8 = 1;
const STALE: u8 = 0x80;
const REGISTERS: usize = Precision::REDIS.registers();
const DENSE_BYTES: usize = HEADER + REGISTERS * 6 / 8;
const SPARSE_MOST: usize = 3_000;

const LONG_ZEROS: u8 = 0b0100_0000;
const VALUES: u8 = 0b1000_0000;

/// The bytes of all registers, which are 16,384.
pub fn write(values: &[u8]) -> Vec<u8> {
    write_sparse(values).unwrap_or_else(|| write_dense(values))
}

fn header(encoding: u8) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.push(encoding);
    bytes.resize(HEADER - 1, 0);
    bytes.push(STALE);
    bytes
}

fn write_sparse(values: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = header(SPARSE);
    for run in values.chunk_by(|a, b| a == b) {
        match run[0] {
            0 if run.len() <= 64 => bytes.push(run.len() as u8 - 1),
            0 => {
                let length = run.len() as u16 - 1;
                bytes.extend([LONG_ZEROS | (length >> 8) as u8, length as u8]);
            }
            value @ 1..=32 => {
                bytes.extend(run.chunks(4).map(|run| VALUES | (value - 1) << 2 | (run.len() as u8 - 1)));
            }
            _ => return None,
        }
        if bytes.len() > SPARSE_MOST {
            return None;
        }
    }
    Some(bytes)
}

fn write_dense(values: &[u8]) -> Vec<u8> {
    let mut bytes = header(DENSE);
    bytes.extend(pack(values));
    bytes
}

/// Four registers make three bytes, the lowest bits first.
pub fn pack(values: &[u8]) -> impl Iterator<Item = u8> {
    values.chunks(4).flat_map(|four| {
        let bits = four.iter().rev().fold(0u32, |bits, &value| bits << 6 | u32::from(value));
        bits.to_le_bytes().into_iter().take(3)
    })
}

/// What [`pack`] has packed.
pub fn unpack(bytes: &[u8]) -> impl Iterator<Item = u8> {
    bytes.chunks(3).flat_map(|three| {
        let bits = three.iter().rev().fold(0u32, |bits, &byte| bits << 8 | u32::from(byte));
        (0..4).map(move |place| (bits >> (6 * place) & 63) as u8)
    })
}

/// The registers that are not zero, in their order.
pub fn read(bytes: &[u8]) -> Result<Vec<Register>, SketchError> {
    if bytes.len() < HEADER {
        return Err(SketchError::RedisTooShort { length: bytes.len() });
    }
    let (header, body) = bytes.split_at(HEADER);
    if !header.starts_with(MAGIC) {
        return Err(SketchError::RedisForeign);
    }
    match header[MAGIC.len()] {
        DENSE => read_dense(body),
        SPARSE => read_sparse(body),
        given => Err(SketchError::RedisEncoding { given }),
    }
}

fn read_dense(body: &[u8]) -> Result<Vec<Register>, SketchError> {
    if body.len() != DENSE_BYTES - HEADER {
        return Err(SketchError::RedisLength { length: HEADER + body.len(), expected: DENSE_BYTES });
    }
    let mut registers = Vec::new();
    for (index, value) in (0u32..).zip(unpack(body)).filter(|&(_, value)| value > 0) {
        let register = Register { index, value };
        if !Precision::REDIS.allows(register) {
            return Err(SketchError::Register { index, value, precision: Precision::REDIS.bits() });
        }
        registers.push(register);
    }
    Ok(registers)
}

fn read_sparse(body: &[u8]) -> Result<Vec<Register>, SketchError> {
    let mut registers = Vec::new();
    let (mut at, mut rest) = (0, body);
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        let low = usize::from(first & 63);
        let (value, length) = if first & VALUES != 0 {
            ((first >> 2 & 31) + 1, usize::from(first & 3) + 1)
        } else if first & LONG_ZEROS != 0 {
            let (&second, after) = rest.split_first().ok_or(SketchError::RedisRuns { covered: at })?;
            rest = after;
            (0, (low << 8 | usize::from(second)) + 1)
        } else {
            (0, low + 1)
        };
        if length > REGISTERS - at {
            return Err(SketchError::RedisRuns { covered: at + length });
        }
        if value > 0 {
            registers.extend((at..at + length).map(|index| Register { index: index as u32, value }));
        }
        at += length;
    }
    if at == REGISTERS { Ok(registers) } else { Err(SketchError::RedisRuns { covered: at }) }
}
