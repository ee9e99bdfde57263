//! The module `autoencoder`.

use anyflow_sdk::layers::FlatAutoencoder;
use anyflow_sdk::tch::{Tensor, nn};
use anyflow_sdk::{Decoder, Encoder, Error, Module, ModuleDescriptor, Parameters, Role, RoleDescriptor, descriptor::*};

/// Each frame <-> its own latent, with one [`FlatAutoencoder`] that all frames share. Decoded values are between 0 and
/// 1.
pub struct Autoencoder {
    frame: FlatAutoencoder,
    frames: i64,
}

#[derive(serde::Deserialize)]
struct Config {
    frames: i64,
    channel: i64,
    height: i64,
    width: i64,
    latent: i64,
    hidden: i64,
}

/// `[frame, channel, height, width]`.
const VIDEO: Port = f32_port_in(&[axis_of("frame", "frames"), axis("channel"), axis("height"), axis("width")], 0, 1);
/// `[frame, latent]`.
const LATENT: Port = f32_port(&[axis_of("frame", "frames"), axis("latent")]);

impl Module for Autoencoder {
    const DESCRIPTOR: ModuleDescriptor = ModuleDescriptor {
        id: "autoencoder",
        modality: "video",
        summary: "frames <-> one latent each, a perceptron each way",
        roles: &[
            RoleDescriptor { role: Role::Encode, input: VIDEO, output: LATENT },
            RoleDescriptor { role: Role::Decode, input: LATENT, output: VIDEO },
        ],
        parameters: r#"{
            "frames": {"type": "integer", "minimum": 1},
            "channel": {"type": "integer", "minimum": 1},
            "height": {"type": "integer", "minimum": 1},
            "width": {"type": "integer", "minimum": 1},
            "latent": {"type": "integer", "minimum": 1, "default": 12},
            "hidden": {"type": "integer", "minimum": 1, "default": 256}
        }"#,
    };

    fn new(path: &nn::Path<'_>, parameters: &Parameters) -> Result<Self, Error> {
        let Config { frames, channel, height, width, latent, hidden } = parameters.read()?;
        let frame = FlatAutoencoder::new(path, &[channel, height, width], hidden, latent)?;
        anyflow_sdk::layers::elements(&[frames, channel, height, width])?;
        Ok(Autoencoder { frame, frames })
    }
}

impl Encoder for Autoencoder {
    fn encode(&self, array: &Tensor, _train: bool) -> Result<Tensor, Error> {
        let latent = self.frame.encode(&array.f_flatten(0, 1)?)?;
        Ok(latent.f_view([array.size()[0], self.frames, latent.size()[1]])?)
    }
}

impl Decoder for Autoencoder {
    fn decode(&self, latent: &Tensor, _train: bool) -> Result<Tensor, Error> {
        let frames = self.frame.decode(&latent.f_flatten(0, 1)?)?.f_sigmoid()?;
        let mut shape = vec![latent.size()[0], self.frames];
        shape.extend(&frames.size()[1..]);
        Ok(frames.f_view(shape.as_slice())?)
    }
}

#[cfg(test)]
mod tests {
    use anyflow_sdk::tch::{Device, Kind};
    use anyflow_sdk::testkit::check_network;
    use serde_json::json;

    use super::*;

    fn parameters(frames: i64) -> Parameters {
        Parameters::new(json!({"frames": frames, "channel": 1, "height": 4, "width": 5, "latent": 7, "hidden": 16}))
    }

    #[test]
    fn videos_map_to_latents_and_back() {
        let variables = nn::VarStore::new(Device::Cpu);
        let module = Autoencoder::new(&variables.root(), &parameters(3)).unwrap();
        let video = [3, 1, 4, 5];
        check_network(&variables, &video, &video, |x| module.decode(&module.encode(x, true)?, true));
        let videos = Tensor::rand([2, 3, 1, 4, 5], (Kind::Float, Device::Cpu));
        let latent = module.encode(&videos, false).unwrap();
        assert_eq!(latent.size(), [2, 3, 7]);
        // A frame's latent does not depend on the other frames.
        let alone = module.frame.encode(&videos.get(1).get(2).unsqueeze(0)).unwrap();
        assert!((latent.get(1).get(2) - alone.get(0)).abs().max().double_value(&[]) < 1e-6, "f32");
    }

    #[test]
    fn impossible_sizes_are_refused() {
        let variables = nn::VarStore::new(Device::Cpu);
        for frames in [0, -1, i64::MAX] {
            assert!(matches!(Autoencoder::new(&variables.root(), &parameters(frames)), Err(Error::Parameters(_))));
        }
    }
}
