//! The diagram as SVG, without scripts, in the viewer's sans-serif font.

use crate::explain::diagram::{Arrow, Box, Diagram, Look};
use crate::explain::layout::{LINE, Layout, PADDING, Rectangle, layout};

/// A whole SVG document.
pub(crate) fn draw(diagram: &Diagram) -> String {
    let Layout { boxes, width, height } = layout(diagram);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" \
         height=\"{height:.0}\" font-family=\"sans-serif\" font-size=\"13\" role=\"img\">\n<title>{}</title>\n{HEAD}",
        escaped(&diagram.title)
    );
    for arrow in &diagram.arrows {
        out.push_str(&curve(arrow, &boxes));
    }
    for (item, at) in diagram.boxes.iter().zip(&boxes) {
        out.push_str(&rectangle(item, at));
    }
    out + "</svg>\n"
}

const HEAD: &str = "<defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"7\" \
                    markerHeight=\"7\" orient=\"auto\"><path d=\"M0 0L8 4L0 8z\" fill=\"#667\"/></marker></defs>\n";

fn curve(arrow: &Arrow, boxes: &[Rectangle]) -> String {
    let from = boxes[arrow.from];
    let to = boxes[arrow.to];
    let x1 = from.x + from.width;
    let y1 = from.y + from.height / 2.0;
    let x2 = to.x;
    let y2 = to.y + to.height / 2.0;
    let middle = (x1 + x2) / 2.0;
    let mut out = format!(
        "<path d=\"M{x1:.0} {y1:.0}C{middle:.0} {y1:.0} {middle:.0} {y2:.0} {x2:.0} {y2:.0}\" fill=\"none\" \
         stroke=\"#667\" stroke-width=\"1.4\" marker-end=\"url(#tip)\"/>\n"
    );
    if !arrow.label.is_empty() {
        out.push_str(&format!(
            "<text x=\"{middle:.0}\" y=\"{:.0}\" text-anchor=\"middle\" font-size=\"11\" fill=\"#556\" stroke=\"#fff\" \
             stroke-width=\"3\" paint-order=\"stroke\">{}</text>\n",
            (y1 + y2) / 2.0 - 5.0,
            escaped(&arrow.label)
        ));
    }
    out
}

fn rectangle(item: &Box, at: &Rectangle) -> String {
    let Rectangle { x, y, width, height } = *at;
    let (fill, line, radius) = match item.look {
        Look::Data => ("#eef6ee", "#4a7c59", height / 2.0),
        Look::Work => ("#eef2fa", "#45649c", 4.0),
        Look::Engine => ("#fbf1e4", "#a8702a", 4.0),
    };
    let mut out = format!(
        "<rect x=\"{x:.0}\" y=\"{y:.0}\" width=\"{width:.0}\" height=\"{height:.0}\" rx=\"{radius:.0}\" \
         fill=\"{fill}\" stroke=\"{line}\"/>\n"
    );
    for (index, words) in item.lines.iter().enumerate() {
        let weight = if index == 0 { " font-weight=\"bold\"" } else { "" };
        let baseline = y + PADDING / 2.0 + LINE * (index as f64 + 0.75);
        let centre = x + width / 2.0;
        out.push_str(&format!(
            "<text x=\"{centre:.0}\" y=\"{baseline:.0}\" text-anchor=\"middle\"{weight} fill=\"#223\">{}</text>\n",
            escaped(words)
        ));
    }
    out
}

fn escaped(words: &str) -> String {
    words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
