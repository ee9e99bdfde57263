//! Training objectives, grouped by what they train. To add one, declare it in its group here with its facts, and write its
//! loss in a file of `core/runtime/src/train/objective`.

mod facts;

use indexmap::IndexMap;

use crate::{State, TimeDistribution, ValueForm};
pub use facts::ObjectiveFacts;

kinds! {
    /// What a stage minimizes. The group of its kind says what the stage trains.
    pub enum ObjectiveConfig("objective", "objective")
        includes StreamObjective, Measurement, DenoiserObjective, ModuleObjective, ScorerObjective {}
}

kinds! {
    /// Trains the module of one stream, which must encode and decode.
    pub enum StreamObjective("objective of a stream", "objective") {
        /// Reconstruction: the stream's module autoencodes its input.
        Reconstruct = "reconstruct" {
            /// Loss.
            loss: ReconstructionLoss = ReconstructionLoss::L1L2;
            /// Noise on the latent, in units of its standard deviation.
            noise: f64 [ValueForm::NOT_NEGATIVE] = 0.0;
            /// Data augmentation: largest random shift along the last two axes.
            shift: i64 [ValueForm::integer_from(0)] = 0;
            /// Data augmentation: mirrors each row along the last axis with probability 1/2.
            mirror: bool = false;
        }
    }
}

kinds! {
    /// Trains nothing: reads all rows once and stores what it measures.
    pub enum Measurement("measurement", "objective") {
        /// Mean and standard deviation of the latents of every stream; trains nothing.
        Statistics = "statistics" {
            /// Streams to measure; by default all.
            streams: Option<Vec<String>>;
            /// One mean and standard deviation per latent coordinate, or one for the whole stream.
            per: Coordinates = Coordinates::Each;
        }
    }
}

kinds! {
    /// Trains one denoiser; the modules of its streams are frozen.
    pub enum DenoiserObjective("objective of a denoiser", "objective") {
        /// Denoising: a denoiser predicts the noise, or what it hides.
        Denoise = "denoise" {
            /// Distribution of training times (noise levels).
            times: TimeDistribution = TimeDistribution::default();
            /// Weight of the error by time: uniform, or the weight of the likelihood bound.
            weight: Weight = Weight::Uniform;
            /// Weight of the denoising loss relative to the losses of heads; with 0, only heads are trained.
            denoise_weight: f64 [ValueForm::NOT_NEGATIVE] = 1.0;
            /// Streams of the denoiser to train; the others are absent. By default all.
            streams: Option<Vec<String>>;
            /// Contrastive loss (InfoNCE) between coupled streams, or on the predicted x0 of one stream.
            contrast: Option<ContrastiveLoss>;
            /// For a denoiser with prompts: probability that a row is trained without a prompt, which guidance needs; by
            /// default 0.1. Every other row gets one prompt.
            p_uncond: Option<f64> [ValueForm::FRACTION];
        }
    }
}

kinds! {
    /// Trains the modules of prompts and streams.
    pub enum ModuleObjective("objective of modules", "objective") {
        /// Symmetric contrastive loss (InfoNCE): embeddings of one row attract, those of different rows repel.
        Contrast = "contrast" {
            /// Prompt or stream on the other side of the loss.
            with: String;
            /// Temperature: divisor of the cosines.
            temperature: f64 [ValueForm::POSITIVE] = 0.1;
        }
    }
}

kinds! {
    /// Trains one scorer.
    pub enum ScorerObjective("objective of a scorer", "objective") {
        /// Classification: a scorer predicts the class of a row.
        Classify = "classify" {
            /// Standard deviation of noise added to the input.
            noise: f64 [ValueForm::NOT_NEGATIVE] = 0.0;
            /// Data augmentation: largest random shift along the last two axes.
            shift: i64 [ValueForm::integer_from(0)] = 0;
        }
    }
}

impl ObjectiveConfig {
    /// The facts about its kind.
    pub fn facts(&self) -> &dyn ObjectiveFacts {
        match self {
            Self::StreamObjective(StreamObjective::Reconstruct(kind)) => kind,
            Self::Measurement(Measurement::Statistics(kind)) => kind,
            Self::DenoiserObjective(DenoiserObjective::Denoise(kind)) => kind,
            Self::ModuleObjective(ModuleObjective::Contrast(kind)) => kind,
            Self::ScorerObjective(ScorerObjective::Classify(kind)) => kind,
        }
    }
}

impl ObjectiveFacts for Reconstruct {}

impl ObjectiveFacts for Statistics {
    fn streams(&self) -> Option<&[String]> {
        self.streams.as_deref()
    }
}

impl ObjectiveFacts for Denoise {
    fn streams(&self) -> Option<&[String]> {
        self.streams.as_deref()
    }

    fn patterns(&self) -> Option<&[IndexMap<String, State>]> {
        match &self.times {
            TimeDistribution::Alternating(alternating) => Some(&alternating.patterns),
            _ => None,
        }
    }

    fn compared(&self) -> Option<&String> {
        self.contrast.as_ref()?.stream.as_ref()
    }
}

impl ObjectiveFacts for Contrast {
    fn partner(&self) -> Option<&String> {
        Some(&self.with)
    }
}

impl ObjectiveFacts for Classify {
    fn needs_class(&self) -> bool {
        true
    }
}

keys! {
    /// A contrastive term of the loss, next to the denoising loss. Without `stream`: between the environment tokens of each
    /// pair of streams that take part. With it: between the predicted x0 of that stream, in its noisy rows, and the true
    /// values: Huang et al. 2023, "DiffDis", alignment of the query.
    pub struct ContrastiveLoss("objective.denoise.contrast") {
        /// Weight of the contrastive loss.
        weight: f64 [ValueForm::NOT_NEGATIVE] = 1.0;
        /// Temperature: divisor of the cosines.
        temperature: f64 [ValueForm::POSITIVE] = 0.07;
        /// Stream whose predicted x0 is compared with the true latents; by default the tokens of coupled streams are compared.
        stream: Option<String>;
    }
}

words! {
    /// The error of a reconstruction, summed over a row's elements. `d` is the difference of an element.
    pub enum ReconstructionLoss {
        /// |d| + d^2/2.
        L1L2 = "l1-l2",
        /// d^2.
        Mse = "mse",
        /// Cross-entropy along the last axis of a one-hot array.
        CrossEntropy = "cross-entropy",
    }
}

words! {
    /// The coordinates that share one mean and standard deviation.
    pub enum Coordinates {
        /// Each coordinate has its own.
        Each = "coordinate",
        /// All coordinates of a stream share one, so that nearly constant coordinates are not amplified.
        Stream = "stream",
    }
}

words! {
    /// The weight of the squared error at a time.
    pub enum Weight {
        /// 1 on the predicted quantity.
        Uniform = "uniform",
        /// g^2 / s^2 on the error in eps, to which the network's error is converted: the weight under which the loss bounds
        /// the likelihood. Song et al. 2021, "Maximum likelihood training of score-based diffusion models", eq. (7) with
        /// lambda = g^2, the score being -eps / s.
        Likelihood = "likelihood",
    }
}
