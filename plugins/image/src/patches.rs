//! The module `patches`.

use anyflow_sdk::layers::elements;
use anyflow_sdk::tch::{Tensor, nn};
use anyflow_sdk::{Decoder, Encoder, Error, Module, ModuleDescriptor, Parameters, Role, RoleDescriptor, descriptor::*};

/// Image <-> its square patches, with the pixels of a patch as channels (space-to-depth). Lossless, with nothing to
/// train: for denoisers over few positions with many channels.
pub struct Patches {
    channel: i64,
    side: i64,
    rows: i64,
    columns: i64,
}

#[derive(serde::Deserialize)]
struct Config {
    channel: i64,
    height: i64,
    width: i64,
    maps: i64,
    rows: i64,
    columns: i64,
}

/// `[channel, height, width]`.
const IMAGE: Port = f32_port_in(&[axis("channel"), axis("height"), axis("width")], 0, 1);
/// `[map, row, column]`.
const MAPS: Port = f32_port(&[axis_of("map", "maps"), axis_of("row", "rows"), axis_of("column", "columns")]);

impl Module for Patches {
    const DESCRIPTOR: ModuleDescriptor = ModuleDescriptor {
        id: "patches",
        modality: "image",
        summary: "image <-> its square patches as channels (space-to-depth), nothing to train",
        roles: &[
            RoleDescriptor { role: Role::Encode, input: IMAGE, output: MAPS },
            RoleDescriptor { role: Role::Decode, input: MAPS, output: IMAGE },
        ],
        parameters: r#"{
            "channel": {"type": "integer", "minimum": 1},
            "height": {"type": "integer", "minimum": 1},
            "width": {"type": "integer", "minimum": 1},
            "maps": {"type": "integer", "minimum": 1, "description": "channel times the area of a patch"},
            "rows": {"type": "integer", "minimum": 1, "description": "height divided by the side of a patch"},
            "columns": {"type": "integer", "minimum": 1, "description": "width divided by the side of a patch"}
        }"#,
    };

    fn new(_path: &nn::Path<'_>, parameters: &Parameters) -> Result<Self, Error> {
        let Config { channel, height, width, maps, rows, columns } = parameters.read()?;
        elements(&[channel, height, width])?;
        elements(&[maps, rows, columns])?;
        let side = height / rows;
        let fits = side > 0 && [side * rows, side * columns] == [height, width] && channel * side * side == maps;
        if !fits {
            return Err(Error::Parameters(format!(
                "{maps} maps of {columns} x {rows} do not fit square patches of {width} x {height} with {channel} channels"
            )));
        }
        Ok(Patches { channel, side, rows, columns })
    }
}

impl Encoder for Patches {
    fn encode(&self, array: &Tensor, _train: bool) -> Result<Tensor, Error> {
        let Patches { channel, side, rows, columns } = *self;
        let count = array.size().first().copied().unwrap_or(0);
        let cut = array.f_reshape([count, channel, rows, side, columns, side])?.f_permute([0, 1, 3, 5, 2, 4])?;
        Ok(cut.f_reshape([count, channel * side * side, rows, columns])?)
    }
}

impl Decoder for Patches {
    fn decode(&self, latent: &Tensor, _train: bool) -> Result<Tensor, Error> {
        let Patches { channel, side, rows, columns } = *self;
        let count = latent.size().first().copied().unwrap_or(0);
        let cut = latent.f_reshape([count, channel, side, side, rows, columns])?.f_permute([0, 1, 4, 2, 5, 3])?;
        Ok(cut.f_reshape([count, channel, side * rows, side * columns])?.f_clamp(0.0, 1.0)?)
    }
}

#[cfg(test)]
mod tests {
    use anyflow_sdk::tch::{Device, Kind};
    use serde_json::json;

    use super::*;

    fn parameters(maps: i64, rows: i64, columns: i64) -> Parameters {
        Parameters::new(json!({
            "channel": 3, "height": 8, "width": 12, "maps": maps, "rows": rows, "columns": columns
        }))
    }

    #[test]
    fn images_map_to_patches_and_back_exactly() {
        let variables = nn::VarStore::new(Device::Cpu);
        let module = Patches::new(&variables.root(), &parameters(12, 4, 6)).unwrap();
        for rows in [0, 1, 3] {
            let image = Tensor::rand([rows, 3, 8, 12], (Kind::Float, Device::Cpu));
            let maps = module.encode(&image, true).unwrap();
            assert_eq!(maps.size(), [rows, 12, 4, 6]);
            assert_eq!(module.decode(&maps, true).unwrap(), image);
        }
    }

    #[test]
    fn impossible_sizes_are_refused() {
        let variables = nn::VarStore::new(Device::Cpu);
        for (maps, rows, columns) in [(12, 4, 4), (27, 3, 4), (48, 4, 6), (12, 9, 6), (12, 0, 0)] {
            let made = Patches::new(&variables.root(), &parameters(maps, rows, columns));
            assert!(matches!(made, Err(Error::Parameters(_))), "{maps} x {rows} x {columns}");
        }
    }
}
