//! Heads: predict an auxiliary stream from features.

use anyflow_config::auxiliary::{Conv as Convolutions, Mlp};
use anyflow_config::{Head as Options, HeadLayers, HeadLoss, Keyed, Site, SiteSpec};
use tch::{Kind, Tensor};

use super::super::conv::Conv;
use super::super::layer::{BuildOptions, Linear, cast, silu};
use crate::auxiliary::class_moments;
use crate::{EngineError, Result, StreamSpec, TensorExt, site};

/// Maps features to an estimate of the auxiliary stream.
#[derive(Debug)]
pub(super) struct Head {
    /// The site whose features it takes.
    pub site: Site,
    layers: Layers,
    loss: HeadLoss,
}

#[derive(Debug)]
enum Layers {
    Mlp([Linear; 2]),
    Conv([Conv; 2]),
}

impl Head {
    /// A fresh head. Its last layer starts at zero, so that it predicts nothing at first.
    pub fn new(options: &Options, target: &StreamSpec, sites: &[SiteSpec], init: BuildOptions) -> Result<Self> {
        options.check().map_err(EngineError::Options)?;
        let SiteSpec { site, shape } = site::named(sites, &options.reads)?;
        if options.misfit(&shape, &target.shape).is_some() {
            let found = format!("{shape:?} at {site} for {:?} {:?}", target.name, target.shape);
            return Err(EngineError::Config {
                field: "reads",
                wanted: "features that fit the head and its loss",
                found,
            });
        }
        let name = format!("heads.{}", target.name);
        let first = format!("{name}.first");
        let second = format!("{name}.second");
        // Maps have channels first, tokens and vectors have features last.
        let channels = if shape.len() == 3 { shape[0] } else { shape[shape.len() - 1] };
        let layers = match &options.network {
            HeadLayers::Mlp(Mlp { width }) => Layers::Mlp([
                Linear::new(&first, channels, *width, 1.0, init)?,
                Linear::new(&second, *width, target.elements(), 0.0, init)?,
            ]),
            HeadLayers::Conv(Convolutions { width }) => Layers::Conv([
                Conv::new(&first, channels, *width, 3, 1.0, init)?,
                Conv::new(&second, *width, target.shape[0], 3, 0.0, init)?,
            ]),
        };
        Ok(Head { site, layers, loss: options.loss })
    }

    /// Features of a row -> `[row, shape]` of the auxiliary stream, f32.
    pub fn estimate(&self, features: &Tensor, target: &StreamSpec) -> Result<Tensor> {
        let rows = features.size()[0] as usize;
        let output = match &self.layers {
            Layers::Mlp([first, second]) => {
                let places: &[i64] = match features.dim() {
                    2 => &[],
                    3 => &[1],
                    _ => &[2, 3],
                };
                let flat = match places {
                    [] => features.shallow_clone(),
                    places => features.try_mean(places, false, Kind::Float)?,
                };
                second.forward(&silu(first.forward(&flat)?)?)?
            }
            Layers::Conv([first, second]) => second.forward(&silu(first.forward(features)?)?)?,
        };
        let output = cast(&output, Kind::Float)?;
        match self.loss {
            HeadLoss::CrossEntropy => {
                let probabilities = output.try_softmax(-1, Kind::Float)?;
                let (mean, std) = class_moments(target.elements());
                probabilities.try_sub_scalar(mean)?.try_div_scalar(std)
            }
            HeadLoss::Mse => output.try_reshape(target.batch_shape(rows)),
        }
    }

    /// The parameters, as `heads.STREAM.first.weight`.
    pub fn list(&self, named: &mut Vec<(String, Tensor)>) {
        match &self.layers {
            Layers::Mlp(layers) => layers.iter().for_each(|layer| layer.list(named)),
            Layers::Conv(layers) => layers.iter().for_each(|layer| layer.list(named)),
        }
    }

    pub fn freeze(&mut self) -> Result<()> {
        match &mut self.layers {
            Layers::Mlp(layers) => layers.iter_mut().try_for_each(Linear::freeze),
            Layers::Conv(layers) => layers.iter_mut().try_for_each(Conv::freeze),
        }
    }
}
