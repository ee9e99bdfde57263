//! Ready-made perceptron modules for arrays of any shape: an autoencoder and a prompt encoder.
//!
//! A modality describes its array once, as a [`FlatArray`]; ports and parameters of both modules follow from its port.
//!
//! ```
//! use anyflow_sdk::descriptor::*;
//! use anyflow_sdk::perceptron::{Autoencoder, FlatArray, Prompt};
//!
//! /// Log-mel maps `[channel, band, frame]` between 0 and 1.
//! pub struct LogMelMap;
//!
//! impl FlatArray for LogMelMap {
//!     const MODALITY: &'static str = "audio";
//!     const NAME: &'static str = "log-mel map";
//!     const PORT: Port = f32_port_in(&[axis("channel"), axis_of("band", "bands"), axis_of("frame", "frames")], 0, 1);
//! }
//!
//! anyflow_sdk::export_plugin! {
//!     name: "sound",
//!     license: "MIT",
//!     summary: "perceptrons for log-mel maps",
//!     codecs: [],
//!     modules: [Autoencoder<LogMelMap>: Encoder + Decoder, Prompt<LogMelMap>: PromptEncoder],
//! }
//! # fn main() {}
//! ```

use std::marker::PhantomData;

use tch::{Tensor, nn};

use crate::descriptor::{Port, Size, axis, axis_of, f32_port};
use crate::layers::{FlatAutoencoder, FlatPrompt};
use crate::{Decoder, Encoder, Error, Module, ModuleDescriptor, Parameters, PromptEncoder, Role, RoleDescriptor};

mod text;
use text::Text;

/// The array of a modality. The modules of this file see it as one flat vector.
pub trait FlatArray: 'static {
    /// The modality.
    const MODALITY: &'static str;
    /// The array in one or two words, for summaries.
    const NAME: &'static str;
    /// The id of its [`Autoencoder`]. A modality with several arrays needs several ids.
    const AUTOENCODER: &'static str = "autoencoder";
    /// The id of its [`Prompt`].
    const PROMPT: &'static str = "prompt";
    /// The array's port: f32, with the range `[0, 1]` or none. Parameters that name axes are integers.
    const PORT: Port;
}

/// Array <-> latent `[latent]`, one hidden layer each way: [`FlatAutoencoder`] as a module. If the port
/// has the range `[0, 1]`, a sigmoid keeps decoded values within it.
pub struct Autoencoder<A> {
    network: FlatAutoencoder,
    array: PhantomData<fn() -> A>,
}

impl<A: FlatArray> Autoencoder<A> {
    const SUMMARY: &'static Text = &Text::new().push(A::NAME).push(" <-> latent, a perceptron each way");
    const PARAMETERS: &'static Text = &parameters(
        &A::PORT,
        r#""latent": {"type": "integer", "minimum": 1, "default": 24},
            "hidden": {"type": "integer", "minimum": 1, "default": 256}"#,
    );
    const HAS_SIGMOID: bool = match A::PORT.range {
        None => false,
        Some([0, 1]) => true,
        Some(_) => panic!("the port of a FlatArray has the range [0, 1] or none"),
    };
}

#[derive(serde::Deserialize)]
struct AutoencoderConfig {
    latent: i64,
    hidden: i64,
}

/// `[latent]`.
const LATENT: Port = f32_port(&[axis("latent")]);

impl<A: FlatArray> Module for Autoencoder<A> {
    const DESCRIPTOR: ModuleDescriptor = ModuleDescriptor {
        id: A::AUTOENCODER,
        modality: A::MODALITY,
        summary: Self::SUMMARY.as_str(),
        roles: &[
            RoleDescriptor { role: Role::Encode, input: A::PORT, output: LATENT },
            RoleDescriptor { role: Role::Decode, input: LATENT, output: A::PORT },
        ],
        parameters: Self::PARAMETERS.as_str(),
    };

    fn new(path: &nn::Path<'_>, parameters: &Parameters) -> Result<Self, Error> {
        let AutoencoderConfig { latent, hidden } = parameters.read()?;
        let network = FlatAutoencoder::new(path, &sizes(&A::PORT, parameters)?, hidden, latent)?;
        Ok(Autoencoder { network, array: PhantomData })
    }
}

impl<A: FlatArray> Encoder for Autoencoder<A> {
    fn encode(&self, array: &Tensor, _train: bool) -> Result<Tensor, Error> {
        self.network.encode(array)
    }
}

impl<A: FlatArray> Decoder for Autoencoder<A> {
    fn decode(&self, latent: &Tensor, _train: bool) -> Result<Tensor, Error> {
        let array = self.network.decode(latent)?;
        if Self::HAS_SIGMOID { Ok(array.f_sigmoid()?) } else { Ok(array) }
    }
}

/// Array -> tokens `[token, feature]` of unit length, two hidden layers: [`FlatPrompt`] as a module.
pub struct Prompt<A> {
    network: FlatPrompt,
    array: PhantomData<fn() -> A>,
}

impl<A: FlatArray> Prompt<A> {
    const SUMMARY: &'static Text =
        &Text::new().push(A::NAME).push(" -> tokens of unit length, a perceptron with two hidden layers");
    const PARAMETERS: &'static Text = &parameters(
        &A::PORT,
        r#""hidden": {"type": "integer", "minimum": 1, "default": 256},
            "tokens": {"type": "integer", "minimum": 1, "maximum": 4096, "default": 1},
            "features": {"type": "integer", "minimum": 1, "maximum": 65536, "default": 64},
            "dropout": {"type": "number", "minimum": 0, "maximum": 0.9, "default": 0.1}"#,
    );
}

#[derive(serde::Deserialize)]
struct PromptConfig {
    hidden: i64,
    tokens: i64,
    features: i64,
    dropout: f64,
}

impl<A: FlatArray> Module for Prompt<A> {
    const DESCRIPTOR: ModuleDescriptor = ModuleDescriptor {
        id: A::PROMPT,
        modality: A::MODALITY,
        summary: Self::SUMMARY.as_str(),
        roles: &[RoleDescriptor {
            role: Role::Embed,
            input: A::PORT,
            output: f32_port(&[axis_of("token", "tokens"), axis_of("feature", "features")]),
        }],
        parameters: Self::PARAMETERS.as_str(),
    };

    fn new(path: &nn::Path<'_>, parameters: &Parameters) -> Result<Self, Error> {
        let PromptConfig { hidden, tokens, features, dropout } = parameters.read()?;
        let network = FlatPrompt::new(path, &sizes(&A::PORT, parameters)?, hidden, [tokens, features], dropout)?;
        Ok(Prompt { network, array: PhantomData })
    }
}

impl<A: FlatArray> PromptEncoder for Prompt<A> {
    fn embed(&self, array: &Tensor, train: bool) -> Result<Tensor, Error> {
        self.network.embed(array, train)
    }
}

/// The JSON object of a module's parameters: an integer for each axis of `port`, then `others`.
const fn parameters(port: &Port, others: &str) -> Text {
    let mut text = Text::new().push("{");
    let mut i = 0;
    while i < port.axes.len() {
        if let Size::Parameter(name) = port.axes[i].size {
            text = text.push("\"").push(name).push("\": {\"type\": \"integer\", \"minimum\": 1}, ");
        }
        i += 1;
    }
    text.push(others).push("}")
}

/// The sizes of the axes of `port`.
fn sizes(port: &Port, parameters: &Parameters) -> Result<Vec<i64>, Error> {
    let size = |size| match size {
        Size::Fixed(size) => Ok(size),
        Size::Parameter(name) => parameters.integer(name),
    };
    port.axes.iter().map(|axis| size(axis.size)).collect()
}

#[cfg(all(test, feature = "testkit"))]
mod tests;
