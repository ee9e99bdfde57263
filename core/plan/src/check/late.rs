//! Rule: where a sampler begins late, every stream that is diffused and generated begins from something.

use serde_json::Value as Json;

use crate::error::Report;
use crate::graph::ModelGraph;
use crate::problem::Problem;
use crate::source::Span;

/// Refuses generated streams of a denoiser that have nothing to begin from; `begun` have.
pub(crate) fn check<'s>(
    sampler: &Json,
    generated: impl IntoIterator<Item = &'s String>,
    begun: impl Fn(&str) -> bool,
    (model, denoiser): (&ModelGraph, &str),
    (what, at): (&str, Span),
    report: &mut Report,
) {
    let Some(begin) = sampler.get("begin").and_then(Json::as_f64).filter(|begin| *begin < 1.0) else { return };
    let lacks = |stream: &&String| !begun(stream) && !model.is_companion(denoiser, stream);
    if let Some(stream) = generated.into_iter().find(lacks) {
        let reason = format!("has nothing that stream `{stream}` begins from, and its sampler begins at {begin}");
        report.error(at, Problem::Impossible { what: what.into(), reason });
    }
}
