use proptest::prelude::*;
use serde_json::json;

use super::*;

fn codec(points: usize) -> Strokes {
    Strokes::new(&Parameters::new(json!({"points": points}))).unwrap()
}

fn drawing(strokes: &[Vec<Point>]) -> OwnedList {
    let stroke = |points: &Vec<Point>| {
        let points: Vec<_> = points.iter().map(|point| OwnedList::numbers(point.to_vec())).collect();
        OwnedList::lists(2, &points).unwrap()
    };
    OwnedList::lists(3, &strokes.iter().map(stroke).collect::<Vec<_>>()).unwrap()
}

fn encoded(codec: &Strokes, strokes: &[Vec<Point>]) -> Result<Vec<f32>, Error> {
    let mut array = vec![0.0; codec.points * COORDINATES];
    codec.encode(Cell::List(drawing(strokes).as_list()), &mut array).map(|()| array)
}

fn decoded(codec: &Strokes, array: &[f32]) -> Vec<Vec<Point>> {
    match codec.decode(array).unwrap() {
        OwnedCell::List(list) => strokes_from_list(list.as_list()).unwrap(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_cross_keeps_its_two_strokes() {
    let codec = codec(6);
    let cross = [vec![[100.0, 200.0], [100.0, 400.0]], vec![[50.0, 300.0], [150.0, 300.0]]];
    let array = encoded(&codec, &cross).unwrap();
    let third = 1.0 / 3.0f32;
    let rows =
        [[0.0, -1.0, 1.0], [0.0, -third, 1.0], [0.0, third, 1.0], [0.0, 1.0, 1.0], [-0.5, 0.0, -1.0], [0.5, 0.0, -1.0]];
    for (found, wanted) in array.iter().zip(rows.as_flattened()) {
        assert!((found - wanted).abs() < 1e-6, "{array:?}"); // f32
    }
    let back = decoded(&codec, &array);
    assert_eq!(back.iter().map(Vec::len).collect::<Vec<_>>(), [4, 2]);
    assert_eq!(back[1], [[-0.5, 0.0], [0.5, 0.0]]);
}

#[test]
fn invalid_drawings_fail_their_row() {
    let codec = codec(4);
    let dot = || vec![[0.0, 0.0]];
    let cases = [
        (vec![], "no points"),
        (vec![vec![]], "no points"),
        (vec![dot(), dot(), dot()], "3 strokes need more than 4 points"),
        (vec![vec![[f64::NAN, 0.0]]], "not finite"),
        (vec![vec![[-f64::MAX, 0.0], [f64::MAX, 0.0]]], ""),
    ];
    for (strokes, said) in cases {
        match encoded(&codec, &strokes) {
            Err(Error::Data(text)) => assert!(!said.is_empty() && text.contains(said), "{text}"),
            Err(other) => panic!("{other}"),
            Ok(array) => assert!(said.is_empty() && array.iter().all(|value| value.is_finite()), "{array:?}"),
        }
    }
    let flat = OwnedList::numbers(vec![1.0]);
    assert!(codec.encode(Cell::List(flat.as_list()), &mut [0.0; 12]).is_err());
    let three = OwnedList::lists(2, &[OwnedList::numbers(vec![1.0, 2.0, 3.0])]).unwrap();
    let drawing = OwnedList::lists(3, &[three]).unwrap();
    let text = codec.encode(Cell::List(drawing.as_list()), &mut [0.0; 12]).unwrap_err().to_string();
    assert!(text.contains("3 coordinates"), "{text}");
    assert!(codec.decode(&[f32::NAN; 12]).is_err());
}

#[test]
fn impossible_numbers_of_points_are_refused() {
    for points in [0, 1, 5000] {
        assert!(Strokes::new(&Parameters::new(json!({"points": points}))).is_err(), "{points}");
    }
}

proptest! {
    /// A decoded drawing encodes to itself, because it is resampled already.
    #[test]
    fn a_straight_drawing_comes_back(
        ends in prop::collection::vec(prop::array::uniform4(-500.0..500.0f64), 1..5),
    ) {
        let strokes: Vec<Vec<Point>> = ends.iter().map(|[a, b, c, d]| vec![[*a, *b], [*c, *d]]).collect();
        let codec = codec(24);
        let array = encoded(&codec, &strokes).unwrap();
        let back = decoded(&codec, &array);
        prop_assert_eq!(back.len(), strokes.len());
        let twice = encoded(&codec, &back).unwrap();
        for (a, b) in array.iter().zip(&twice) {
            prop_assert!((a - b).abs() < 1e-4, "{a} {b}"); // f32
        }
    }
}
