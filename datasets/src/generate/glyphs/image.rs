//! Draws a digit in grey on black: one of its forms, bent, slanted and drawn with a pen of random width.

use super::forms::FORMS;
use crate::draw::Draws;

/// Pixels a side.
pub(super) const SIDE: usize = 28;
/// Straight pieces between two points of a curve.
const PIECES: usize = 6;

type Point = (f64, f64);

/// The pixels, row by row.
pub(in crate::generate) fn draw(digit: usize, draws: &mut Draws) -> Vec<u8> {
    let segments = segments(digit, draws);
    let half_width = draws.between(0.7, 1.5);
    let softness = draws.between(0.5, 1.0);
    let ink = draws.between(215.0, 255.0);
    let shade = |pixel: usize| {
        let at = ((pixel % SIDE) as f64 + 0.5, (pixel / SIDE) as f64 + 0.5);
        let square = segments.iter().map(|(a, b)| square_distance(at, *a, *b)).fold(f64::INFINITY, f64::min);
        // 1 inside the stroke, falling to 0 over twice the softness: the blur of pen and scanner.
        let depth = ((half_width + softness - square.sqrt()) / (2.0 * softness)).clamp(0.0, 1.0);
        (ink * depth * depth * (3.0 - 2.0 * depth)).round() as u8
    };
    (0..SIDE * SIDE).map(shade).collect()
}

/// The strokes as straight pieces, in pixels.
fn segments(digit: usize, draws: &mut Draws) -> Vec<(Point, Point)> {
    let form = draws.choose(FORMS[digit]);
    let wobble: Vec<Point> = (0..4).map(|_| (draws.between(-0.05, 0.05), draws.between(-0.05, 0.05))).collect();
    let turn = draws.between(-0.17, 0.17);
    let slant = draws.between(-0.1, 0.3);
    let width = draws.between(10.5, 15.5);
    let height = draws.between(16.5, 19.5);
    let centre = (14.0 + draws.between(-1.0, 1.0), 14.0 + draws.between(-1.0, 1.0));
    let (sine, cosine) = turn.sin_cos();
    let place = |(x, y): Point| {
        let (dx, dy) = bend((x, y), &wobble);
        let x = (x + dx - 0.5) * width;
        let y = (y + dy - 0.5) * height;
        let x = x - slant * y;
        (centre.0 + cosine * x - sine * y, centre.1 + sine * x + cosine * y)
    };
    let curve = |stroke: &&[Point]| smooth(stroke).into_iter().map(place).collect::<Vec<_>>();
    form.iter().flat_map(|stroke| curve(stroke).windows(2).map(|w| (w[0], w[1])).collect::<Vec<_>>()).collect()
}

/// Displacement of a point, interpolated from those of the box's corners, so that strokes stay connected.
fn bend((x, y): Point, corners: &[Point]) -> Point {
    let weights = [(1.0 - x) * (1.0 - y), x * (1.0 - y), (1.0 - x) * y, x * y];
    let sum = |of: fn(&Point) -> f64| weights.iter().zip(corners).map(|(w, corner)| w * of(corner)).sum::<f64>() * 2.0;
    (sum(|corner| corner.0), sum(|corner| corner.1))
}

/// A Catmull-Rom curve through the points, with doubled ends.
fn smooth(points: &[Point]) -> Vec<Point> {
    let at = |i: isize| points[i.clamp(0, points.len() as isize - 1) as usize];
    let mut curve = vec![points[0]];
    for i in 0..points.len() as isize - 1 {
        let [a, b, c, d] = [i - 1, i, i + 1, i + 2].map(at);
        for piece in 1..=PIECES {
            let t = piece as f64 / PIECES as f64;
            let mix = |a: f64, b: f64, c: f64, d: f64| {
                let linear = c - a;
                let square = 2.0 * a - 5.0 * b + 4.0 * c - d;
                0.5 * (2.0 * b + t * (linear + t * (square + t * (3.0 * b - a - 3.0 * c + d))))
            };
            curve.push((mix(a.0, b.0, c.0, d.0), mix(a.1, b.1, c.1, d.1)));
        }
    }
    curve
}

/// Squared distance of a point from a line segment.
fn square_distance(p: Point, a: Point, b: Point) -> f64 {
    let ax = p.0 - a.0;
    let ay = p.1 - a.1;
    let bx = b.0 - a.0;
    let by = b.1 - a.1;
    let length = bx * bx + by * by;
    let t = if length > 0.0 { ((ax * bx + ay * by) / length).clamp(0.0, 1.0) } else { 0.0 };
    (ax - t * bx).powi(2) + (ay - t * by).powi(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_digit_is_drawn_inside_the_image() {
        for (digit, index) in (0..10).flat_map(|digit| (0..40).map(move |index| (digit, index))) {
            let pixels = draw(digit, &mut Draws::new("test", 0, "picture", index));
            let ink = pixels.iter().filter(|pixel| **pixel > 128).count();
            assert!((25..330).contains(&ink), "digit {digit}, {index}: {ink} bright pixels");
            let border = (0..SIDE).flat_map(|i| [i, 27 * SIDE + i, i * SIDE, i * SIDE + 27]);
            assert!(border.map(|at| pixels[at]).max() < Some(60), "digit {digit}, {index} leaves the image");
        }
    }

    #[test]
    fn curves_run_through_their_points() {
        let points = [(0.0, 0.0), (0.5, 1.0), (1.0, 0.0)];
        let curve = smooth(&points);
        assert!(points.iter().enumerate().all(|(i, point)| curve[i * PIECES] == *point));
        assert_eq!(smooth(&[(0.0, 0.0), (1.0, 1.0)]).len(), PIECES + 1);
    }
}
