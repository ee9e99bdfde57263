//! Checks of memory ranges that the other side of the ABI passes.

use core::fmt;

/// Why a memory range of the other side cannot be read. The author of that side must act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// It has a length, but a null address.
    Null,
    /// Its address is not aligned.
    Misaligned,
    /// It is longer than the address space.
    TooLong,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unreadable::Null => "is at the address null",
            Unreadable::Misaligned => "is at an address that is not aligned",
            Unreadable::TooLong => "is longer than any memory",
        })
    }
}

impl core::error::Error for Unreadable {}

/// The `len` items that start at `first`. With `len` 0 the address does not matter.
///
/// # Errors
/// [`Unreadable`] if the range cannot be valid memory.
///
/// # Safety
/// A range that passes the checks is readable and stays unchanged for `'a`.
#[allow(unsafe_code)]
pub unsafe fn items<'a, T>(first: *const T, len: usize) -> Result<&'a [T], Unreadable> {
    if len == 0 {
        return Ok(&[]);
    }
    if first.is_null() {
        return Err(Unreadable::Null);
    }
    if !first.is_aligned() {
        return Err(Unreadable::Misaligned);
    }
    let bytes = len.checked_mul(size_of::<T>()).filter(|bytes| *bytes <= isize::MAX as usize);
    if bytes.and_then(|bytes| first.addr().checked_add(bytes)).is_none() {
        return Err(Unreadable::TooLong);
    }
    // SAFETY: not null, aligned, and of a size that memory can have; the rest is the caller's promise.
    Ok(unsafe { core::slice::from_raw_parts(first, len) })
}

#[cfg(test)]
#[allow(unsafe_code)]
mod tests {
    use super::*;

    #[test]
    fn impossible_ranges_are_not_read() {
        let numbers = [1u64, 2, 3];
        let first = numbers.as_ptr();
        // SAFETY: the array is readable; nothing else is read.
        let read = |first: *const u64, len: usize| unsafe { items(first, len) };
        assert_eq!(read(first, 3), Ok(&numbers[..]));
        assert_eq!(read(core::ptr::null(), 0), Ok(&[][..]));
        assert_eq!(read(core::ptr::null(), 5), Err(Unreadable::Null));
        assert_eq!(read(first.cast::<u8>().wrapping_add(1).cast(), 1), Err(Unreadable::Misaligned));
        assert_eq!(read(first, usize::MAX / 2), Err(Unreadable::TooLong));
        assert_eq!(read(core::ptr::without_provenance(usize::MAX - 7), 1), Err(Unreadable::TooLong));
    }
}
