//! Any bytes as a HyperLogLog of Redis: an error, or a sketch that is written and read again as it was.
//!
//! The header is made to fit, so that what lies behind it is reached: the first byte of the input says of which encoding,
//! and whether a dense one is cut or filled to its length and a sparse one filled up to the last register.

#![no_main]

use hitring::HyperLogLog;
use libfuzzer_sys::fuzz_target;

const REGISTERS: usize = 16_384;
const DENSE: usize = REGISTERS * 6 / 8;

/// How many registers the runs of `body` cover, if they are whole and not too many.
fn covered(body: &[u8]) -> Option<usize> {
    let (mut at, mut covered) = (0, 0);
    while let Some(&first) = body.get(at) {
        covered += match first {
            0x80.. => usize::from(first & 3) + 1,
            0x40.. => {
                at += 1;
                (usize::from(first & 63) << 8 | usize::from(*body.get(at)?)) + 1
            }
            _ => usize::from(first) + 1,
        };
        at += 1;
    }
    (covered <= REGISTERS).then_some(covered)
}

fn check(bytes: &[u8]) -> bool {
    let Ok(sketch) = HyperLogLog::from_redis(bytes) else { return false };
    let written = sketch.to_redis().expect("the precision is Redis's");
    let again = HyperLogLog::from_redis(&written).expect("what was written can be read");
    assert!(again.registers().eq(sketch.registers()));
    assert_eq!(again.count(), sketch.count());
    assert_eq!(again.to_redis().as_ref(), Ok(&written));
    sketch.merge(&again).expect("the precision is the same");
    assert!(again.registers().eq(sketch.registers()), "to merge the same changes nothing");
    assert!(sketch.bytes() < 16_384);
    true
}

fuzz_target!(|input: &[u8]| {
    check(input);
    let Some((&first, body)) = input.split_first() else { return };
    let mut body = body.to_vec();
    let header = |encoding| [b"HYLL", &[encoding][..], &[first; 11]].concat();
    if first % 2 == 0 {
        if first & 2 == 0 {
            body.resize(DENSE, 0);
        }
        let read = check(&[&header(0), &body[..]].concat());
        assert!(body.len() == DENSE || !read, "a length that is not a dense one's is refused");
    } else {
        let whole = covered(&body);
        if let Some(rest) = whole.filter(|&covered| first & 2 == 0 && covered < REGISTERS).map(|n| REGISTERS - 1 - n) {
            body.extend([0x40 | (rest >> 8) as u8, rest as u8]);
            assert!(check(&[&header(1), &body[..]].concat()), "runs that cover every register are read");
        }
        let read = check(&[&header(1), &body[..]].concat());
        assert_eq!(read, covered(&body) == Some(REGISTERS), "runs that do not are refused");
    }
});
