//! Rule: the prompts of `similarity` read the cells of their streams, and make tokens of one shape.

use crate::check::Rule;
use crate::error::Report;
use crate::graph::{Evaluation, ModelGraph};
use crate::plan::PromptConfig;
use crate::problem::{CodeEntry, problems};
use crate::source::SpannedString;

problems! {
    /// Streams and prompts that `similarity` cannot compare.
    pub(crate) enum SimilarityProblem {
        /// A prompt of `similarity` embeds the cells of its stream, and it reads other cells.
        /// Example: `similarity: {photo: caption}`, where prompt `caption` reads texts.
        /// Cure: Name a prompt whose codec reads the modality of the stream.
        #[error("cells do not match: stream `{stream}` is {cells}, but prompt `{prompt}` reads {reads}")]
        SimilarityCells { stream: String, cells: String, prompt: String, reads: String },
        /// The prompts of `similarity` make tokens of different shapes, so they have no cosine.
        /// Example: `similarity: {photo: picture, text: caption}` with tokens of the shapes [1, 64] and [1, 32].
        /// Cure: Name prompts with tokens of the same shape, usually the two of one contrastive training.
        #[error("tokens do not match: those of `{first}` are {wanted:?}, but those of `{prompt}` are {found:?}")]
        SimilarityTokens { first: String, wanted: Vec<i64>, prompt: String, found: Vec<i64> },
        /// `similarity` compares the streams of a row with each other, and it names only one.
        /// Example: `similarity: {photo: picture}`.
        /// Cure: Name a second stream with its prompt, or remove `similarity`.
        #[error("`similarity` has no effect: it needs at least two streams to compare")]
        SimilarityOfOne {},
        /// A prompt of `similarity` is made of others, or of numbers. It needs one module that encodes the cells.
        /// Example: `similarity: {photo: both}`, where prompt `both` has `features: [one, two]`.
        /// Cure: Name a prompt with `codec` and `module`.
        #[error("`similarity` needs a prompt with a module, and `{prompt}` has none of its own")]
        SimilarityPrompt { prompt: String },
    }
}

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
            report.warning(stream.span, SimilarityProblem::SimilarityOfOne {});
        }
    }

    fn codes(&self) -> Vec<CodeEntry> {
        SimilarityProblem::codes()
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
    if reader.encoded().is_none() {
        return report.error(prompt.span, SimilarityProblem::SimilarityPrompt { prompt: name.to_string() });
    }
    if read.cells != *reader.cells() {
        let (cells, reads) = (read.cells.to_string(), reader.cells().to_string());
        let (stream, name) = (stream.value.clone(), name.to_string());
        return report.error(prompt.span, SimilarityProblem::SimilarityCells { stream, cells, prompt: name, reads });
    }
    let (first, compared) = *first.get_or_insert((name, reader));
    let [wanted, found] = [compared, reader].map(|plan| plan.tokens().unwrap_or_default());
    if wanted != found {
        let (first, name) = (first.to_string(), name.to_string());
        report.error(prompt.span, SimilarityProblem::SimilarityTokens { first, wanted, prompt: name, found });
    }
}
