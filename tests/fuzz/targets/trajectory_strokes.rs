#![no_main]

use anyflow_sdk::{Cell, OwnedList};

/// Pairs of 32-bit floats as points, each byte of 0 in front of one beginning a stroke.
fn drawing(data: &[u8]) -> OwnedList {
    let mut strokes = vec![Vec::new()];
    for chunk in data.chunks_exact(9) {
        if chunk[0] == 0 {
            strokes.push(Vec::new());
        }
        let number =
            |at: usize| f64::from(f32::from_le_bytes([chunk[at], chunk[at + 1], chunk[at + 2], chunk[at + 3]]));
        strokes.last_mut().expect("one at least").push(OwnedList::numbers(vec![number(1), number(5)]));
    }
    let strokes: Vec<_> = strokes.iter().map(|points| OwnedList::lists(2, points).expect("points")).collect();
    OwnedList::lists(3, &strokes).expect("strokes")
}

anyflow_fuzz::target!(anyflow_trajectory::Strokes, |data| let drawing = drawing(data);
    Some(Cell::List(drawing.as_list())));
