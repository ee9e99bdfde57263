//! The built-in networks, by their names in a configuration.

mod aggregated;
mod attention;
mod conv;
mod coupled;
mod cross_attention;
mod dual_stream;
mod layer;
mod residual_mlp;
mod sinusoidal;
mod streams;
mod time;
mod transformer;
mod unet;
mod unet_mlp;

use serde::{Deserialize, Serialize};

use crate::{Auxiliary, Denoiser, EngineError, Prompted, Result, StreamSpec, check_streams};
use aggregated::Aggregated;
pub use coupled::{Coupled, CoupledConfig, EnvironmentConfig};
pub use dual_stream::{DualStream, DualStreamConfig, Reading};
pub use layer::BuildOptions;
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
    /// A U-Net of residual blocks over the concatenation of all streams: see [`UnetMlp`].
    UnetMlp(UnetMlpConfig),
    /// Residual blocks and attention over maps at several sizes: see [`Unet`].
    Unet(UnetConfig),
    /// Attention over the tokens of all streams: see [`Transformer`].
    Transformer(TransformerConfig),
    /// A network per stream, each attending to tokens of the other streams: see [`Coupled`].
    Coupled(CoupledConfig),
    /// A network per stream; some attend to the features of another's network: see [`DualStream`].
    DualStream(DualStreamConfig),
}

impl Network {
    /// The same network with prompt tokens of this width; `None` if it takes no prompt.
    fn reading(&self, features: i64) -> Option<Network> {
        let mut network = self.clone();
        let width = match &mut network {
            Network::ResidualMlp(config) => &mut config.cross_attention_dim,
            Network::Unet(config) => &mut config.cross_attention_dim,
            Network::Transformer(config) => &mut config.cross_attention_dim,
            Network::Coupled(config) => {
                for part in config.parts.values_mut() {
                    *part = part.reading(features)?;
                }
                return Some(network);
            }
            Network::DualStream(config) => {
                for (_, part) in config.parts.iter_mut().filter(|(stream, _)| !config.reads.contains_key(*stream)) {
                    *part = part.reading(features)?;
                }
                return Some(network);
            }
            Network::UnetMlp(_) => return None,
        };
        (*width.get_or_insert(features) == features).then_some(network)
    }

    /// The same network with context tokens of this width; `None` if it takes no context.
    fn in_context(&self, features: i64) -> Option<Network> {
        let mut network = self.clone();
        let width = match &mut network {
            Network::ResidualMlp(config) => &mut config.context_dim,
            Network::Unet(config) => &mut config.context_dim,
            Network::Transformer(config) => &mut config.context_dim,
            Network::UnetMlp(_) | Network::Coupled(_) | Network::DualStream(_) => return None,
        };
        (*width.get_or_insert(features) == features).then_some(network)
    }

    /// Rejects invalid sizes.
    pub fn check(&self) -> Result<()> {
        let (width, embedding) = match self {
            Network::ResidualMlp(config) => (config.width, config.embedding.unwrap_or(config.width)),
            Network::UnetMlp(config) => (config.width, config.embedding),
            Network::Unet(config) => return config.check(),
            Network::Transformer(config) => return config.check(),
            Network::Coupled(config) => return config.check(),
            Network::DualStream(config) => return config.check(),
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

/// See [`build`]; `prompts` become the last streams. See [`Prompted`].
///
/// # Errors
/// As [`build`]; prompts that are not `[token, feature]`, all of one shape; a network that takes no prompt.
pub fn build_prompted(
    network: &Network,
    streams: &[StreamSpec],
    prompts: Vec<StreamSpec>,
    options: BuildOptions,
) -> Result<Box<dyn Denoiser>> {
    build_joined(network, streams, Vec::new(), prompts, options)
}

/// See [`build_prompted`]; the auxiliary streams become the streams in between. Without them the network has the same
/// bits. See [`Auxiliary`].
///
/// # Errors
/// As [`build_prompted`]; auxiliary streams into streams that do not exist, or heads at sites that do not exist.
pub fn build_joined(
    network: &Network,
    streams: &[StreamSpec],
    auxiliaries: Vec<(StreamSpec, Auxiliary)>,
    prompts: Vec<StreamSpec>,
    options: BuildOptions,
) -> Result<Box<dyn Denoiser>> {
    let joined = |network: &Network| -> Result<Box<dyn Denoiser>> {
        let inner = build(network, streams, options)?;
        if auxiliaries.is_empty() {
            return Ok(inner);
        }
        let all: Vec<_> = streams.iter().chain(auxiliaries.iter().map(|(stream, _)| stream)).cloned().collect();
        check_streams(&all)?;
        Ok(Box::new(Aggregated::new(inner, auxiliaries.clone(), options)?))
    };
    let Some(first) = prompts.first() else { return joined(network) };
    let bad = |wanted, found: String| EngineError::Config { field: "prompts", wanted, found };
    let &[_, features] = first.shape.as_slice() else {
        return Err(bad("of shape [token, feature]", format!("{:?} {:?}", first.name, first.shape)));
    };
    if let Some(other) = prompts.iter().find(|prompt| prompt.shape != first.shape) {
        return Err(bad(
            "of one shape",
            format!("{:?} {:?}, {:?} {:?}", first.name, first.shape, other.name, other.shape),
        ));
    }
    check_streams(&prompts)?;
    let network = network
        .reading(features)
        .ok_or_else(|| bad("tokens that the network accepts", format!("{:?} {:?}", first.name, first.shape)))?;
    Ok(Box::new(Prompted::new(joined(&network)?, prompts)))
}

/// Builds a network with fresh parameters on `device`: f32 leaves that record gradients. Equal seeds give equal bits.
pub fn build(network: &Network, streams: &[StreamSpec], options: BuildOptions) -> Result<Box<dyn Denoiser>> {
    check_streams(streams)?;
    network.check()?;
    build_from(network, streams, options)
}

/// See [`build`], without its checks.
fn build_from(network: &Network, streams: &[StreamSpec], init: BuildOptions) -> Result<Box<dyn Denoiser>> {
    Ok(match network {
        Network::ResidualMlp(config) => Box::new(ResidualMlp::new(streams, *config, init)?),
        Network::UnetMlp(config) => Box::new(UnetMlp::new(streams, *config, init)?),
        Network::Unet(config) => Box::new(Unet::new(streams, config.clone(), init)?),
        Network::Transformer(config) => Box::new(Transformer::new(streams, *config, init)?),
        Network::Coupled(config) => Box::new(Coupled::new(streams, config, init)?),
        Network::DualStream(config) => Box::new(DualStream::new(streams, config, init)?),
    })
}
