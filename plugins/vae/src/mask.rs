//! The module `mask`.

use anyflow_sdk::layers::elements;
use anyflow_sdk::tch::{Kind, Tensor, nn};
use anyflow_sdk::{Encoder, Error, Module, ModuleDescriptor, Parameters, Role, RoleDescriptor, descriptor::*};

/// Mask between 0 and 1 -> 0 or 1 for each element of a latent, by the pixel in its corner (nearest neighbour). It has no
/// weights.
pub struct Mask {
    rows: i64,
    columns: i64,
    invert: bool,
}

#[derive(serde::Deserialize)]
struct Config {
    height: i64,
    width: i64,
    rows: i64,
    columns: i64,
    invert: bool,
}

/// Pixels that are at least as light are marked.
const MARKED: f64 = 0.5;

impl Module for Mask {
    const DESCRIPTOR: ModuleDescriptor = ModuleDescriptor {
        id: "mask",
        modality: "image",
        summary: "mask -> 0 or 1 for each element of a latent: what is painted, or what is kept",
        roles: &[RoleDescriptor {
            role: Role::Encode,
            input: f32_port_in(&[fixed("channel", 1), axis("height"), axis("width")], 0, 1),
            output: f32_port(&[fixed("map", 1), axis_of("row", "rows"), axis_of("column", "columns")]),
        }],
        parameters: r#"{
            "height": {"type": "integer", "minimum": 1},
            "width": {"type": "integer", "minimum": 1},
            "rows": {"type": "integer", "minimum": 1, "description": "height of the latent"},
            "columns": {"type": "integer", "minimum": 1, "description": "width of the latent"},
            "invert": {"type": "boolean", "default": false, "description": "1 for dark pixels: what is kept where light is painted"}
        }"#,
    };

    fn new(_path: &nn::Path<'_>, parameters: &Parameters) -> Result<Self, Error> {
        let Config { height, width, rows, columns, invert } = parameters.read()?;
        elements(&[height, width])?;
        elements(&[rows, columns])?;
        Ok(Mask { rows, columns, invert })
    }
}

impl Encoder for Mask {
    fn encode(&self, array: &Tensor, _train: bool) -> Result<Tensor, Error> {
        let small = array.f_upsample_nearest2d([self.rows, self.columns], None, None)?;
        let (small, marked) = match self.invert {
            true => (small.f_neg()?, small.f_lt(MARKED)?),
            false => (small.shallow_clone(), small.f_ge(MARKED)?),
        };
        // The gradient of the straight-through estimator (Bengio et al. 2013, section 4), beside an exact 0.
        Ok(marked.f_to_kind(Kind::Float)?.f_add(&small.f_sub(&small.f_detach()?)?)?)
    }
}

#[cfg(test)]
mod tests {
    use anyflow_sdk::tch::{Device, nn};
    use serde_json::json;

    use super::*;

    #[test]
    fn an_element_is_marked_by_its_corner() {
        let store = nn::VarStore::new(Device::Cpu);
        let made = |invert: bool| {
            let sizes = json!({"height": 4, "width": 6, "rows": 2, "columns": 3, "invert": invert});
            Mask::new(&store.root(), &Parameters::new(sizes)).unwrap()
        };
        let mut pixels = [0.0f32; 24];
        (pixels[0], pixels[3], pixels[14], pixels[16]) = (1.0, 1.0, 0.5, 0.49);
        let mask = Tensor::from_slice(&pixels).view([1, 1, 4, 6]);
        let marks = |invert| Vec::<f32>::try_from(made(invert).encode(&mask, false).unwrap().flatten(0, -1)).unwrap();
        assert_eq!(marks(false), [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
        assert_eq!(marks(true), [0.0, 1.0, 1.0, 1.0, 0.0, 1.0]);
    }
}
