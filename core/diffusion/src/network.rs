//! The built-in networks. A network is a [`Denoiser`] over diffused streams; auxiliary streams and prompts wrap it.

mod aggregated;
mod attention;
mod conv;
mod coupled;
mod cross_attention;
mod dual_stream;
mod host_times;
mod layer;
mod prompted;
mod residual_mlp;
mod sinusoidal;
mod streams;
mod time;
mod transformer;
mod unet;
mod unet_mlp;

use anyflow_config::network::{Architecture, Misfit, Part};
use anyflow_config::{Kinds, Network};

use crate::{Denoiser, EngineError, PromptUse, Result, StreamSpec, check_streams};
use aggregated::Aggregated;
use coupled::Coupled;
pub use dual_stream::DualStream;
pub use layer::{BuildOptions, StartValues};
pub use prompted::Prompted;
pub use residual_mlp::{MlpLayers, Modulation, ResidualMlp};
pub use time::TimeFeatures;
use transformer::Transformer;
use unet::Unet;
use unet_mlp::UnetMlp;

/// Builds a network with fresh parameters: f32 leaves that record gradients. Equal seeds give equal bits, with or without
/// auxiliary streams. The denoiser has these streams in this order.
///
/// # Errors
/// Streams without a diffused one, or of one name; prompts that are not `[token, feature]`, all of one shape; a network
/// that cannot take these streams, or a head at a site that does not exist.
pub fn build(network: &Network, streams: &[StreamSpec], options: &BuildOptions) -> Result<Box<dyn Denoiser>> {
    check_streams(streams)?;
    network.check().map_err(EngineError::Options)?;
    let options = BuildOptions {
        prompt: prompt_features(streams)?.or(options.prompt),
        vectors: joined_numbers(streams)?.or(options.vectors),
        planes: options.planes + plane_channels(streams)?,
        ..*options
    };
    check_attention(network, &options)?;
    check_beside(network, streams, &options)?;
    let (prompts, others): (Vec<_>, Vec<_>) = streams.iter().cloned().partition(StreamSpec::is_prompt);
    let diffused: Vec<_> = others.iter().filter(|stream| stream.is_diffused()).cloned().collect();
    let mut denoiser = build_network(network, &diffused, options)?;
    if diffused.len() < others.len() {
        denoiser = Box::new(Aggregated::new(denoiser, others, options)?);
    }
    if !prompts.is_empty() {
        denoiser = Box::new(Prompted::new(denoiser, streams.to_vec(), options.device)?);
    }
    Ok(denoiser)
}

fn build_network(network: &Network, streams: &[StreamSpec], options: BuildOptions) -> Result<Box<dyn Denoiser>> {
    Ok(match network {
        Network::Part(part) => build_part(part, streams, options)?,
        Network::Coupled(config) => Box::new(Coupled::new(streams, config, options)?),
        Network::DualStream(config) => Box::new(DualStream::new(streams, config, options)?),
    })
}

fn build_part(part: &Part, streams: &[StreamSpec], options: BuildOptions) -> Result<Box<dyn Denoiser>> {
    check_part(part, streams, &options)?;
    Ok(match part {
        Part::ResidualMlp(config) => Box::new(ResidualMlp::new(streams, config, MlpLayers::default(), options)?),
        Part::UnetMlp(config) => Box::new(UnetMlp::new(streams, config, options)?),
        Part::Unet(config) => Box::new(Unet::new(streams, config, options)?),
        Part::Transformer(config) => Box::new(Transformer::new(streams, config, options)?),
    })
}

/// The features of a token of the prompts, if there are any.
fn prompt_features(streams: &[StreamSpec]) -> Result<Option<i64>> {
    let bad = |wanted, found: String| Err(EngineError::Config { field: "prompts", wanted, found });
    let mut prompts = streams.iter().filter(|stream| stream.prompt() == Some(&PromptUse::Tokens));
    let Some(first) = prompts.next() else { return Ok(None) };
    let shown = |prompt: &StreamSpec| format!("{:?} {:?}", prompt.name, prompt.shape);
    let &[_, features] = first.shape.as_slice() else { return bad("of shape [token, feature]", shown(first)) };
    match prompts.find(|prompt| prompt.shape != first.shape) {
        Some(other) => bad("of one shape", format!("{}, {}", shown(first), shown(other))),
        None => Ok(Some(features)),
    }
}

/// The numbers of all vectors, as they join the time; `None` without vectors.
fn joined_numbers(streams: &[StreamSpec]) -> Result<Option<i64>> {
    let mut numbers = None;
    for stream in streams {
        let Some(PromptUse::Vector { waves }) = stream.prompt() else { continue };
        let &[size] = stream.shape.as_slice() else {
            let found = format!("{:?} {:?}", stream.name, stream.shape);
            return Err(EngineError::Config { field: "vectors", wanted: "of shape [number]", found });
        };
        *numbers.get_or_insert(0) += size * waves.map_or(1, |waves| waves / 2 * 2);
    }
    Ok(numbers)
}

/// The channels of all planes.
fn plane_channels(streams: &[StreamSpec]) -> Result<i64> {
    let mut channels = 0;
    for stream in streams.iter().filter(|stream| stream.prompt() == Some(&PromptUse::Plane)) {
        let (3 | 4) = stream.shape.len() else {
            let found = format!("{:?} {:?}", stream.name, stream.shape);
            return Err(EngineError::Config {
                field: "planes",
                wanted: "of shape [.., channel, height, width]",
                found,
            });
        };
        channels += stream.shape[stream.shape.len() - 3];
    }
    Ok(channels)
}

/// Rejects vectors and planes that the network cannot take.
fn check_beside(network: &Network, streams: &[StreamSpec], options: &BuildOptions) -> Result<()> {
    let whole = network.whole();
    let refused = |field, wanted| {
        let found = format!("the network {:?}", network.name());
        Err(EngineError::Config { field, wanted, found })
    };
    if options.vectors.is_some() && !whole.is_some_and(Architecture::takes_vectors) {
        return refused("vectors", "a network whose time vectors can join");
    }
    if options.planes > 0 && !whole.is_some_and(Architecture::takes_planes) {
        return refused("planes", "a network with room for planes beside its streams");
    }
    let Some(diffused) = streams.iter().find(|stream| stream.is_diffused()) else { return Ok(()) };
    let planes = streams.iter().filter(|stream| stream.prompt() == Some(&PromptUse::Plane));
    for plane in planes {
        if let Some(needs) = whole.and_then(|part| part.needs(&plane.shape, &diffused.shape)) {
            let found =
                format!("plane {:?} {:?}, stream {:?} {:?}", plane.name, plane.shape, diffused.name, diffused.shape);
            return Err(EngineError::Options(format!("the network {:?} needs {needs}, found {found}", network.name())));
        }
    }
    Ok(())
}

/// Rejects parts that cannot attend to what they must, and tokens without features.
fn check_attention(network: &Network, options: &BuildOptions) -> Result<()> {
    for (field, features) in [("prompts", options.prompt), ("context", options.context)] {
        if let Some(features) = features.filter(|features| *features < 1) {
            return Err(EngineError::Config {
                field,
                wanted: "tokens of at least 1 feature",
                found: features.to_string(),
            });
        }
    }
    for part in network.parts().into_iter().filter(|part| !part.part.can_attend()) {
        let field = match part.reads_streams {
            true => "parts",
            false if part.reads_prompt && options.prompt.is_some() => "prompts",
            false => continue,
        };
        let wanted = "tokens that the network can attend to";
        return Err(EngineError::Config { field, wanted, found: format!("the network {:?}", part.part.name()) });
    }
    Ok(())
}

/// Rejects invalid sizes, and streams that the network cannot take.
fn check_part(part: &Part, streams: &[StreamSpec], options: &BuildOptions) -> Result<()> {
    part.check().map_err(EngineError::Options)?;
    let attends = options.prompt.is_some() || options.context.is_some();
    if let Some(Misfit { key, value, bound }) = part.misfits(attends).first() {
        return Err(EngineError::Options(format!("{key} must be {bound}, found {value}")));
    }
    let shapes = streams::shapes(streams);
    for stream in streams {
        if let Some(needs) = part.needs(&stream.shape, shapes[0]) {
            let found = streams.iter().map(|stream| format!("{:?} {:?}", stream.name, stream.shape));
            let found = found.collect::<Vec<_>>().join(", ");
            return Err(EngineError::Options(format!("the network {:?} needs {needs}, found {found}", part.name())));
        }
    }
    Ok(())
}
