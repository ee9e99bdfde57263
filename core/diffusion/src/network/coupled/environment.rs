//! Environment encoders: tokens of a stream's noisy latent for the other streams.

use std::cell::RefCell;

use anyflow_config::network::Environment as Options;
use tch::Tensor;

use super::super::layer::{BuildOptions, Linear, add, silu};
use super::super::time::{Activation, Projections, TimeEmbedding, TimeFeatures};
use crate::{DenoiserInput, Result, StreamSpec, TensorExt, TimeRun, Times};

/// Lower bound of norms, so that a zero token stays finite.
const SHORTEST: f64 = 1e-6;

/// V of Tang et al. 2023, section 3.3: output(silu(hidden(silu(input(z_t) + time(t))))), with tokens normalized to
/// length 1.
#[derive(Debug)]
pub(super) struct Environment {
    options: Options,
    time: TimeEmbedding,
    input: Linear,
    hidden: Linear,
    output: Linear,
    /// Once frozen: the contribution of the times to the first layer, its bias included.
    projections: Option<RefCell<Projections>>,
}

impl Environment {
    pub fn new(stream: &StreamSpec, options: &Options, init: BuildOptions) -> Result<Self> {
        let &Options { width, tokens, features } = options;
        Ok(Environment {
            options: options.clone(),
            time: TimeEmbedding::new(1, width, TimeFeatures::Fourier, false, Activation::Silu, init)?,
            input: Linear::new("input", stream.elements(), width, 1.0, init)?,
            hidden: Linear::new("hidden", width, width, 1.0, init)?,
            output: Linear::new("output", width, tokens * features, 1.0, init)?,
            projections: None,
        })
    }

    /// z `[row, shape]`, the stream at this index of the batch -> `[row, token, feature]`, f32.
    pub fn forward(&self, z: &Tensor, batch: &DenoiserInput, index: usize) -> Result<Tensor> {
        let rows = z.size()[0];
        let flat = z.try_reshape([rows, -1])?;
        let h = silu(match (&self.projections, &batch.times) {
            (Some(projections), Times::Runs(runs)) => {
                let mut projections = projections.borrow_mut();
                let projected = projections.project(&own(runs, index), |t, _| self.time.hidden(t, t))?;
                self.input.forward_with(projected.part(0), &flat)?
            }
            _ => {
                let t = batch.t()?;
                let t = t.try_narrow(1, index as i64, 1)?;
                add(self.input.forward(&flat)?, &self.time.forward(&t, &t)?)?
            }
        })?;
        let tokens = self.output.forward(&silu(self.hidden.forward(&h)?)?)?.try_to_kind(tch::Kind::Float)?;
        let shaped = tokens.try_view([rows, self.options.tokens, self.options.features])?;
        let length = shaped.try_norm(-1)?.try_clamp_min(SHORTEST)?;
        shaped.try_div(&length)
    }

    pub fn list(&self, named: &mut Vec<(String, Tensor)>) {
        self.time.list(named);
        self.input.list(named);
        self.hidden.list(named);
        self.output.list(named);
    }

    pub fn freeze(&mut self) -> Result<()> {
        self.time.freeze()?;
        self.input.freeze()?;
        self.hidden.freeze()?;
        self.output.freeze()?;
        let ((weight, bias), (_, input)) = (self.time.last()?, self.input.plain()?);
        let bias = bias.try_add(&input)?;
        self.projections = Some(RefCell::new(Projections::new(&[(weight, bias)], self.options.width)?));
        Ok(())
    }
}

/// The runs of one stream; neighbouring runs at one time are merged.
fn own(runs: &[TimeRun], index: usize) -> Vec<TimeRun> {
    let mut own: Vec<TimeRun> = Vec::with_capacity(runs.len());
    for run in runs {
        match own.last_mut().filter(|last| last.t[0] == run.t[index]) {
            Some(last) => last.rows += run.rows,
            None => own.push(TimeRun { t: vec![run.t[index]], present: vec![1.0], rows: run.rows }),
        }
    }
    own
}
