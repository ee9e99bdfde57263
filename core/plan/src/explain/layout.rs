//! Layout of boxes in layers from left to right, each box as far left as its inputs allow.

use crate::explain::diagram::Diagram;

/// Upper bound of the width of a character in the drawn font.
const CHARACTER: f64 = 7.2;
/// Height of a line.
pub(crate) const LINE: f64 = 17.0;
/// Space between a box and its text.
pub(crate) const PADDING: f64 = 10.0;
const GAP: f64 = 22.0;
const MARGIN: f64 = 20.0;
const MIN_BETWEEN: f64 = 60.0;

/// A rectangle.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Rectangle {
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub height: f64,
}

/// The rectangles of all boxes, and the size of the diagram.
pub(crate) struct Layout {
    pub boxes: Vec<Rectangle>,
    pub width: f64,
    pub height: f64,
}

/// Computes the layout of a diagram.
pub(crate) fn layout(diagram: &Diagram) -> Layout {
    let layers = layers(diagram);
    let mut boxes: Vec<Rectangle> = diagram.boxes.iter().map(|item| size(&item.lines)).collect();
    let height = |layer: &[usize], boxes: &[Rectangle]| -> f64 {
        layer.iter().map(|index| boxes[*index].height + GAP).sum::<f64>() - GAP
    };
    let tallest = layers.iter().map(|layer| height(layer, &boxes)).fold(0.0, f64::max);
    let mut x = MARGIN;
    for (depth, layer) in layers.iter().enumerate() {
        let mut y = MARGIN + (tallest - height(layer, &boxes)) / 2.0;
        let width = layer.iter().map(|index| boxes[*index].width).fold(0.0, f64::max);
        for index in layer {
            let rectangle = &mut boxes[*index];
            rectangle.x = x;
            rectangle.y = y;
            rectangle.width = width;
            y += rectangle.height + GAP;
        }
        x += width + between(diagram, layer, depth, &layers);
    }
    let right = boxes.iter().map(|rectangle| rectangle.x + rectangle.width).fold(0.0, f64::max);
    Layout { boxes, width: right + MARGIN, height: tallest + 2.0 * MARGIN }
}

fn size(lines: &[String]) -> Rectangle {
    let longest = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0);
    let width = longest as f64 * CHARACTER + 2.0 * PADDING;
    Rectangle { x: 0.0, y: 0.0, width, height: lines.len() as f64 * LINE + PADDING }
}

/// Room for the labels of the arrows that leave a layer.
fn between(diagram: &Diagram, layer: &[usize], depth: usize, layers: &[Vec<usize>]) -> f64 {
    if depth + 1 == layers.len() {
        return 0.0;
    }
    let leaving = diagram.arrows.iter().filter(|arrow| layer.contains(&arrow.from));
    let longest = leaving.map(|arrow| arrow.label.chars().count()).max().unwrap_or(0);
    (longest as f64 * CHARACTER * 0.85 + 24.0).max(MIN_BETWEEN)
}

/// Boxes by depth: the longest path from a box without inputs. Boxes of a layer are in the order of their inputs.
fn layers(diagram: &Diagram) -> Vec<Vec<usize>> {
    let mut depth = vec![0usize; diagram.boxes.len()];
    // Each round moves the depths one arrow further. A plan has no cycles.
    for _ in 0..diagram.boxes.len() {
        for arrow in &diagram.arrows {
            depth[arrow.to] = depth[arrow.to].max((depth[arrow.from] + 1).min(diagram.boxes.len()));
        }
    }
    let deepest = depth.iter().copied().max().unwrap_or(0);
    let mut layers: Vec<Vec<usize>> = Vec::new();
    let mut rank = vec![0.0; diagram.boxes.len()];
    for level in 0..=deepest {
        let mut layer: Vec<usize> = (0..depth.len()).filter(|index| depth[*index] == level).collect();
        let centre = |index: usize| {
            let from: Vec<f64> =
                diagram.arrows.iter().filter(|arrow| arrow.to == index).map(|arrow| rank[arrow.from]).collect();
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
