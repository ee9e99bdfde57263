//! The networks that are built here, by their names in a configuration.

mod attention;
mod beside;
mod conv;
mod layer;
mod residual_mlp;
mod streams;
mod time;
mod transformer;
mod unet;
mod unet_mlp;
mod waves;

use serde::{Deserialize, Serialize};
use tch::Device;

use crate::{Denoiser, EngineError, Result, StreamSpec, check_streams};
use layer::Init;
pub use layer::Precision;
pub use residual_mlp::{Modulation, ResidualMlp, ResidualMlpConfig};
pub use time::TimeFeatures;
pub use transformer::{Transformer, TransformerConfig};
pub use unet::{Unet, UnetConfig};
pub use unet_mlp::{UnetMlp, UnetMlpConfig};

/// A network, its size and its options.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Network {
    /// Linear layers with residual connections over the concatenation of all streams: see [`ResidualMlp`].
    ResidualMlp(ResidualMlpConfig),
    /// A U of residual blocks over the concatenation of all streams: see [`UnetMlp`].
    UnetMlp(UnetMlpConfig),
    /// Residual blocks and attention over maps at several sizes: see [`Unet`].
    Unet(UnetConfig),
    /// Attention over the tokens of all streams: see [`Transformer`].
    Transformer(TransformerConfig),
}

impl Network {
    /// Refuses sizes with which there is no network.
    pub fn check(&self) -> Result<()> {
        let (width, embedding) = match self {
            Network::ResidualMlp(config) => (config.width, config.embedding.unwrap_or(config.width)),
            Network::UnetMlp(config) => (config.width, config.embedding),
            Network::Unet(config) => return config.check(),
            Network::Transformer(config) => return config.check(),
        };
        for (field, value) in [("width", width), ("embedding", embedding)] {
            if value < 1 {
                return Err(EngineError::Config { field, wanted: "at least 1", found: value.to_string() });
            }
        }
        if let Network::ResidualMlp(config) = self {
            config.check_readers()?;
        }
        match self {
            Network::UnetMlp(UnetMlpConfig { groups, .. }) if *groups < 1 || width % groups != 0 => {
                let found = format!("{groups} for a width of {width}");
                Err(EngineError::Config { field: "groups", wanted: "a divisor of the width", found })
            }
            _ => Ok(()),
        }
    }
}

/// Builds a network with fresh parameters on `device`: f32, leaves, recording gradients. Equal seeds give equal bits.
pub fn build(
    network: &Network,
    streams: &[StreamSpec],
    precision: Precision,
    device: Device,
    seed: u64,
) -> Result<Box<dyn Denoiser>> {
    check_streams(streams)?;
    network.check()?;
    let init = Init { precision, device, seed };
    Ok(match network {
        Network::ResidualMlp(config) => Box::new(ResidualMlp::new(streams, *config, init)?),
        Network::UnetMlp(config) => Box::new(UnetMlp::new(streams, *config, init)?),
        Network::Unet(config) => Box::new(Unet::new(streams, config.clone(), init)?),
        Network::Transformer(config) => Box::new(Transformer::new(streams, *config, init)?),
    })
}
