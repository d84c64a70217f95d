//! Redis's bytes: written as it would, read as it writes, and refused where they are broken.

use hitring::{HyperLogLog, SketchError};
use proptest::prelude::*;

const HEADER: usize = 16;
const DENSE: usize = 12_304;

fn of(items: u64) -> HyperLogLog {
    let sketch = HyperLogLog::new();
    for number in 0..items {
        sketch.add(format!("user:{number}").as_bytes());
    }
    sketch
}

fn bytes(sketch: &HyperLogLog) -> Vec<u8> {
    sketch.to_redis().expect("precision 14")
}

fn read(bytes: &[u8]) -> Result<Vec<(u32, u8)>, SketchError> {
    HyperLogLog::from_redis(bytes).map(|sketch| sketch.registers().collect())
}

fn sparse(runs: &[u8]) -> Vec<u8> {
    [b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\x80", runs].concat()
}

fn dense(register: usize, value: u8) -> Vec<u8> {
    let mut bytes = [b"HYLL\0\0\0\0\0\0\0\0\0\0\0\x80".to_vec(), vec![0; DENSE - HEADER]].concat();
    let (at, shift) = (HEADER + register * 6 / 8, register * 6 % 8);
    let bits = u16::from(value) << shift;
    bytes[at] |= bits as u8;
    if bits > 255 {
        bytes[at + 1] |= (bits >> 8) as u8;
    }
    bytes
}

#[test]
fn the_bytes_are_laid_out_as_redis_does() {
    let sketch = HyperLogLog::new();
    assert_eq!(bytes(&sketch), sparse(&[0x7f, 0xff]), "one run of 16,384 zeros");
    let raise = |index, value| sketch.raise(index, value).expect("possible");
    raise(0, 1);
    assert_eq!(bytes(&sketch), sparse(&[0x80, 0x7f, 0xfe]));
    for index in 1..6 {
        raise(index, 1);
    }
    assert_eq!(bytes(&sketch), sparse(&[0x83, 0x81, 0x7f, 0xf9]), "four at most in a run");
    raise(70, 32);
    raise(16_383, 3);
    assert_eq!(bytes(&sketch), sparse(&[0x83, 0x81, 0x3f, 0xfc, 0x7f, 0xb7, 0x88]), "64 zeros are a byte");
    raise(72, 33);
    let dense = bytes(&sketch);
    assert_eq!((dense.len(), dense[4], dense[15]), (DENSE, 0, 0x80), "32 is the largest value of a sparse one");
    assert_eq!(dense[HEADER..HEADER + 3], [0x41, 0x10, 0x04], "the lowest bits of a byte first");
    // Register 72 has the lowest bits of byte 54.
    assert_eq!(dense[HEADER + 54] & 63, 33);
}

#[test]
fn the_form_is_the_one_redis_would_use() {
    let mut last = 0;
    let sketch = HyperLogLog::new();
    for number in 0..3_000 {
        sketch.add(format!("user:{number}").as_bytes());
        let bytes = bytes(&sketch);
        if bytes[4] == 0 {
            break;
        }
        last = bytes.len();
        assert!(last <= 3_000);
    }
    assert!((2_990..=3_000).contains(&last), "{last}");
    assert_eq!(bytes(&sketch).len(), DENSE);
}

#[test]
fn what_is_written_is_read() {
    for items in [0, 1, 8, 9, 50, 600, 1_000, 2_000, 100_000] {
        let sketch = of(items);
        let bytes = bytes(&sketch);
        let again = HyperLogLog::from_redis(&bytes).expect("just written");
        assert!(again.registers().eq(sketch.registers()), "{items}");
        assert_eq!(again.count(), sketch.count());
        assert_eq!(again.to_redis().as_ref(), Ok(&bytes));
        assert!(items < 1_000 || again.bytes() < 13_200, "tables that are of no use: {again:?}");
    }
}

#[test]
fn a_cached_estimate_is_not_believed() {
    let mut bytes = bytes(&of(50));
    bytes[8..16].copy_from_slice(&7u64.to_le_bytes());
    assert_eq!(HyperLogLog::from_redis(&bytes).expect("a fresh estimate is no harm").count(), 50);
}

#[test]
fn broken_bytes_are_refused() {
    let whole = bytes(&of(100_000));
    let runs = |covered| Err(SketchError::RedisRuns { covered });
    let length = |length| Err(SketchError::RedisLength { length, expected: DENSE });
    for (bytes, refused) in [
        (b"HYLL".to_vec(), Err(SketchError::RedisTooShort { length: 4 })),
        (vec![], Err(SketchError::RedisTooShort { length: 0 })),
        (whole[..15].to_vec(), Err(SketchError::RedisTooShort { length: 15 })),
        ([&b"HYLL\x02"[..], &[0; 100]].concat(), Err(SketchError::RedisEncoding { given: 2 })),
        ([b"XXXX", &whole[4..]].concat(), Err(SketchError::RedisForeign)),
        (whole[..DENSE - 1].to_vec(), length(DENSE - 1)),
        ([&whole[..], b"\0"].concat(), length(DENSE + 1)),
        (whole[..HEADER].to_vec(), length(HEADER)),
        (sparse(&[]), runs(0)),
        (sparse(&[0x3f]), runs(64)),
        (sparse(&[0x7f, 0xfe]), runs(16_383)),
        (sparse(&[0x7f, 0xff, 0x00]), runs(16_385)),
        (sparse(&[0x7f, 0xfe, 0x81]), runs(16_385)),
        (sparse(&[0x7f, 0xff, 0x7f, 0xff]), runs(32_768)),
        (sparse(&[0x7f, 0xff, 0x80, 0x80]), runs(16_385)),
        (sparse(&[0x80, 0x7f]), runs(1)),
        (dense(9, 52), Err(SketchError::Register { index: 9, value: 52, precision: 14 })),
        (dense(16_383, 63), Err(SketchError::Register { index: 16_383, value: 63, precision: 14 })),
    ] {
        assert_eq!(read(&bytes), refused, "{:?}", &bytes[..bytes.len().min(40)]);
        let Err(error) = refused else { unreachable!("all are refused") };
        let said = error.to_string();
        assert!(said.contains("GET answers") || said.contains("again"), "no cure: {said}");
    }
    assert_eq!(read(&dense(9, 51)), Ok(vec![(9, 51)]), "the largest value there is");
}

#[test]
fn only_redis_s_precision_is_written() {
    for precision in (4..=18).filter(|&precision| precision != 14) {
        let sketch = HyperLogLog::with_precision(precision).expect("possible");
        let refused = sketch.to_redis().expect_err("Redis has no such");
        assert_eq!(refused, SketchError::RedisPrecision { precision });
        assert!(refused.to_string().contains("precision 14"));
    }
}

proptest! {
    #[test]
    fn any_registers_are_read_as_they_were_written(
        registers in prop::collection::vec((0u32..16_384, 1u8..=51, 1u32..8), 0..400),
        most in prop::sample::select(vec![3u8, 32, 33, 51]),
    ) {
        let sketch = HyperLogLog::new();
        for (index, value, run) in registers {
            for index in index..(index + run).min(16_384) {
                sketch.raise(index, value.min(most)).expect("possible");
            }
        }
        let bytes = bytes(&sketch);
        prop_assert_eq!(read(&bytes), Ok(sketch.registers().collect::<Vec<_>>()));
    }

    #[test]
    fn any_bytes_are_read_or_refused(
        encoding in 0u8..3,
        mut body in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..3_000),
            prop::collection::vec(any::<u8>(), DENSE - HEADER),
            prop::collection::vec(0u8..0x40, 200..700),
        ],
        exact in any::<bool>(),
    ) {
        if exact && encoding == 1 {
            // Cut where all are covered, and fill the rest with zeros.
            let (mut at, mut covered) = (0, 0);
            while at < body.len() {
                let long = body[at] & 0xc0 == 0x40;
                let length = match body[at] {
                    first if first & 0x80 != 0 => usize::from(first & 3) + 1,
                    first if long => (usize::from(first & 63) << 8 | usize::from(*body.get(at + 1).unwrap_or(&0))) + 1,
                    first => usize::from(first) + 1,
                };
                if covered + length > 16_384 || long && at + 1 == body.len() {
                    break;
                }
                covered += length;
                at += 1 + usize::from(long);
            }
            body.truncate(at);
            if covered < 16_384 {
                let rest = (16_383 - covered) as u16;
                body.extend([0x40 | (rest >> 8) as u8, rest as u8]);
            }
        }
        let bytes = [b"HYLL", &[encoding][..], &[0; 11], &body].concat();
        match HyperLogLog::from_redis(&bytes) {
            Ok(sketch) => {
                let written = sketch.to_redis().expect("precision 14");
                prop_assert_eq!(read(&written), Ok(sketch.registers().collect::<Vec<_>>()));
            }
            Err(refused) => {
                prop_assert!(!(exact && encoding == 1), "{}", refused);
                prop_assert!(!refused.to_string().is_empty());
            }
        }
    }
}
