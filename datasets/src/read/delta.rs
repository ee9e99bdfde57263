//! Walks delta-packed numbers (`DELTA_BINARY_PACKED`) to count them and find their end.

/// The result of a walk.
pub(super) struct Block {
    /// Number of values.
    pub(super) count: u64,
    /// Index of the first byte behind them.
    pub(super) end: usize,
}

/// Walks the numbers at the start of `bytes`; `None` if they are incomplete.
pub(super) fn walk(bytes: &[u8]) -> Option<Block> {
    let mut at = 0;
    let block_values = number(bytes, &mut at)?;
    let parts = number(bytes, &mut at)?;
    let count = number(bytes, &mut at)?;
    number(bytes, &mut at)?;
    let part_values = block_values.checked_div(parts).filter(|values| *values > 0 && values % 32 == 0)?;
    // The header holds the first number.
    let mut rest = count.saturating_sub(1);
    while rest > 0 {
        number(bytes, &mut at)?;
        let widths = at..at.checked_add(usize::try_from(parts).ok()?)?;
        at = widths.end;
        for width in bytes.get(widths)? {
            if rest == 0 {
                break;
            }
            let packed = u64::from(*width).checked_mul(part_values)? / 8;
            at = at.checked_add(usize::try_from(packed).ok()?).filter(|at| *at <= bytes.len())?;
            rest = rest.saturating_sub(part_values);
        }
    }
    Some(Block { count, end: at })
}

fn number(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        value |= u64::from(byte & 127) << shift;
        if byte < 128 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_counted_and_false_claims_refused() {
        // 128 values in a block of 4 parts; 3 numbers: 7, then two differences of one bit each.
        let bytes = [128, 1, 4, 3, 14, 0, 1, 0, 0, 0, 0b11, 0, 0, 0, 99];
        let block = walk(&bytes).unwrap();
        assert_eq!((block.count, block.end), (3, 14));
        assert!(walk(&bytes[..12]).is_none());
        assert!(walk(&[128, 1, 4, 255, 255, 255, 255, 15, 14, 0, 1, 0, 0, 0, 0b11]).is_none());
        assert!(walk(&[0, 0, 3, 0]).is_none());
    }
}
