//! Plans for people and for other programs.

mod json;
mod layout;
mod mermaid;
mod picture;
mod run;
mod stages;
mod svg;
mod tasks;
mod words;

use crate::plan::Job;

/// How a plan is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Lines for people.
    Text,
    /// The plan itself.
    Json,
    /// A mermaid flow chart.
    Mermaid,
    /// A picture.
    Svg,
}

/// A plan in the given format, ending with a line break.
pub fn explain(job: &Job, format: Format) -> String {
    match format {
        Format::Json => json::job(job),
        Format::Mermaid => mermaid::draw(&picture::of(job)),
        Format::Svg => svg::draw(&picture::of(job)),
        Format::Text => match job {
            Job::Run(plan) => run::lines(plan),
            Job::Train(plan) => stages::lines(plan),
            Job::Eval(plan) => tasks::lines(plan),
        },
    }
}
