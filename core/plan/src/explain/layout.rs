//! Where boxes lie: in layers from left to right, each as far left as what it needs allows.

use crate::explain::picture::Picture;

/// Width of a character of the font that is drawn, on the safe side.
const CHARACTER: f64 = 7.2;
/// Height of a line.
pub(crate) const LINE: f64 = 17.0;
/// Space between a box and what is in it.
pub(crate) const PADDING: f64 = 10.0;
const GAP: f64 = 22.0;
const MARGIN: f64 = 20.0;
const LEAST_BETWEEN: f64 = 60.0;

/// A rectangle.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Rectangle {
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub height: f64,
}

/// The rectangles of all boxes, and the size of the whole.
pub(crate) fn place(picture: &Picture) -> (Vec<Rectangle>, f64, f64) {
    let layers = layers(picture);
    let mut places: Vec<Rectangle> = picture.boxes.iter().map(|item| size(&item.lines)).collect();
    let height = |layer: &[usize], places: &[Rectangle]| -> f64 {
        layer.iter().map(|index| places[*index].height + GAP).sum::<f64>() - GAP
    };
    let tallest = layers.iter().map(|layer| height(layer, &places)).fold(0.0, f64::max);
    let mut x = MARGIN;
    for (depth, layer) in layers.iter().enumerate() {
        let mut y = MARGIN + (tallest - height(layer, &places)) / 2.0;
        let width = layer.iter().map(|index| places[*index].width).fold(0.0, f64::max);
        for index in layer {
            let place = &mut places[*index];
            (place.x, place.y, place.width) = (x, y, width);
            y += place.height + GAP;
        }
        x += width + between(picture, layer, depth, &layers);
    }
    let right = places.iter().map(|place| place.x + place.width).fold(0.0, f64::max);
    (places, right + MARGIN, tallest + 2.0 * MARGIN)
}

fn size(lines: &[String]) -> Rectangle {
    let longest = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0);
    let width = longest as f64 * CHARACTER + 2.0 * PADDING;
    Rectangle { x: 0.0, y: 0.0, width, height: lines.len() as f64 * LINE + PADDING }
}

/// Room for the labels of the arrows that leave a layer.
fn between(picture: &Picture, layer: &[usize], depth: usize, layers: &[Vec<usize>]) -> f64 {
    if depth + 1 == layers.len() {
        return 0.0;
    }
    let leaving = picture.arrows.iter().filter(|arrow| layer.contains(&arrow.from));
    let longest = leaving.map(|arrow| arrow.label.chars().count()).max().unwrap_or(0);
    (longest as f64 * CHARACTER * 0.85 + 24.0).max(LEAST_BETWEEN)
}

/// Boxes by depth: the longest way from a box that needs nothing. In a layer, boxes lie in the order of what they need.
fn layers(picture: &Picture) -> Vec<Vec<usize>> {
    let mut depth = vec![0usize; picture.boxes.len()];
    // Each round carries the depths one arrow further; there are no cycles in a plan.
    for _ in 0..picture.boxes.len() {
        for arrow in &picture.arrows {
            depth[arrow.to] = depth[arrow.to].max((depth[arrow.from] + 1).min(picture.boxes.len()));
        }
    }
    let deepest = depth.iter().copied().max().unwrap_or(0);
    let mut layers: Vec<Vec<usize>> = Vec::new();
    let mut rank = vec![0.0; picture.boxes.len()];
    for level in 0..=deepest {
        let mut layer: Vec<usize> = (0..depth.len()).filter(|index| depth[*index] == level).collect();
        let centre = |index: usize| {
            let from: Vec<f64> =
                picture.arrows.iter().filter(|arrow| arrow.to == index).map(|arrow| rank[arrow.from]).collect();
            if from.is_empty() { 0.0 } else { from.iter().sum::<f64>() / from.len() as f64 }
        };
        layer.sort_by(|a, b| centre(*a).total_cmp(&centre(*b)).then(a.cmp(b)));
        for (position, index) in layer.iter().enumerate() {
            rank[*index] = (position as f64 + 0.5) / layer.len() as f64;
        }
        layers.push(layer);
    }
    layers
}
