//! A small line plot as SVG: one series, linear or logarithmic, drawn raw and smoothed.

use std::fmt::Write;

use maud::{Markup, PreEscaped, html};

use crate::progress::significant;

/// Size and number of ticks.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    width: f64,
    height: f64,
    ticks: usize,
}

/// A plot with a readable axis.
pub(super) const LARGE: Shape = Shape { width: 520.0, height: 200.0, ticks: 5 };
/// A plot that shows only the trend.
pub(super) const SMALL: Shape = Shape { width: 180.0, height: 84.0, ticks: 2 };

const LEFT: f64 = 46.0;
const BOTTOM: f64 = 18.0;
const TOP: f64 = 6.0;
const RIGHT: f64 = 10.0;
/// Maximum number of points drawn.
const MOST_POINTS: usize = 400;

struct Axis {
    low: f64,
    high: f64,
    logarithmic: bool,
}

impl Axis {
    /// A logarithmic axis if the values are positive and differ by more than a factor of 20.
    fn over(values: impl Iterator<Item = f64> + Clone, may_be_logarithmic: bool) -> Axis {
        let (low, high) = values.fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(v), high.max(v)));
        let logarithmic = may_be_logarithmic && low > 0.0 && high / low > 20.0;
        let (mut low, mut high) = if logarithmic { (low.log10(), high.log10()) } else { (low, high) };
        if high - low < 1e-12 * high.abs().max(1e-12) {
            let room = (high.abs() * 0.1).max(1e-6);
            (low, high) = (low - room, high + room);
        }
        Axis { low, high, logarithmic }
    }

    /// The position of a value on the axis, from 0 to 1.
    fn position(&self, value: f64) -> f64 {
        let value = if self.logarithmic { value.max(1e-300).log10() } else { value };
        (value - self.low) / (self.high - self.low)
    }

    /// Round values within the axis.
    fn ticks(&self, count: usize) -> Vec<f64> {
        let span = self.high - self.low;
        if self.logarithmic {
            let factors: &[f64] = if span < 2.5 && count > 2 { &[1.0, 2.0, 5.0] } else { &[1.0] };
            let decades = self.low.floor() as i32..=self.high.ceil() as i32;
            let all = decades.flat_map(|decade| factors.iter().map(move |factor| factor * 10_f64.powi(decade)));
            return all.filter(|tick| (-1e-9..=1.0 + 1e-9).contains(&self.position(*tick))).collect();
        }
        let rough = span / count.max(1) as f64;
        let decade = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * decade).into_iter().find(|step| *step >= rough * 0.999);
        let step = step.unwrap_or(10.0 * decade);
        let first = (self.low / step - 1e-9).ceil();
        (0..).map(|i| (first + f64::from(i)) * step).take_while(|tick| *tick <= self.high + step * 1e-9).collect()
    }
}

/// Plots finite points, sorted by x.
pub(super) fn line(points: &[(f64, f64)], shape: Shape) -> Markup {
    let points: Vec<(f64, f64)> = points.iter().copied().filter(|(x, y)| x.is_finite() && y.is_finite()).collect();
    let Some(last) = points.last() else { return html! { span.none { "no finite values" } } };
    let x_axis = Axis::over(points.iter().map(|point| point.0), false);
    let y_axis = Axis::over(points.iter().map(|point| point.1), true);
    let Shape { width, height, ticks } = shape;
    let x = |value| LEFT + (width - LEFT - RIGHT) * x_axis.position(value);
    let y = |value| height - BOTTOM - (height - BOTTOM - TOP) * y_axis.position(value);
    let path = |points: &[(f64, f64)]| {
        let mut d = String::new();
        for (i, point) in points.iter().enumerate() {
            let _ = write!(d, "{}{:.1} {:.1}", if i == 0 { "M" } else { "L" }, x(point.0), y(point.1));
        }
        d
    };
    let drawn = thinned(&points);
    let smooth = smoothed(&drawn);
    let mut svg = String::new();
    for tick in y_axis.ticks(ticks) {
        let at = y(tick);
        let right = width - RIGHT;
        let label = significant(tick);
        let _ = write!(svg, r#"<line class="grid" x1="{LEFT}" x2="{right}" y1="{at:.1}" y2="{at:.1}"/>"#);
        let _ = write!(svg, r#"<text x="{}" y="{:.1}" text-anchor="end">{label}</text>"#, LEFT - 6.0, at + 3.5);
    }
    for tick in x_axis.ticks(ticks) {
        let label = thousands(tick);
        let _ = write!(svg, r#"<text x="{:.1}" y="{:.1}" text-anchor="middle">{label}</text>"#, x(tick), height - 4.0);
    }
    let _ = write!(svg, r#"<path class="raw" d="{}"/><path class="line" d="{}"/>"#, path(&drawn), path(&smooth));
    let last = smooth.last().unwrap_or(last);
    let _ = write!(svg, r#"<circle class="dot" cx="{:.1}" cy="{:.1}" r="2.6"/>"#, x(last.0), y(last.1));
    html! { svg.plot viewBox={ "0 0 " (width) " " (height) } role="img" { (PreEscaped(svg)) } }
}

/// Reduces to at most [`MOST_POINTS`] by averaging neighbours.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let size = points.len().div_ceil(MOST_POINTS).max(1);
    let mean = |part: &[(f64, f64)]| {
        let count = part.len() as f64;
        (part.iter().map(|p| p.0).sum::<f64>() / count, part.iter().map(|p| p.1).sum::<f64>() / count)
    };
    points.chunks(size).map(mean).collect()
}

/// Moving average, centred to avoid lag except at the ends.
fn smoothed(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let half = points.len() / 40;
    let mean = |at: usize| {
        let window = &points[at.saturating_sub(half)..=(at + half).min(points.len() - 1)];
        (points[at].0, window.iter().map(|point| point.1).sum::<f64>() / window.len() as f64)
    };
    (0..points.len()).map(mean).collect()
}

/// `20k` for 20000.
fn thousands(value: f64) -> String {
    if value.abs() >= 1000.0 { format!("{}k", significant(value / 1000.0)) } else { significant(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        let axis = Axis::over([0.0, 20000.0].into_iter(), false);
        assert_eq!(axis.ticks(5), [0.0, 5000.0, 10000.0, 15000.0, 20000.0]);
        let axis = Axis::over([0.001, 0.9].into_iter(), true);
        assert!(axis.logarithmic);
        assert_eq!(axis.ticks(2).len(), 3);
    }

    #[test]
    fn constant_single_and_broken_series_are_drawn() {
        for points in [vec![(1.0, 2.0)], vec![(0.0, 0.0), (1.0, 0.0)], vec![(0.0, f64::NAN), (1.0, 3.0)]] {
            let svg = line(&points, LARGE).into_string();
            assert!(svg.contains("circle") && !svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
        assert!(line(&[(0.0, f64::INFINITY)], SMALL).into_string().contains("no finite"));
    }
}
