//! Lists and files of a cell, as a plugin may give them: any depth, any lengths.

use anyflow_datasets::{Feature, OwnedCell, OwnedList, column_from_cells};

/// Most numbers of a list.
const NUMBERS: usize = 64;

/// The two readers of lengths agree, and a list that they take becomes a column.
///
/// # Panics
/// They do not, or it does not.
pub fn list(data: &[u8]) {
    let Some(([depth, count], rest)) = data.split_first_chunk() else { return };
    let depth = u32::from(*depth) % 12;
    let mut lengths: Vec<u64> = rest.iter().map(|byte| u64::from(*byte) % 16).collect();
    // Here and there a length that no memory holds.
    if *count == 0xff {
        lengths.iter_mut().step_by(3).for_each(|length| *length = length.wrapping_mul(u64::MAX / 7));
    }
    let taken = anyflow_abi::values_of(depth, &lengths);
    for count in [usize::from(*count) % NUMBERS, taken.unwrap_or(0).min(NUMBERS * NUMBERS)] {
        let owned = OwnedList::new(depth, vec![1.5; count], lengths.clone());
        assert_eq!(owned.is_some(), taken == Some(count), "depth {depth}, {count} numbers, {lengths:?}");
        let Some(owned) = owned else { continue };
        let feature = (0..depth).fold(Feature::Value("float64".into()), |item, _| Feature::List(Box::new(item)));
        let column = column_from_cells(&[Some(OwnedCell::List(owned)), None], &feature);
        assert_eq!(column.expect("a list that fits").len(), 2);
    }
}

/// Files of any number and length become a column.
///
/// # Panics
/// They do not.
pub fn files(data: &[u8]) {
    let files: Vec<Vec<u8>> = data.split(|byte| *byte == b'|').map(<[u8]>::to_vec).collect();
    let feature = Feature::List(Box::new(Feature::Image));
    let column = column_from_cells(&[Some(OwnedCell::Files(files)), None], &feature);
    assert_eq!(column.expect("files fit").len(), 2);
}
