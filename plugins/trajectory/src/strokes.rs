//! The codec `strokes`: a drawing <-> a fixed number of points.

use anyflow_sdk::{Cell, Codec, CodecDescriptor, Error, List, OwnedCell, OwnedList, Parameters, descriptor::*};

use crate::resample::{FEWEST, Point, resample};

/// A list of strokes, each a list of points `[x, y]` <-> points evenly spaced along the trajectory.
///
/// The array is `[point, coordinate]` with three coordinates. x and y are shifted and scaled so that the drawing fits
/// the square from -1 to 1 and touches two of its sides. The third is the stroke: 1 for the first, third .., -1 for the
/// second, fourth .. A stroke starts where that sign changes. A smoothing network keeps such a step, but would lose the
/// spike of a pen lift at a single point.
pub struct Strokes {
    points: usize,
}

#[derive(serde::Deserialize)]
struct Config {
    points: usize,
}

/// Coordinates of a point: x, y, stroke.
const COORDINATES: usize = 3;
/// Largest number of points.
const MOST: usize = 4096;

impl Codec for Strokes {
    type Element = f32;

    const DESCRIPTOR: CodecDescriptor = CodecDescriptor {
        id: "strokes",
        modality: "trajectory",
        summary: "list of strokes <-> points evenly spaced along them",
        cell: CellKind::List(3),
        feature: "List(List(List(Value(float32))))",
        array: f32_port(&[axis_of("point", "points"), fixed("coordinate", COORDINATES as i64)]),
        parameters: r#"{"points": {"type": "integer", "minimum": 2, "maximum": 4096, "default": 32}}"#,
    };

    fn new(parameters: &Parameters) -> Result<Self, Error> {
        let Config { points } = parameters.read()?;
        if !(FEWEST..=MOST).contains(&points) {
            return Err(Error::Parameters(format!("points is {points}; it must be from {FEWEST} to {MOST}")));
        }
        Ok(Strokes { points })
    }

    fn encode(&self, cell: Cell<'_>, array: &mut [f32]) -> Result<(), Error> {
        let mut strokes = strokes_from_list(cell.list()?)?;
        fit(&mut strokes)?;
        let few = || Error::Data(format!("{} strokes need more than {} points", strokes.len(), self.points));
        let resampled = resample(&strokes, self.points).ok_or_else(few)?;
        let mut out = array.chunks_exact_mut(COORDINATES);
        for (stroke, sign) in resampled.iter().zip([1.0, -1.0].into_iter().cycle()) {
            for ([x, y], out) in stroke.iter().zip(&mut out) {
                out.copy_from_slice(&[*x as f32, *y as f32, sign]);
            }
        }
        Ok(())
    }

    fn decode(&self, array: &[f32]) -> Result<OwnedCell, Error> {
        if array.iter().any(|value| !value.is_finite()) {
            return Err(Error::data("a coordinate is not a number"));
        }
        let points: Vec<&[f32]> = array.chunks_exact(COORDINATES).collect();
        let same_stroke = |a: &&[f32], b: &&[f32]| (a[2] < 0.0) == (b[2] < 0.0);
        let point = |at: &&[f32]| OwnedList::numbers(at[..2].iter().map(|value| f64::from(*value)).collect());
        let stroke = |points: &[&[f32]]| OwnedList::lists(2, &points.iter().map(point).collect::<Vec<_>>());
        let strokes: Vec<OwnedList> = points.chunk_by(same_stroke).map(stroke).collect::<Result<_, _>>()?;
        OwnedList::lists(3, &strokes).map(OwnedCell::List)
    }
}

/// The strokes that have points, as vectors.
fn strokes_from_list(drawing: List<'_>) -> Result<Vec<Vec<Point>>, Error> {
    let mut strokes = Vec::with_capacity(drawing.len());
    for stroke in drawing.lists()?.filter(|stroke| !stroke.is_empty()) {
        let point = |point: List<'_>| match point.numbers()? {
            [x, y] if x.is_finite() && y.is_finite() => Ok([*x, *y]),
            [x, y] => Err(Error::Data(format!("the point [{x}, {y}] is not finite"))),
            other => Err(Error::Data(format!("a point has {} coordinates instead of x and y", other.len()))),
        };
        strokes.push(stroke.lists()?.map(point).collect::<Result<_, _>>()?);
    }
    if strokes.is_empty() {
        return Err(Error::data("the drawing has no points"));
    }
    Ok(strokes)
}

/// Moves the middle of the drawing to 0 and scales its larger side to 2. A single point keeps its size.
fn fit(strokes: &mut [Vec<Point>]) -> Result<(), Error> {
    let bounds = |axis: usize| {
        let along = strokes.iter().flatten().map(|point| point[axis]);
        along.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), at| (low.min(at), high.max(at)))
    };
    let (left, right) = bounds(0);
    let (low, high) = bounds(1);
    let middle = [left / 2.0 + right / 2.0, low / 2.0 + high / 2.0];
    let half = (right / 2.0 - left / 2.0).max(high / 2.0 - low / 2.0);
    if !half.is_finite() {
        return Err(Error::data("the drawing is too large"));
    }
    let scale = if half > 0.0 { half } else { 1.0 };
    for (value, middle) in strokes.iter_mut().flatten().flat_map(|point| point.iter_mut().zip(middle)) {
        *value = (*value - middle) / scale;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
