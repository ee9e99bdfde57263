//! Which classes the judges predict for which true classes.

use anyflow_plan::findings::{Confusion, Findings};
use maud::{Markup, html};

/// A panel per task, stream and variant with counted predictions.
pub(super) fn panels(findings: &Findings) -> Markup {
    let mut tables = Vec::new();
    for (task, found) in &findings.tasks {
        for (variant, answer) in &found.variants {
            let of_task = answer.confusion.iter().map(|confusion| (task.clone(), confusion));
            let of_streams = answer
                .streams
                .iter()
                .filter_map(|(stream, found)| Some((format!("{task}, {stream}"), found.confusion.as_ref()?)));
            for (name, confusion) in of_task.chain(of_streams) {
                let variant = if findings.variants.len() > 1 { format!(", {variant}") } else { String::new() };
                tables.push((format!("{name}{variant}"), confusion));
            }
        }
    }
    html! { div.more {
        @for (name, confusion) in tables {
            details {
                summary { "Predicted classes of " (name) }
                div.inside { (table(confusion)) }
            }
        }
    } }
}

fn table(confusion: &Confusion) -> Markup {
    html! {
        p.dim { "Each row is a true class, each column a predicted class; numbers are generated rows." }
        div.wide { table.confusion {
            thead { tr { th { "" } @for class in &confusion.classes { th { (class) } } } }
            tbody { @for (truth, counts) in confusion.rows.iter().enumerate() { tr {
                th scope="row" { (confusion.classes.get(truth).map_or("", String::as_str)) }
                @for (predicted, count) in counts.iter().enumerate() { (cell(*count, counts, truth == predicted)) }
            } } }
        } }
    }
}

/// A count, shaded by its share of the true class.
fn cell(count: u64, of_class: &[u64], is_right: bool) -> Markup {
    let all = of_class.iter().sum::<u64>().max(1);
    let share = format!("{:.2}", count as f64 / all as f64);
    html! {
        td.right[is_right] style={ "--share: " (share) } { @if count == 0 { span.dim { "·" } } @else { (count) } }
    }
}
