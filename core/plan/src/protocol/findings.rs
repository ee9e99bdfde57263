//! Results of an evaluation: `eval.json`, written by the engine, shown by the front.

use anyflow_config::Sampling;
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

/// All results of an evaluation, in the order of its file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Findings {
    /// The evaluation's name.
    pub name: String,
    /// Rows per task and seed.
    pub rows: u64,
    /// The seeds.
    pub seeds: Vec<u64>,
    /// Stream -> its judge on real rows.
    pub judges: IndexMap<String, Real>,
    /// Variants by name.
    pub variants: IndexMap<String, VariantFindings>,
    /// Tasks by name.
    pub tasks: IndexMap<String, TaskFindings>,
    /// Mixtures of prompts of different classes.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub conflicts: IndexMap<String, ConflictFindings>,
}

/// A metric over the seeds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Mean over the seeds.
    pub mean: f64,
    /// Half the difference between the largest and the smallest value.
    pub spread: f64,
    /// Value per seed.
    pub per_seed: Vec<f64>,
}

impl Figure {
    /// The metric from its values per seed.
    pub fn of(per_seed: Vec<f64>) -> Figure {
        let largest = per_seed.iter().copied().fold(f64::MIN, f64::max);
        let smallest = per_seed.iter().copied().fold(f64::MAX, f64::min);
        let mean = per_seed.iter().sum::<f64>() / per_seed.len().max(1) as f64;
        Figure { mean, spread: (largest - smallest) / 2.0, per_seed }
    }
}

/// Frechet distance in the features of a stream's judge. Fewer rows give larger values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Distance {
    /// The distance.
    pub value: f64,
    /// Rows on one side: generated rows of all seeds, or real rows for the floor.
    pub rows: u64,
    /// Held-out rows on the other side.
    pub against: u64,
    /// The distance per seed; `None` for real rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_seed: Option<Figure>,
}

/// A judge on real rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Real {
    /// Held-out rows.
    pub rows: u64,
    /// Accuracy of the judge.
    pub accuracy: f64,
    /// Distance between real and held-out rows at the task's sample size: the floor for generated rows.
    pub floor: Option<Distance>,
    /// Mean feature distance of two rows of the same class.
    pub diversity: Option<f64>,
}

/// A variant, and its results without generation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VariantFindings {
    /// File name of its weights.
    pub checkpoint: Option<String>,
    /// The denoiser.
    pub denoiser: String,
    /// The sampler.
    pub sampler: Sampling,
    /// Stream -> held-out rows encoded and decoded without diffusion: the ceiling.
    pub reconstructed: IndexMap<String, Reconstructed>,
}

/// Rows encoded and decoded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reconstructed {
    /// Accuracy of the judge.
    pub accuracy: f64,
    /// Distance from the held-out rows.
    pub frechet: Option<Distance>,
    /// Distance of each row from its original.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truth: Option<Truth>,
}

/// A task, and its results per variant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskFindings {
    /// Observed streams.
    pub observe: Vec<String>,
    /// Generated and judged streams.
    pub generate: Vec<String>,
    /// Minimum coherence of the first variant.
    pub min_coherence: Option<f64>,
    /// Minimum share of rows of the first variant whose nearest held-out row is their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_top1: Option<f64>,
    /// True if the first variant reaches the minimum.
    pub passed: bool,
    /// Variant -> results.
    pub variants: IndexMap<String, Answer>,
}

/// Results of a variant in a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// Share of rows whose generated streams all have the class of the observed streams, or all have the same class without
    /// observed streams. For a classification, the accuracy; for retrieval, the share of rows that find their own value.
    pub coherence: Figure,
    /// Match between the generated streams; `None` if there is only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joint: Option<Fit>,
    /// The same for separately generated streams from the same noise, if the evaluation has `independent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub independent: Option<Fit>,
    /// Generated stream -> results.
    pub streams: IndexMap<String, StreamFindings>,
    /// For classification: the predicted classes by true class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confusion: Option<Confusion>,
    /// For retrieval: how often a row's own value is among the nearest k (`recall@k`), and how often the row is among the
    /// nearest k of its value (`reverse recall@k`).
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub recall: IndexMap<String, Figure>,
    /// Network calls per row.
    pub network_calls_per_row: f64,
    /// Seconds to sample and decode a row, without judging.
    pub seconds_per_row: f64,
    /// Rows sampled and decoded per second.
    pub rows_per_second: f64,
}

/// Match between generated streams.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fit {
    /// Share of rows for which all judges predict the same class, right or wrong.
    pub agreement: Figure,
    /// Mean cosine of their prompt embeddings over rows and pairs of streams: SIM of Tang et al. 2023. `None` if fewer than
    /// two streams have a prompt.
    pub similarity: Option<Figure>,
}

/// Mixtures of two prompts of different classes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConflictFindings {
    /// The two prompts.
    pub between: Vec<String>,
    /// Variant -> generated stream -> result per mixture.
    pub variants: IndexMap<String, IndexMap<String, Vec<Mixture>>>,
}

/// The result of one mixture of two prompts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mixture {
    /// Weight a of the second prompt; the first one has weight 1 - a.
    pub weight: f64,
    /// Mean probability of the first prompt's class, by the judge.
    pub first: Figure,
    /// Mean probability of the second prompt's class.
    pub second: Figure,
}

/// One generated stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StreamFindings {
    /// Share of rows with the class of the observed streams; `None` without observed streams.
    pub accuracy: Option<Figure>,
    /// The predicted classes by true class; `None` without observed streams.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confusion: Option<Confusion>,
    /// Share of rows whose text equals that of the observed row; `None` for other cells, or without observed streams.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exact: Option<Figure>,
    /// Distance from the held-out rows.
    pub frechet: Option<Distance>,
    /// Entropy of the generated classes, divided by that of the uniform distribution.
    pub class_entropy: Figure,
    /// Mean feature distance of two rows of the same class; `None` if no class has two rows.
    pub diversity: Option<Figure>,
    /// Distance of rows from their targets; `None` without observed streams, or if rows are matched by class alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truth: Option<Truth>,
}

/// How often each class is predicted for each true class, over all seeds. It exists for a few classes only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Confusion {
    /// Names of the classes.
    pub classes: Vec<String>,
    /// `rows[true class][predicted class]`. Rows without a prediction, because their cell cannot be read, do not count.
    pub rows: Vec<Vec<u64>>,
}

impl Confusion {
    /// The largest table that a person reads.
    const CLASSES: usize = 32;

    /// An empty table for so many classes, which have their numbers as names.
    pub fn new(classes: i64) -> Confusion {
        let classes: Vec<String> = (0..classes).map(|class| class.to_string()).collect();
        let rows = vec![vec![0; classes.len()]; classes.len()];
        Confusion { classes, rows }
    }

    /// Counts predictions. Classes outside the table do not count.
    pub fn add(&mut self, truth: &[i64], predicted: &[Option<i64>]) {
        for (truth, predicted) in truth.iter().zip(predicted) {
            let row = self.rows.get_mut(*truth as usize);
            if let Some(rows) = row.and_then(|row| row.get_mut((*predicted)? as usize)) {
                *rows += 1;
            }
        }
    }

    /// The same table with the names of the classes, if there is one for each.
    #[must_use]
    pub fn named(mut self, names: &[String]) -> Confusion {
        if names.len() == self.classes.len() {
            self.classes = names.to_vec();
        }
        self
    }

    /// True if a person can read the table.
    pub fn is_readable(&self) -> bool {
        self.classes.len() <= Self::CLASSES
    }
}

/// Generated rows compared with their target rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Truth {
    /// In normalized features of the judge; distances are from 0 to 2.
    #[serde(flatten)]
    pub features: Nearness,
    /// In perceptual distance (LPIPS, Zhang et al. 2018) of the judge's layers; `None` if the judge has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub perceptual: Option<Nearness>,
}

/// Distances of rows from their targets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Nearness {
    /// Mean distance of a row from its target.
    pub distance: Figure,
    /// Share of rows whose target is the nearest held-out row.
    pub nearest: Figure,
}

impl Truth {
    /// The metric that thresholds apply to: perceptual distance if the judge has one, else feature distance.
    pub fn decisive(&self) -> &Nearness {
        self.perceptual.as_ref().unwrap_or(&self.features)
    }
}
