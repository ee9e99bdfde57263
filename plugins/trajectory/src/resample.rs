//! Resamples strokes to a given total number of points, evenly spaced along the trajectory.

/// A point `[x, y]` of a stroke.
pub type Point = [f64; 2];

/// The fewest points of a resampled stroke: its first and its last.
pub const FEWEST: usize = 2;

/// Resamples `strokes` to `points` points in total. The points of a stroke are evenly spaced along it, and its ends are
/// kept. Longer strokes get more points. `None` if there are too few points for the strokes, or a stroke is empty.
pub fn resample(strokes: &[Vec<Point>], points: usize) -> Option<Vec<Vec<Point>>> {
    if strokes.is_empty() || strokes.iter().any(Vec::is_empty) {
        return None;
    }
    let lengths: Vec<f64> = strokes.iter().map(|stroke| length(stroke)).collect();
    let counts = shares(&lengths, points)?;
    Some(strokes.iter().zip(counts).map(|(stroke, count)| along(stroke, count)).collect())
}

/// The length of a stroke.
pub fn length(stroke: &[Point]) -> f64 {
    stroke.windows(2).map(|pair| distance(pair[0], pair[1])).sum()
}

fn distance(a: Point, b: Point) -> f64 {
    (a[0] - b[0]).hypot(a[1] - b[1])
}

/// The number of points of each stroke: at least [`FEWEST`]. The others go, one by one, to the stroke with the widest
/// gaps.
fn shares(lengths: &[f64], points: usize) -> Option<Vec<usize>> {
    let rest = points.checked_sub(FEWEST * lengths.len())?;
    let mut counts = vec![FEWEST; lengths.len()];
    for _ in 0..rest {
        let gap = |stroke: &usize| lengths[*stroke] / (counts[*stroke] - 1) as f64;
        let widest = (0..lengths.len()).max_by(|a, b| gap(a).total_cmp(&gap(b)).then(b.cmp(a)))?;
        counts[widest] += 1;
    }
    Some(counts)
}

/// `count` points evenly spaced along `stroke`, from its first to its last point.
fn along(stroke: &[Point], count: usize) -> Vec<Point> {
    let step = length(stroke) / (count - 1) as f64;
    let last = stroke.len() - 1;
    let mut segment = 0;
    let mut passed = 0.0;
    let mut point = |n: usize| {
        let wanted = step * n as f64;
        while segment < last {
            let long = distance(stroke[segment], stroke[segment + 1]);
            if passed + long >= wanted && long > 0.0 {
                let t = ((wanted - passed) / long).clamp(0.0, 1.0);
                let a = stroke[segment];
                let b = stroke[segment + 1];
                return [a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1])];
            }
            passed += long;
            segment += 1;
        }
        stroke[last]
    };
    (0..count).map(&mut point).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_is_resampled_evenly() {
        let line = vec![[0.0, 0.0], [0.5, 0.0], [0.5, 0.0], [2.0, 0.0]];
        assert_eq!(resample(&[line], 5), Some(vec![vec![[0.0, 0.0], [0.5, 0.0], [1.0, 0.0], [1.5, 0.0], [2.0, 0.0]]]));
    }

    #[test]
    fn longer_strokes_get_more_points() {
        let strokes = [vec![[0.0, 0.0], [9.0, 0.0]], vec![[0.0, 1.0], [3.0, 1.0]], vec![[5.0, 5.0]]];
        let counts: Vec<usize> = resample(&strokes, 16).unwrap().iter().map(Vec::len).collect();
        assert_eq!(counts, [10, 4, 2]);
    }

    #[test]
    fn too_many_strokes_are_refused() {
        let dot = vec![[0.0, 0.0]];
        assert_eq!(resample(&vec![dot.clone(); 5], 9), None);
        assert!(resample(&vec![dot.clone(); 5], 10).is_some());
        assert_eq!(resample(&[], 9), None);
        assert_eq!(resample(&[dot, vec![]], 9), None);
    }

    proptest! {
        #[test]
        fn ends_are_kept_and_strokes_do_not_grow(
            strokes in prop::collection::vec(prop::collection::vec(prop::array::uniform2(-9.0..9.0f64), 1..20), 1..5),
        ) {
            let resampled = resample(&strokes, 40).unwrap();
            prop_assert_eq!(resampled.iter().map(Vec::len).sum::<usize>(), 40);
            for (stroke, drawn) in strokes.iter().zip(&resampled) {
                prop_assert!(distance(stroke[0], drawn[0]) < 1e-9);
                prop_assert!(distance(stroke[stroke.len() - 1], drawn[drawn.len() - 1]) < 1e-9);
                prop_assert!(length(drawn) <= length(stroke) + 1e-9);
            }
        }
    }
}
