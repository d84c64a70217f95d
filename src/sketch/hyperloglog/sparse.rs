//! The sparse form: only the registers that are not zero, in tables that are filled and never emptied.
//!
//! ```text
//! cell  31         6 5     0        few  [cell] x 8, in the sketch itself
//!       +-----------+-------+       more -> [cell] x 32, more -> [cell] x 128, more -> [cell] x 512
//!       |   index   | value |
//!       +-----------+-------+       0: free
//! ```
//!
//! An index may live in the cells from its home on, up to 16 of them. It is sought in each table in turn:
//!
//! | cell | may be moved by | a search for another index |
//! |---|---|---|
//! | 0 | any thread, by one exchange, to its index | does not find that index here or further on, so it takes the cell |
//! | `index, value` | any thread that brings a larger value of the index | looks into the next cell, behind the 16th into the next table |
//!
//! **One cell an index.** A cell that is taken stays with its index, so 16 taken cells stay taken, and an index that is not among
//! them never will be. All threads that bring it continue with the next table, and all reach the same cell there. So tables need
//! not be moved when they overflow, nothing is ever copied while others write, and a reader that adds up the cells meets an index
//! only once. A table is appended by one exchange. A thread that loses it uses the winner's table.
//!
//! **Steps.** A cell is taken once and raised at most `64 - precision` times, so the exchanges that can be lost on it are
//! as few. [`Sparse::raise`] looks into at most 8 + 16 cells a table, [`Sparse::iter`] into every cell once.
//!
//! Tables grow fourfold, while one takes no more than a quarter of what all registers would. Orders are `Relaxed` as in
//! the dense form; a table is published by [`Once`].
//!
//! Tests: `tests/models/sparse.rs`.

use crate::sketch::hyperloglog::precision::{Precision, Register};
use crate::sketch::hyperloglog::registers::Registers;
use crate::sync::mutant::mutated;
use crate::sync::table::Once;
use crate::sync::{AtomicU32, Ordering};

/// The models have smaller tables, so that a few items reach every form.
const MODELLED: bool = cfg!(hitring_model);
const FEW: usize = if MODELLED { 2 } else { 8 };
const FIRST: usize = if MODELLED { 2 } else { 32 };
const GROWTH: usize = 4;
/// How many cells an index may live in.
const REACH: usize = 16;

const VALUE_BITS: u32 = 6;
const VALUE: u32 = (1 << VALUE_BITS) - 1;

/// What became of a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Raised {
    /// It is what was brought.
    Up,
    /// It was that already, or more.
    Already,
    /// All cells that it may live in are taken; nothing was changed.
    Full,
}

/// The registers that are not zero.
#[derive(Debug)]
pub struct Sparse {
    few: [AtomicU32; FEW],
    more: Once<Table>,
}

/// A table beyond the first, and where the one after it will be.
#[derive(Debug)]
struct Table {
    cells: Box<[AtomicU32]>,
    more: Once<Table>,
}

impl Table {
    #[cold]
    fn new(cells: usize) -> Self {
        Self { cells: (0..cells).map(|_| AtomicU32::new(0)).collect(), more: Once::new() }
    }
}

const fn cell(register: Register) -> u32 {
    register.index << VALUE_BITS | register.value as u32
}

const fn register(cell: u32) -> Register {
    Register { index: cell >> VALUE_BITS, value: (cell & VALUE) as u8 }
}

/// The cells that `index` may live in, in the order in which they are taken. A power of two of them.
#[inline(always)]
fn reach(cells: &[AtomicU32], index: u32) -> impl Iterator<Item = &AtomicU32> {
    // Neighbouring indices come to lie apart; the upper bits of the product choose among any number of cells.
    let home = index.wrapping_mul(0x9e37_79b1).rotate_left(cells.len().trailing_zeros()) as usize;
    let last = cells.len() - 1;
    (home..home + REACH.min(cells.len())).map(move |place| &cells[place & last])
}

#[inline(always)]
fn raise_in(cells: &[AtomicU32], raised: Register) -> Raised {
    let wanted = cell(raised);
    for place in reach(cells, raised.index) {
        let mut seen = place.load(Ordering::Relaxed);
        // Of one index, the larger cell has the larger value.
        while seen == 0 || register(seen).index == raised.index && seen < wanted {
            if mutated!(RegisterLoadStore) {
                place.store(wanted, Ordering::Relaxed);
                return Raised::Up;
            }
            match place.compare_exchange(seen, wanted, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Raised::Up,
                Err(newer) => seen = newer,
            }
        }
        if register(seen).index == raised.index {
            return Raised::Already;
        }
    }
    Raised::Full
}

impl Default for Sparse {
    /// No register.
    fn default() -> Self {
        Self { few: std::array::from_fn(|_| AtomicU32::new(0)), more: Once::new() }
    }
}

impl Sparse {
    /// The most cells that a table may have.
    fn most(precision: Precision) -> usize {
        Registers::bytes_of(precision) / 4 / size_of::<u32>()
    }

    /// How many registers there is room for, if they fall well.
    pub fn capacity(precision: Precision) -> usize {
        let sizes = std::iter::successors(Some(FIRST), |size| Some(size * GROWTH));
        FEW + sizes.take_while(|&size| size <= Self::most(precision)).sum::<usize>()
    }

    /// Raises a register.
    pub fn raise(&self, precision: Precision, raised: Register) -> Raised {
        let mut in_it = raise_in(&self.few, raised);
        let (mut more, mut size) = (&self.more, FIRST);
        while in_it == Raised::Full {
            let table = match more.get() {
                Some(table) => table,
                None if size <= Self::most(precision) => more.get_or_make(|| Table::new(size)),
                None => break,
            };
            in_it = raise_in(&table.cells, raised);
            (more, size) = (&table.more, size * GROWTH);
        }
        in_it
    }

    /// The tables that there are.
    fn tables(&self) -> impl Iterator<Item = &[AtomicU32]> {
        let more = std::iter::successors(self.more.get(), |table| table.more.get());
        std::iter::once(&self.few[..]).chain(more.map(|table| &*table.cells))
    }

    /// The value of a register, 0 if it has no cell.
    pub fn value(&self, index: u32) -> u8 {
        for cells in self.tables() {
            for place in reach(cells, index) {
                let seen = place.load(Ordering::Relaxed);
                if seen == 0 || register(seen).index == index {
                    return register(seen).value;
                }
            }
        }
        0
    }

    /// The registers, in no order, each once.
    pub fn iter(&self) -> impl Iterator<Item = Register> {
        let cells = self.tables().flatten().map(|place| place.load(Ordering::Relaxed));
        cells.filter(|&cell| cell != 0).map(register)
    }

    /// What is allocated.
    pub fn bytes(&self) -> usize {
        self.tables().skip(1).map(|cells| size_of::<Table>() + size_of_val(cells)).sum()
    }
}
