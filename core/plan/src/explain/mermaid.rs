//! The diagram as a Mermaid flow chart.

use crate::explain::diagram::{Diagram, Look};

/// A flow chart from left to right.
pub(crate) fn draw(diagram: &Diagram) -> String {
    let mut out = String::from("flowchart LR\n");
    for (index, item) in diagram.boxes.iter().enumerate() {
        let (open, close) = match item.look {
            Look::Data => ("([", "])"),
            Look::Work => ("[", "]"),
            Look::Engine => ("{{", "}}"),
        };
        let label: Vec<String> = item.lines.iter().map(|line| escaped(line)).collect();
        out.push_str(&format!("  n{index}{open}\"{}\"{close}\n", label.join("<br/>")));
    }
    for arrow in &diagram.arrows {
        let label = if arrow.label.is_empty() { String::new() } else { format!("|\"{}\"|", escaped(&arrow.label)) };
        out.push_str(&format!("  n{} -->{label} n{}\n", arrow.from, arrow.to));
    }
    out
}

fn escaped(line: &str) -> String {
    line.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;").replace('>', "&gt;")
}
