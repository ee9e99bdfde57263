//! Rule: the prompts of `similarity` read the cells of their streams, and make tokens of one shape.

use crate::check::Rule;
use crate::error::Report;
use crate::graph::{Evaluation, ModelGraph};
use crate::plan::PromptConfig;
use crate::problem::{Caution, Problem};
use crate::source::SpannedString;

pub(super) struct Similarity;

impl Rule for Similarity {
    fn evaluation(&self, evaluation: &Evaluation, report: &mut Report) {
        const KEY: &str = "similarity";
        let named: Vec<_> = evaluation.spec.references.iter().filter(|it| it.key == KEY).map(|it| &it.name).collect();
        let mut first = None;
        for pair in named.chunks_exact(2) {
            check(pair[0], pair[1], &mut first, evaluation.model, report);
        }
        if let [stream, _] = named.as_slice() {
            let reason = "it needs at least two streams to compare".into();
            report.warning(stream.span, Caution::NoEffect { key: KEY.into(), reason });
        }
    }
}

/// Checks a stream with its prompt. All others are compared with the `first` prompt that has tokens.
fn check<'m>(
    stream: &SpannedString,
    prompt: &SpannedString,
    first: &mut Option<(&'m str, &'m PromptConfig)>,
    model: &'m ModelGraph,
    report: &mut Report,
) {
    let read = model.streams.get(&stream.value).and_then(|node| node.plan.as_ref());
    let reader =
        model.prompts.get_key_value(&prompt.value).and_then(|(name, node)| Some((name.as_str(), node.plan.as_ref()?)));
    let (Some(read), Some((name, reader))) = (read, reader) else { return };
    if read.cells != *reader.cells() {
        let one = format!("stream `{}` is {}", stream.value, read.cells);
        let other = format!("prompt `{name}` reads {}", reader.cells());
        report.error(prompt.span, Problem::Mismatch { what: "cells", one, other });
        return;
    }
    let (other, compared) = *first.get_or_insert((name, reader));
    if compared.tokens() != reader.tokens() {
        let shown = |plan: &PromptConfig| format!("{:?}", plan.tokens().unwrap_or_default());
        let one = format!("those of `{other}` are {}", shown(compared));
        let other = format!("those of `{name}` are {}", shown(reader));
        report.error(prompt.span, Problem::Mismatch { what: "tokens", one, other });
    }
}
