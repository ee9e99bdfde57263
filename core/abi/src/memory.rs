//! Memory that the other side of the border names: looked at before it is used.

use core::fmt;

/// Why memory that the other side names cannot be read. Its author must act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// It has a length and no address.
    Null,
    /// Its address is none that such values can have.
    Misaligned,
    /// It is longer than any memory.
    TooLong,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unreadable::Null => "lies at the address null",
            Unreadable::Misaligned => "lies at an address that is not aligned",
            Unreadable::TooLong => "is longer than any memory",
        })
    }
}

impl core::error::Error for Unreadable {}

/// The `len` items from `first` on; none where `len` is 0, whatever the address.
///
/// # Errors
/// [`Unreadable`]: no memory can be meant.
///
/// # Safety
/// What passes for memory is readable and stays unchanged for `'a`.
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
    fn what_cannot_be_memory_is_not_touched() {
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
