//! What an evaluation found: `eval.json`, written by the engine, read by whoever shows it.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// All figures of an evaluation, in the order of its file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Findings {
    /// The evaluation's name.
    pub name: String,
    /// Rows a task and seed.
    pub rows: u64,
    /// The seeds.
    pub seeds: Vec<u64>,
    /// Stream -> what its judge says of real rows.
    pub judges: IndexMap<String, Real>,
    /// What is compared.
    pub variants: IndexMap<String, VariantFindings>,
    /// What was asked.
    pub tasks: IndexMap<String, TaskFindings>,
    /// Prompts of different classes, mixed.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub conflicts: IndexMap<String, ConflictFindings>,
}

/// A figure over the seeds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Mean over the seeds.
    pub mean: f64,
    /// Half the distance between the largest and the smallest.
    pub spread: f64,
    /// Each seed's.
    pub per_seed: Vec<f64>,
}

impl Figure {
    /// The figure of these seeds.
    pub fn of(per_seed: Vec<f64>) -> Figure {
        let most = per_seed.iter().copied().fold(f64::MIN, f64::max);
        let least = per_seed.iter().copied().fold(f64::MAX, f64::min);
        let mean = per_seed.iter().sum::<f64>() / per_seed.len().max(1) as f64;
        Figure { mean, spread: (most - least) / 2.0, per_seed }
    }
}

/// A Frechet distance on the features of a stream's judge. It is larger the fewer rows it is taken from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Distance {
    /// The distance.
    pub value: f64,
    /// Rows on one side: generated ones of all seeds together, or real ones for the floor.
    pub rows: u64,
    /// Held-out rows on the other side.
    pub against: u64,
    /// The distance seed by seed, each from the rows of its own; nothing for real rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_seed: Option<Figure>,
}

/// A judge on real rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Real {
    /// Held-out rows.
    pub rows: u64,
    /// Share of them whose class it tells.
    pub accuracy: f64,
    /// The distance that real rows have: as many as a task generates, or all there are, from the held-out ones.
    pub floor: Option<Distance>,
    /// Mean distance of two rows of a class, in features.
    pub diversity: Option<f64>,
}

/// A variant, and what can be said of it before anything is generated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VariantFindings {
    /// File name of its weights.
    pub checkpoint: Option<String>,
    /// The denoiser.
    pub denoiser: String,
    /// `{kind, ...}`.
    pub sampler: Json,
    /// Stream -> held-out rows that went through its encoder and decoder, and nothing else: the ceiling.
    pub reconstructed: IndexMap<String, Reconstructed>,
}

/// Rows that went through encoder and decoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reconstructed {
    /// Share whose class the judge tells.
    pub accuracy: f64,
    /// Their distance from the held-out rows that they were.
    pub frechet: Option<Distance>,
    /// How near each is to the row that it was, as of generated rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truth: Option<Truth>,
}

/// A task, and how each variant did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskFindings {
    /// Streams given.
    pub observe: Vec<String>,
    /// Streams generated and judged.
    pub generate: Vec<String>,
    /// Least coherence that is asked of the first variant.
    pub at_least: Option<f64>,
    /// Least share of rows nearest to their own that is asked of the first variant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nearest_at_least: Option<f64>,
    /// Whether the first variant has it.
    pub passed: bool,
    /// Variant -> its figures.
    pub variants: IndexMap<String, Answer>,
}

/// The answer of a variant to a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// Share of rows whose generated streams all have the class of the given ones, or all the same where none is given; of
    /// a scoring, share of rows of which the class, or the own value, is told.
    pub coherence: Figure,
    /// How well the generated streams fit one another; nothing where there is only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joint: Option<Fit>,
    /// The same for streams generated each by itself from the same noise, if that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub independent: Option<Fit>,
    /// Generated stream -> its own figures.
    pub streams: IndexMap<String, StreamFindings>,
    /// Of a scoring among all rows: how often a row's own value is among the nearest k, as `recall@k`, and how often the
    /// row is among the nearest k of its value, as `reverse recall@k`.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub recall: IndexMap<String, Figure>,
    /// How often a row went through the network.
    pub network_calls_per_row: f64,
    /// Seconds of sampling and decoding a row, judging left out.
    pub seconds_per_row: f64,
    /// The same the other way round.
    pub rows_per_second: f64,
}

/// How well several generated streams fit one another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fit {
    /// Share of rows on which all judges name one class, whether it is the right one or not.
    pub agreement: Figure,
    /// Mean cosine of what prompts make of them, over rows and pairs of streams: SIM of Tang et al. 2023. Nothing where
    /// fewer than two have a prompt.
    pub similarity: Option<Figure>,
}

/// Two prompts of different classes, mixed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConflictFindings {
    /// The two prompts.
    pub between: Vec<String>,
    /// Variant -> generated stream -> what came of each mixture.
    pub variants: IndexMap<String, IndexMap<String, Vec<Mixture>>>,
}

/// What came of one mixture of two prompts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mixture {
    /// The weight of the second prompt; that of the first is what is left of 1.
    pub weight: f64,
    /// Mean probability that the judge gives the class of the first prompt.
    pub first: Figure,
    /// Mean probability that it gives that of the second.
    pub second: Figure,
}

/// One generated stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StreamFindings {
    /// Share of rows with the class of the given streams; nothing where none is given.
    pub accuracy: Option<Figure>,
    /// Share of rows whose text is that of the row that was given; nothing for other cells, and where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exact: Option<Figure>,
    /// Distance from the held-out rows.
    pub frechet: Option<Distance>,
    /// Entropy of the classes generated, divided by that of equally frequent ones.
    pub class_entropy: Figure,
    /// Mean distance of two rows of a class, in features; nothing where no class has two.
    pub diversity: Option<Figure>,
    /// How near rows are to what they were to be; nothing where nothing is given, or rows are matched by class alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truth: Option<Truth>,
}

/// Generated rows beside the held-out rows that they were to be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Truth {
    /// In features of length 1 of the judge; a distance is from 0 to 2.
    #[serde(flatten)]
    pub features: Nearness,
    /// As they appear: a perceptual distance (LPIPS, Zhang et al. 2018) on what the judge's layers see; nothing where the
    /// judge gives none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub perceptual: Option<Nearness>,
}

/// How far rows are from their own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Nearness {
    /// Mean distance of a row from its own.
    pub distance: Figure,
    /// Share of rows whose own is the nearest of all held-out rows.
    pub nearest: Figure,
}

impl Truth {
    /// By which a task is held to what is asked of it: as rows appear, where the judge tells that.
    pub fn decisive(&self) -> &Nearness {
        self.perceptual.as_ref().unwrap_or(&self.features)
    }
}
