//! Many timestamps at once: any buffer, any iterable.
//!
//! A batch is read and checked whole before its first hit is recorded, so bad input records nothing.
//!
//! | given | is read |
//! |---|---|
//! | a one-dimensional buffer of integers or floats, of any width, byte order and stride | through `memoryview`, without a Python object for each timestamp |
//! | a list, a tuple, any other iterable | item by item, each as `record_at` takes it |
//! | `bytes`, `bytearray`, `str` | not: they hold text, or numbers of a width that only the caller knows |
//!
//! The buffer's bytes are copied first (the stable ABI has buffers from Python 3.11 on only), so another thread that
//! writes into the buffer meanwhile cannot slip in what was not checked.
//!
//! Tests: `tests/python/unit`.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyList, PyMemoryView, PyString, PyTuple};

use crate::python::number::{Integer, type_name};
use crate::python::time::{NotATime, of_float, of_integer, timestamp};
use crate::time::Timestamp;

/// How often an iteration looks whether Ctrl-C was pressed.
const SIGNALS_EVERY: usize = 1 << 16;

/// Timestamps that have all been checked.
#[derive(Debug)]
pub enum Batch<'py> {
    Buffer(Bound<'py, PyBytes>, Element),
    Times(Vec<Timestamp>),
}

impl<'py> Batch<'py> {
    /// Reads and checks all of `timestamps`.
    ///
    /// # Errors
    /// `TypeError` or `ValueError` that names the index of the first bad timestamp; whatever an iterator raises.
    pub fn read(timestamps: &Bound<'py, PyAny>) -> PyResult<Self> {
        if timestamps.is_exact_instance_of::<PyList>() || timestamps.is_exact_instance_of::<PyTuple>() {
            return iterate(timestamps);
        }
        if timestamps.is_instance_of::<PyString>()
            || timestamps.is_instance_of::<PyBytes>()
            || timestamps.is_instance_of::<PyByteArray>()
        {
            return Err(PyTypeError::new_err(format!(
                "timestamps must be numbers, not {}; if these are the bytes of numbers, say of which kind: \
                 memoryview(data).cast('q'), for example",
                type_name(timestamps)
            )));
        }
        match PyMemoryView::from(timestamps) {
            Ok(view) => {
                check_dimensions(&view)?;
                match Element::of(&view)? {
                    Some(element) => buffer(&view, element),
                    // A buffer of anything else, as of Python objects or long doubles, can still be iterated over.
                    None => iterate(timestamps),
                }
            }
            Err(_) => iterate(timestamps),
        }
    }

    /// Calls `record` for each timestamp, in order.
    pub fn each(&self, record: impl FnMut(Timestamp)) {
        match self {
            Self::Times(times) => times.iter().copied().for_each(record),
            // It cannot fail, because the same bytes were walked before.
            Self::Buffer(bytes, element) => _ = element.walk(bytes.as_bytes(), record),
        }
    }
}

fn check_dimensions(view: &Bound<'_, PyMemoryView>) -> PyResult<()> {
    match view.getattr(intern!(view.py(), "ndim"))?.extract()? {
        1 => Ok(()),
        dimensions => Err(PyValueError::new_err(format!(
            "timestamps must have one dimension, not {dimensions}; flatten them first"
        ))),
    }
}

fn buffer<'py>(view: &Bound<'py, PyMemoryView>, element: Element) -> PyResult<Batch<'py>> {
    let py = view.py();
    let bytes = view.call_method0(intern!(py, "tobytes"))?.cast_into::<PyBytes>()?;
    let checked = element.walk(bytes.as_bytes(), |_| {});
    checked.map_err(|(index, error)| error.raise(format_args!("timestamps[{index}]")))?;
    Ok(Batch::Buffer(bytes, element))
}

fn iterate<'py>(timestamps: &Bound<'py, PyAny>) -> PyResult<Batch<'py>> {
    let py = timestamps.py();
    let items = timestamps.try_iter().map_err(|error| {
        if !error.is_instance_of::<PyTypeError>(py) {
            return error;
        }
        PyTypeError::new_err(format!(
            "timestamps must be a buffer or an iterable of timestamps, not {}; for a single one call record_at",
            type_name(timestamps)
        ))
    })?;
    let mut times = Vec::with_capacity(items.size_hint().0.min(SIGNALS_EVERY));
    for (index, item) in items.enumerate() {
        if index % SIGNALS_EVERY == SIGNALS_EVERY - 1 {
            py.check_signals()?;
        }
        times.push(timestamp(&item?, format_args!("timestamps[{index}]"))?);
    }
    Ok(Batch::Times(times))
}

/// What the items of a buffer are.
#[derive(Clone, Copy, Debug)]
pub struct Element {
    kind: Kind,
    width: usize,
    little_endian: bool,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Signed,
    Unsigned,
    Float,
}

impl Element {
    /// The kind of the items of `view`, by its format in the notation of Python's `struct` module; `None` if they are not numbers.
    fn of(view: &Bound<'_, PyMemoryView>) -> PyResult<Option<Self>> {
        let py = view.py();
        let format: String = view.getattr(intern!(py, "format"))?.extract()?;
        let width: usize = view.getattr(intern!(py, "itemsize"))?.extract()?;
        let (order, code) = match *format.as_bytes() {
            [code] => (b'@', code),
            [order, code] => (order, code),
            _ => return Ok(None),
        };
        let little_endian = match order {
            b'@' | b'=' => cfg!(target_endian = "little"),
            b'<' => true,
            b'>' | b'!' => false,
            _ => return Ok(None),
        };
        let kind = match (code, width) {
            (b'b' | b'h' | b'i' | b'l' | b'q' | b'n', 1 | 2 | 4 | 8) => Kind::Signed,
            (b'B' | b'H' | b'I' | b'L' | b'Q' | b'N', 1 | 2 | 4 | 8) => Kind::Unsigned,
            (b'e', 2) | (b'f', 4) | (b'd', 8) => Kind::Float,
            _ => return Ok(None),
        };
        Ok(Some(Self { kind, width, little_endian }))
    }

    /// Calls `each` with the timestamps in `bytes`, in order. Stops at the first item that is not a timestamp, and returns its
    /// index and the reason.
    fn walk(self, bytes: &[u8], mut each: impl FnMut(Timestamp)) -> Result<(), (usize, NotATime)> {
        macro_rules! walk {
            ($number:ty, $time:expr) => {
                for (index, item) in bytes.chunks_exact(size_of::<$number>()).enumerate() {
                    let item = item.try_into().expect("chunks are exact");
                    let number = if self.little_endian {
                        <$number>::from_le_bytes(item)
                    } else {
                        <$number>::from_be_bytes(item)
                    };
                    each($time(number).map_err(|error| (index, error))?);
                }
            };
        }
        match (self.kind, self.width) {
            (Kind::Signed, 1) => walk!(i8, |n| of_integer(Integer::Fits(i64::from(n)))),
            (Kind::Signed, 2) => walk!(i16, |n| of_integer(Integer::Fits(i64::from(n)))),
            (Kind::Signed, 4) => walk!(i32, |n| of_integer(Integer::Fits(i64::from(n)))),
            (Kind::Signed, _) => walk!(i64, |n| of_integer(Integer::Fits(n))),
            (Kind::Unsigned, 1) => walk!(u8, |n| Timestamp::try_from(u64::from(n)).map_err(NotATime::from)),
            (Kind::Unsigned, 2) => walk!(u16, |n| Timestamp::try_from(u64::from(n)).map_err(NotATime::from)),
            (Kind::Unsigned, 4) => walk!(u32, |n| Timestamp::try_from(u64::from(n)).map_err(NotATime::from)),
            (Kind::Unsigned, _) => walk!(u64, |n| Timestamp::try_from(n).map_err(NotATime::from)),
            (Kind::Float, 2) => walk!(u16, |n| of_float(half(n))),
            (Kind::Float, 4) => walk!(f32, |n| of_float(f64::from(n))),
            (Kind::Float, _) => walk!(f64, of_float),
        }
        Ok(())
    }
}

/// The number that a float of 16 bits is (IEEE 754 binary16).
fn half(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1_023) / 1_024.0);
    let number = match exponent {
        0 => fraction * 2f64.powi(-14),
        31 if fraction > 0.0 => f64::NAN,
        31 => f64::INFINITY,
        _ => (1.0 + fraction) * 2f64.powi(exponent - 15),
    };
    if bits >> 15 > 0 { -number } else { number }
}
