//! HyperLogLog against a slow, obviously right one, its laws, its stated error and its memory.

use hitring::sketch::hyperloglog::hash::murmur;
use hitring::{HyperLogLog, SketchError};
use proptest::prelude::*;

use crate::threads::{rounds, together};

/// The registers of some items, one byte each.
struct Plain {
    precision: u8,
    registers: Vec<u8>,
}

impl Plain {
    fn new(precision: u8) -> Self {
        Self { precision, registers: vec![0; 1 << precision] }
    }

    /// Counts the zeros one by one.
    fn add(&mut self, item: &[u8]) -> bool {
        let hash = murmur(item);
        let index = (hash % (1 << self.precision)) as usize;
        let mut value = 1;
        while value + self.precision <= 64 && hash >> (self.precision + value - 1) & 1 == 0 {
            value += 1;
        }
        let changes = value > self.registers[index];
        self.registers[index] = value.max(self.registers[index]);
        changes
    }

    fn registers(&self) -> Vec<(u32, u8)> {
        (0..).zip(self.registers.iter().copied()).filter(|&(_, value)| value > 0).collect()
    }
}

fn with(precision: u8) -> HyperLogLog {
    HyperLogLog::with_precision(precision).expect("a possible precision")
}

fn registers(sketch: &HyperLogLog) -> Vec<(u32, u8)> {
    sketch.registers().collect()
}

fn item(number: u64) -> [u8; 8] {
    number.to_le_bytes()
}

fn of(precision: u8, items: impl IntoIterator<Item = u64>) -> HyperLogLog {
    let sketch = with(precision);
    items.into_iter().for_each(|number| {
        sketch.add(&item(number));
    });
    sketch
}

fn merged(into: &HyperLogLog, other: &HyperLogLog) -> HyperLogLog {
    let both = into.clone();
    both.merge(other).expect("the same precision");
    both
}

/// Computed by an implementation of its own, in Python; `PFADD` agrees (`redis_server.rs`).
#[test]
fn the_hash_is_the_published_one() {
    let every_byte: Vec<u8> = (0..=255).collect();
    for (item, hash) in [
        (&b""[..], 0xd8df_ea65_85bc_9732),
        (b"a", 0x53d2_470a_9b43_b1a7),
        (b"ab", 0x0eae_d676_4371_42cf),
        (b"abc", 0x77ec_90ae_b374_e502),
        (b"abcd", 0xb079_ee3d_4420_2b3e),
        (b"abcde", 0x52a7_daa2_324a_0e8e),
        (b"abcdef", 0x3a4f_3a74_f538_b54f),
        (b"abcdefg", 0x22fe_613b_b08c_9602),
        (b"abcdefgh", 0xf3a6_5df5_5991_4567),
        (b"abcdefghi", 0x834f_ba4d_9152_daf7),
        (b"The quick brown fox jumps over the lazy dog", 0x5160_6c5c_5b56_1ace),
        (&every_byte, 0x5952_02c0_4f15_7049),
    ] {
        assert_eq!(murmur(item), hash, "{item:?}");
    }
}

#[test]
fn a_hash_without_ones_has_the_largest_value() {
    for precision in 4..=18 {
        let sketch = with(precision);
        assert!(sketch.add_hash(0) && !sketch.add_hash(0));
        assert!(sketch.add_hash(u64::MAX));
        assert_eq!(registers(&sketch), [(0, 65 - precision), ((1 << precision) - 1, 1)]);
    }
}

#[test]
fn registers_and_answers_are_those_of_a_plain_one() {
    for (precision, items) in [(4, 200), (5, 500), (9, 3_000), (10, 5_000), (14, 40_000), (18, 40_000)] {
        let (sketch, mut plain) = (with(precision), Plain::new(precision));
        let mut forms = [0, 0];
        for number in 0..items {
            // Each third item comes again.
            let number = if number % 3 == 0 { number / 2 } else { number };
            let changes = plain.add(&item(number));
            assert_eq!(sketch.add(&item(number)), changes, "{precision} {number}");
            forms[usize::from(sketch.is_sparse())] += 1;
            if number % (items / 50) == 0 {
                assert_eq!(registers(&sketch), plain.registers(), "{precision} {number}");
                assert_eq!(registers(&sketch.clone()), plain.registers(), "{precision} {number}");
            }
        }
        assert_eq!(registers(&sketch), plain.registers());
        assert!(forms.iter().all(|&times| times > 8), "{precision}: {forms:?}");
    }
}

#[test]
fn a_register_can_be_raised_as_it_was_read() {
    for items in [5, 300, 20_000] {
        let sketch = of(14, 0..items);
        let again = HyperLogLog::new();
        for (index, value) in sketch.registers() {
            assert_eq!(again.raise(index, value), Ok(true));
            assert_eq!(again.raise(index, value), Ok(false));
        }
        assert_eq!(registers(&again), registers(&sketch));
        assert_eq!(again.count(), sketch.count());
    }
    let sketch = HyperLogLog::new();
    for (index, value) in [(1 << 14, 1), (u32::MAX, 1), (0, 0), (0, 52), (0, 255)] {
        let refused = sketch.raise(index, value).expect_err("no item makes it so");
        assert_eq!(refused, SketchError::Register { index, value, precision: 14 });
        assert!(refused.to_string().contains("again"));
    }
    assert_eq!((sketch.count(), sketch.registers().count()), (0, 0));
}

fn some_items() -> impl proptest::strategy::Strategy<Value = Vec<u64>> {
    // Few and many, with repetitions among and between.
    (0..4_000u64, 1..3_000u64, 1..5u64)
        .prop_map(|(from, items, step)| (from..from + items).step_by(step as usize).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn to_merge_is_to_add_all(
        precision in prop::sample::select(vec![4u8, 7, 10, 12, 14, 18]),
        a in some_items(), b in some_items(), c in some_items(),
    ) {
        let [of_a, of_b, of_c] = [&a, &b, &c].map(|items| of(precision, items.iter().copied()));
        let before = registers(&of_b);
        let ab = merged(&of_a, &of_b);
        prop_assert_eq!(registers(&ab), registers(&of(precision, a.iter().chain(&b).copied())));
        prop_assert_eq!(registers(&of_b), before, "the other is left alone");
        prop_assert_eq!(registers(&merged(&of_b, &of_a)), registers(&ab));
        prop_assert_eq!(registers(&merged(&ab, &of_c)), registers(&merged(&of_a, &merged(&of_b, &of_c))));
        prop_assert_eq!(registers(&merged(&ab, &of_a)), registers(&ab));
        prop_assert_eq!(registers(&merged(&ab, &ab)), registers(&ab));
        prop_assert_eq!(merged(&ab, &with(precision)).count(), ab.count());
        ab.merge(&ab).expect("the same precision");
        prop_assert_eq!(ab.count(), merged(&of_b, &of_a).count());
    }
}

#[test]
fn other_precisions_are_refused() {
    for given in [0, 3, 19, 64, 255] {
        let refused = HyperLogLog::with_precision(given).expect_err("refused");
        assert_eq!(refused, SketchError::Precision { given });
        assert!(refused.to_string().contains("4 to 18"));
    }
    let (ours, theirs) = (of(14, 0..10), of(12, 0..1_000));
    let refused = ours.merge(&theirs).expect_err("refused");
    assert_eq!(refused, SketchError::OtherPrecision { theirs: 12, ours: 14 });
    assert!(refused.to_string().contains("the same precision"));
    assert_eq!(ours.count(), 10);
}

/// The mean of the relative errors, and of their squares, over many sketches.
#[test]
fn the_stated_error_holds() {
    // So few registers as 16 do somewhat worse than the formula for many says.
    for (precision, sketches, worse, bias) in
        [(4, 800, 1.25, 0.1), (8, 400, 1.1, 0.01), (11, 100, 1.2, 0.0), (14, 100, 1.2, 0.0)]
    {
        let stated = with(precision).error();
        assert!((stated - 1.04 / f64::from(1u32 << precision).sqrt()).abs() < 1e-12);
        for items in [1u64, 3, 10, 100, 1_000, 10_000, 50_000].into_iter().filter(|items| items * sketches <= 5_000_000)
        {
            let error = |sketch| {
                let from = sketch << 32 | items << 16;
                of(precision, from..from + items).count() as f64 / items as f64 - 1.0
            };
            let sample = super::Sample::of(&(0..sketches).map(error).collect::<Vec<_>>());
            let spread = (sample.variance + sample.mean.powi(2)).sqrt();
            // The estimate is a whole number, so half an item is not counted as an error.
            let rounding = 0.5 / items as f64;
            assert!(spread < stated * worse + rounding, "{precision} {items}: {spread}, stated {stated}");
            let most = 4.0 * (sample.variance / sample.size).sqrt() + bias + rounding;
            assert!(sample.mean.abs() < most, "{precision} {items}: biased by {}", sample.mean);
        }
    }
}

#[test]
fn an_empty_sketch_counts_zero_and_few_items_are_exact() {
    assert_eq!(HyperLogLog::new().count(), 0);
    // Of these, two fall into the same register first at the 33rd.
    for items in 0..=32 {
        assert_eq!(of(14, 0..items).count(), items);
    }
}

#[test]
fn registers_that_can_rise_no_further_are_estimated() {
    let sketch = with(4);
    for index in 0..15 {
        sketch.raise(index, 61).expect("the largest value");
    }
    // One register is still zero, so there are not many more items than registers, whatever the others say.
    assert_eq!(sketch.count(), 174);
    // Half of them at the largest value, half four below: computed by an implementation of its own, in Python.
    let half = with(4);
    for index in 0..16 {
        half.raise(index, 57 + 4 * (index % 2) as u8).expect("possible values");
    }
    assert!((half.count() as f64 / 3_206_443_172_373_383_680.0 - 1.0).abs() < 1e-12, "{}", half.count());
    sketch.raise(15, 61).expect("the largest value");
    assert!(sketch.count() > 1 << 60, "{}", sketch.count());
}

/// Where a sketch of `precision` changes its size: bytes before, and the mean number of items until then.
fn steps(precision: u8) -> Vec<(usize, f64)> {
    let mut steps: Vec<(usize, f64)> = Vec::new();
    let sketches = 50;
    for sketch in 0..sketches {
        let grown = with(precision);
        let mut bytes = grown.bytes();
        let mut step = 0;
        for number in 0..1 << 18 {
            grown.add(&item(sketch << 32 | number));
            if grown.bytes() != bytes {
                if steps.len() == step {
                    steps.push((bytes, 0.0));
                }
                assert_eq!(steps[step].0, bytes, "every sketch takes the same steps");
                steps[step].1 += number as f64 / sketches as f64;
                (bytes, step) = (grown.bytes(), step + 1);
                if !grown.is_sparse() {
                    break;
                }
            }
        }
        if steps.len() == step {
            steps.push((bytes, f64::INFINITY));
        }
    }
    steps
}

#[test]
fn a_sketch_takes_the_memory_it_says() {
    for precision in [4, 8, 10, 12, 14, 16, 18] {
        let steps = steps(precision);
        println!("{precision}: {steps:.0?}");
        assert_eq!(steps[0].0, 56, "the first items need no allocation");
        assert!(steps[0].1 >= 8.0 || precision < 7, "{steps:?}");
        let dense = (1usize << precision).div_ceil(10) * 8;
        let (last, _) = *steps.last().expect("it became dense");
        assert!(last <= 96 + dense * 5 / 4 + dense / 4, "{precision}: {last}");
    }
    assert!(of(14, 0..100_000).bytes() < 16_000);
    assert!(of(14, 0..8).bytes() <= 100);
}

#[test]
fn threads_lose_nothing() {
    for round in 0..rounds(30) as u64 {
        for (precision, items) in [(14, 12), (14, 600), (14, 6_000), (5, 40), (10, 400)] {
            let sketch = with(precision);
            let from = round << 32;
            // Each item comes from two of the four.
            let items = |thread: u64| from + thread * items / 2..from + (thread + 2) * items / 2;
            let told = together(4, |thread| {
                let mut last = 0;
                items(thread as u64)
                    .filter(|&number| {
                        let added = sketch.add(&item(number));
                        if number % 64 == 0 {
                            let count = sketch.count();
                            assert!(count >= last, "{count} after {last}");
                            last = count;
                        }
                        added
                    })
                    .count()
            });
            let alone = of(precision, (0..4).flat_map(items));
            assert_eq!(registers(&sketch), registers(&alone), "{precision} {round}");
            assert!(told.iter().sum::<usize>() >= alone.registers().count(), "nobody was told of a change");
            assert!((0..4).flat_map(items).all(|number| !sketch.add(&item(number))));
        }
    }
}

#[test]
fn merges_among_threads_lose_nothing() {
    for round in 0..rounds(20) as u64 {
        let parts: Vec<_> = (0..4).map(|part| of(14, (round << 32 | part << 10..).take(100 << (2 * part)))).collect();
        let all = HyperLogLog::new();
        together(4, |thread| {
            all.merge(&parts[thread]).expect("the same precision");
            parts[thread].merge(&parts[(thread + 1) % 4]).expect("the same precision");
            all.merge(&parts[thread]).expect("the same precision");
        });
        let alone = of(14, (0..4).flat_map(|part| (round << 32 | part << 10..).take(100 << (2 * part))));
        assert_eq!(registers(&all), registers(&alone));
    }
}

#[test]
fn it_says_what_it_is() {
    let sketch = of(10, 0..3);
    assert_eq!(format!("{sketch:?}"), "HyperLogLog { precision: 10, count: 3, sparse: true }");
    const fn crosses_threads<T: Send + Sync + std::panic::RefUnwindSafe>() {}
    const { crosses_threads::<HyperLogLog>() }
}
