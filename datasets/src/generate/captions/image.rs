//! Paints a grey shape in colour at the left, centre or right of a dark, uneven background.

use crate::draw::Draws;

/// Pixels a side.
pub(super) const SIDE: usize = 32;
/// Pixels a side of a shape.
pub(super) const SHAPE: usize = 28;
/// Red, green, blue of the colours, from 0 to 1.
const COLOURS: [[f64; 3]; 6] =
    [[0.9, 0.1, 0.1], [0.1, 0.8, 0.15], [0.2, 0.3, 1.0], [0.95, 0.9, 0.1], [0.65, 0.15, 0.85], [0.1, 0.85, 0.9]];
/// The x coordinate of the middle of the shape, in pixels.
const MIDDLES: [f64; 3] = [9.5, 16.0, 22.5];

/// The RGB pixels, row by row.
pub(super) fn paint(shape: &[u8], colour: usize, position: usize, draws: &mut Draws) -> Vec<u8> {
    let scale = draws.between(0.8, 0.95);
    let middle = (MIDDLES[position] + draws.between(-1.0, 1.0), 16.0 + draws.between(-3.0, 3.0));
    let paint = COLOURS[colour].map(|share| share + draws.between(-0.1, 0.1));
    let ground: Vec<[f64; 3]> = (0..4).map(|_| [0.0; 3].map(|_| draws.between(0.0, 0.25))).collect();
    let mut pixels = Vec::with_capacity(SIDE * SIDE * 3);
    for (y, x) in (0..SIDE).flat_map(|y| (0..SIDE).map(move |x| (y, x))) {
        let ink = ink(shape, scale, (x as f64 + 0.5 - middle.0, y as f64 + 0.5 - middle.1));
        let u = (x as f64 + 0.5) / SIDE as f64;
        let v = (y as f64 + 0.5) / SIDE as f64;
        for part in 0..3 {
            let corner = |index: usize| ground[index][part];
            let top = corner(0) * (1.0 - u) + corner(1) * u;
            let bottom = corner(2) * (1.0 - u) + corner(3) * u;
            let below = top * (1.0 - v) + bottom * v + draws.between(-0.03, 0.03);
            let value = below * (1.0 - ink) + paint[part] * ink;
            pixels.push((value.clamp(0.0, 1.0) * 255.0).round() as u8);
        }
    }
    pixels
}

/// The opacity of the shape at an offset from its middle, from 0 to 1: interpolated at four points of a pixel, and
/// averaged.
fn ink(shape: &[u8], scale: f64, (dx, dy): (f64, f64)) -> f64 {
    let points = [(-0.25, -0.25), (0.25, -0.25), (-0.25, 0.25), (0.25, 0.25)];
    let sum: f64 = points.iter().map(|(px, py)| between(shape, (dx + px) / scale, (dy + py) / scale)).sum();
    sum / points.len() as f64
}

/// Bilinear interpolation; zero outside.
fn between(shape: &[u8], dx: f64, dy: f64) -> f64 {
    let x = dx + SHAPE as f64 / 2.0 - 0.5;
    let y = dy + SHAPE as f64 / 2.0 - 0.5;
    let left = x.floor();
    let top = y.floor();
    let at = |column: f64, row: f64| {
        let inside = (0.0..SHAPE as f64).contains(&column) && (0.0..SHAPE as f64).contains(&row);
        if inside { f64::from(shape[row as usize * SHAPE + column as usize]) / 255.0 } else { 0.0 }
    };
    let u = x - left;
    let v = y - top;
    let mix = |row: f64| at(left, row) * (1.0 - u) + at(left + 1.0, row) * u;
    mix(top) * (1.0 - v) + mix(top + 1.0) * v
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shape_has_its_position_and_colour() {
        let mut shape = vec![0u8; SHAPE * SHAPE];
        (6..22).flat_map(|y| (9..19).map(move |x| y * SHAPE + x)).for_each(|pixel| shape[pixel] = 255);
        for (colour, position) in (0..6).flat_map(|colour| (0..3).map(move |position| (colour, position))) {
            let pixels = paint(&shape, colour, position, &mut Draws::new("test", 1, "picture", colour as u64));
            let mut weight = 0.0;
            let mut middle = 0.0;
            let mut sum = [0.0; 3];
            for (index, pixel) in pixels.chunks(3).enumerate() {
                let bright = f64::from(pixel.iter().copied().max().unwrap_or(0)) / 255.0;
                if bright > 0.5 {
                    weight += 1.0;
                    middle += (index % SIDE) as f64 + 0.5;
                    (0..3).for_each(|part| sum[part] += f64::from(pixel[part]) / 255.0);
                }
            }
            assert!((middle / weight - MIDDLES[position]).abs() < 1.6, "position {position}");
            let off = (0..3).map(|part| (sum[part] / weight - COLOURS[colour][part]).abs()).fold(0.0, f64::max);
            assert!(off < 0.25, "colour {colour}: {off}");
        }
    }
}
