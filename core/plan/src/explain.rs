//! Plans for people and for other programs.

mod diagram;
mod json;
mod layout;
mod mermaid;
mod model;
mod options;
mod run;
mod stages;
mod svg;
mod tasks;
mod words;

use crate::catalog::Catalog;
use crate::explain::options::Options;
use crate::plan::Job;

/// The format of a printed plan.
#[derive(Clone, Copy, Debug)]
pub enum Format<'c> {
    /// Lines for people, with the options that differ from their defaults. The catalog has the defaults of plugins.
    Text(&'c Catalog),
    /// Lines for people, with all options.
    Full,
    /// The plan as JSON, as the engine reads it.
    Json,
    /// A Mermaid flow chart.
    Mermaid,
    /// A diagram as SVG.
    Svg,
}

/// A plan in the given format, ending with a line break.
pub fn explain(job: &Job, format: Format) -> String {
    let options = match format {
        Format::Json => return json::job(job),
        Format::Mermaid => return mermaid::draw(&diagram::of(job)),
        Format::Svg => return svg::draw(&diagram::of(job)),
        Format::Text(catalog) => Options::Changed(catalog),
        Format::Full => Options::All,
    };
    match job {
        Job::Run(plan) => run::lines(plan, options),
        Job::Train(plan) => stages::lines(plan, options),
        Job::Eval(plan) => tasks::lines(plan, options),
    }
}
