//! The module `maps`.

use anyflow_sdk::layers::{Conv2d, Norm, elements};
use anyflow_sdk::tch::{Tensor, nn};
use anyflow_sdk::{Decoder, Encoder, Error, Module, ModuleDescriptor, Parameters, Role, RoleDescriptor, descriptor::*};

/// Image -> feature maps of a quarter of its height and width -> image between 0 and 1: a convolutional autoencoder for
/// denoisers over image-shaped latents.
pub struct Maps {
    encoder: [Conv2d; 3],
    decoder: [Conv2d; 3],
    /// One before each activation.
    norms: [Norm; 4],
    size: [i64; 2],
}

/// The factor by which the maps are smaller than the image, in height and in width.
const REDUCTION: i64 = 4;

#[derive(serde::Deserialize)]
struct Config {
    channel: i64,
    height: i64,
    width: i64,
    maps: i64,
    rows: i64,
    columns: i64,
    hidden: i64,
}

/// `[channel, height, width]`.
const IMAGE: Port = f32_port_in(&[axis("channel"), axis("height"), axis("width")], 0, 1);
/// `[map, row, column]`.
const MAPS: Port = f32_port(&[axis_of("map", "maps"), axis_of("row", "rows"), axis_of("column", "columns")]);

impl Module for Maps {
    const DESCRIPTOR: ModuleDescriptor = ModuleDescriptor {
        id: "maps",
        modality: "image",
        summary: "image <-> feature maps of a quarter of its height and width, a convolutional autoencoder",
        roles: &[
            RoleDescriptor { role: Role::Encode, input: IMAGE, output: MAPS },
            RoleDescriptor { role: Role::Decode, input: MAPS, output: IMAGE },
        ],
        parameters: r#"{
            "channel": {"type": "integer", "minimum": 1},
            "height": {"type": "integer", "minimum": 4},
            "width": {"type": "integer", "minimum": 4},
            "maps": {"type": "integer", "minimum": 1, "default": 4},
            "rows": {"type": "integer", "minimum": 1, "examples": [2], "description": "a quarter of height"},
            "columns": {"type": "integer", "minimum": 1, "examples": [2], "description": "a quarter of width"},
            "hidden": {"type": "integer", "minimum": 1, "default": 32}
        }"#,
    };

    fn new(path: &nn::Path<'_>, parameters: &Parameters) -> Result<Self, Error> {
        let Config { channel, height, width, maps, rows, columns, hidden } = parameters.read()?;
        elements(&[channel, height, width])?;
        elements(&[maps, rows, columns])?;
        elements(&[2 * hidden.clamp(0, 1 << 20), hidden, 9])?;
        if [height, width] != [REDUCTION * rows, REDUCTION * columns] {
            return Err(Error::Parameters(format!(
                "columns x rows is {columns} x {rows}, but a quarter of {width} x {height} is needed"
            )));
        }
        let conv = |side: &str, layer: i64, from: i64, to: i64| Conv2d::new(&(path / side / layer), from, to, 3, 1);
        let norm = |layer: i64, channels: i64| Norm::new(&(path / "norm" / layer), channels);
        Ok(Maps {
            norms: [norm(0, hidden)?, norm(1, 2 * hidden)?, norm(2, 2 * hidden)?, norm(3, hidden)?],
            encoder: [
                conv("encoder", 0, channel, hidden)?,
                conv("encoder", 1, hidden, 2 * hidden)?,
                conv("encoder", 2, 2 * hidden, maps)?,
            ],
            decoder: [
                conv("decoder", 0, maps, 2 * hidden)?,
                conv("decoder", 1, 2 * hidden, hidden)?,
                conv("decoder", 2, hidden, channel)?,
            ],
            size: [height, width],
        })
    }
}

impl Encoder for Maps {
    fn encode(&self, array: &Tensor, _train: bool) -> Result<Tensor, Error> {
        let [first, second, last] = &self.encoder;
        let half = |x: Tensor| x.f_avg_pool2d(2, 2, 0, false, true, None);
        let [fine, coarse, ..] = &self.norms;
        let x = half(fine.forward(&first.forward(array)?)?.f_silu()?)?;
        let x = half(coarse.forward(&second.forward(&x)?)?.f_silu()?)?;
        last.forward(&x)
    }
}

impl Decoder for Maps {
    fn decode(&self, latent: &Tensor, _train: bool) -> Result<Tensor, Error> {
        let [first, second, last] = &self.decoder;
        let [height, width] = self.size;
        let [.., coarse, fine] = &self.norms;
        let x = coarse.forward(&first.forward(latent)?)?.f_silu()?;
        let x = second.forward(&x.f_upsample_nearest2d([height / 2, width / 2], None, None)?)?;
        let x = fine.forward(&x)?.f_silu()?;
        let x = last.forward(&x.f_upsample_nearest2d([height, width], None, None)?)?;
        Ok(x.f_sigmoid()?)
    }
}

#[cfg(test)]
mod tests {
    use anyflow_sdk::tch::{Device, Kind};
    use anyflow_sdk::testkit::check_network;
    use serde_json::json;

    use super::*;

    fn parameters(height: i64, rows: i64) -> Parameters {
        Parameters::new(json!({
            "channel": 3, "height": height, "width": 12, "maps": 2, "rows": rows, "columns": 3, "hidden": 8
        }))
    }

    #[test]
    fn images_map_to_feature_maps_and_back() {
        let variables = nn::VarStore::new(Device::Cpu);
        let module = Maps::new(&variables.root(), &parameters(8, 2)).unwrap();
        check_network(&variables, &[3, 8, 12], &[3, 8, 12], |x| module.decode(&module.encode(x, true)?, true));
        let latent = module.encode(&Tensor::zeros([2, 3, 8, 12], (Kind::Float, Device::Cpu)), false).unwrap();
        assert_eq!(latent.size(), [2, 2, 2, 3]);
    }

    #[test]
    fn impossible_sizes_are_refused() {
        let variables = nn::VarStore::new(Device::Cpu);
        for (height, rows) in [(0, 0), (-4, -1), (8, 3), (10, 2), (i64::MAX, 2)] {
            let made = Maps::new(&variables.root(), &parameters(height, rows));
            assert!(matches!(made, Err(Error::Parameters(_))), "height {height}");
        }
    }
}
