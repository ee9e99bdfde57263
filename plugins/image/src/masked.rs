//! The codec `masked`: an image with hidden square patches.

use anyflow_sdk::{Cell, Codec, CodecDescriptor, Error, OwnedCell, Parameters, descriptor::*};
use image::ExtendedColorType;

use crate::pixels::{Look, parameters};

/// An image file -> its luma between 0 and 1, with some patches in one shade. The pixels seed the choice
/// of patches, so that an image always has the same patches hidden. Decoding writes the image as it is.
pub struct Masked {
    look: Look,
    hiding: Hiding,
}

#[derive(serde::Deserialize)]
struct Hiding {
    height: usize,
    width: usize,
    patch: usize,
    least: f64,
    most: f64,
    shade: f32,
}

impl Codec for Masked {
    type Element = f32;

    const DESCRIPTOR: CodecDescriptor = CodecDescriptor {
        id: "masked",
        modality: "image",
        summary: "image file -> luma with hidden patches",
        cell: CellKind::Bytes,
        feature: "Image",
        array: f32_port_in(&[fixed("channel", 1), axis("height"), axis("width")], 0, 1),
        parameters: parameters!(
            r#",
            "patch": {"type": "integer", "minimum": 1, "maximum": 2048, "default": 4, "description": "side of a patch in pixels"},
            "least": {"type": "number", "minimum": 0, "maximum": 1, "default": 0.1, "description": "smallest hidden share"},
            "most": {"type": "number", "minimum": 0, "maximum": 1, "default": 0.9, "description": "largest hidden share"},
            "shade": {"type": "number", "minimum": 0, "maximum": 1, "default": 0.5, "description": "luma of hidden patches; 0 is black"}"#
        ),
    };

    fn new(parameters: &Parameters) -> Result<Self, Error> {
        let look = Look::new(parameters)?;
        let hiding: Hiding = parameters.read()?;
        if hiding.patch == 0 || !(0.0..=1.0).contains(&hiding.least) || !(hiding.least..=1.0).contains(&hiding.most) {
            let Hiding { patch, least, most, .. } = hiding;
            return Err(Error::Parameters(format!(
                "patch is {patch}, least {least}, most {most}; patch must be positive, and 0 <= least <= most <= 1"
            )));
        }
        Ok(Masked { look, hiding })
    }

    fn encode(&self, cell: Cell<'_>, array: &mut [f32]) -> Result<(), Error> {
        let image = self.look.read(cell.bytes()?)?.into_luma16();
        self.look.planes_from_interleaved(image.as_raw(), 1, array);
        self.hiding.hide(seed(image.as_raw()), array);
        Ok(())
    }

    fn decode(&self, array: &[f32]) -> Result<OwnedCell, Error> {
        self.look.write(array, ExtendedColorType::L8).map(OwnedCell::Bytes)
    }
}

impl Hiding {
    /// Hides a random share of the patches, in a random order (Fisher-Yates).
    fn hide(&self, seed: u64, array: &mut [f32]) {
        let mut state = seed;
        let share = self.least + uniform(&mut state) * (self.most - self.least);
        let rows = self.height.div_ceil(self.patch);
        let columns = self.width.div_ceil(self.patch);
        let mut order: Vec<usize> = (0..rows * columns).collect();
        let hidden = (share * order.len() as f64).round() as usize;
        for index in 0..hidden {
            let rest = order.len() - index;
            order.swap(index, index + ((uniform(&mut state) * rest as f64) as usize).min(rest - 1));
            let top = order[index] / columns * self.patch;
            let left = order[index] % columns * self.patch;
            for row in array.chunks_mut(self.width).skip(top).take(self.patch) {
                row.iter_mut().skip(left).take(self.patch).for_each(|value| *value = self.shade);
            }
        }
    }
}

/// A hash of the pixels (FNV-1a).
fn seed(pixels: &[u16]) -> u64 {
    let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
    pixels.iter().flat_map(|pixel| pixel.to_le_bytes()).fold(0xCBF2_9CE4_8422_2325, mix)
}

/// The next number in [0, 1) of SplitMix64.
fn uniform(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    /// Luma of hidden patches.
    const SHADE: f32 = 0.25;

    use super::*;

    fn masked(least: f64, most: f64) -> Result<Masked, Error> {
        Masked::new(&Parameters::new(json!({
            "height": 10, "width": 12, "patch": 4, "least": least, "most": most, "shade": SHADE
        })))
    }

    fn encoded(codec: &Masked, shade: f32) -> Vec<f32> {
        let file = codec.look.write(&[shade; 120], ExtendedColorType::L8).unwrap();
        let mut array = vec![0.0; 120];
        codec.encode(Cell::Bytes(&file), &mut array).unwrap();
        array
    }

    #[test]
    fn the_asked_share_of_patches_is_hidden_the_same_each_time() {
        // Nine patches; those in the last row are two pixels high.
        for (share, hidden) in [(0.0, 0), (0.5, 5), (1.0, 9)] {
            let array = encoded(&masked(share, share).unwrap(), 1.0);
            let corners = (0..3).flat_map(|row| (0..3).map(move |column| row * 4 * 12 + column * 4));
            assert_eq!(corners.filter(|corner| array[*corner] == SHADE).count(), hidden);
            assert!(array.iter().all(|value| [SHADE, 1.0].contains(value)));
        }
        let codec = masked(0.1, 0.9).unwrap();
        assert_eq!(encoded(&codec, 1.0), encoded(&codec, 1.0));
        let masks = |shade: f32| encoded(&codec, shade).iter().map(|value| *value == SHADE).collect::<Vec<_>>();
        let others = [0.1, 0.2, 0.3, 0.4].map(masks);
        assert!(others.iter().any(|other| *other != masks(1.0)));
    }

    #[test]
    fn impossible_shares_are_refused() {
        for (least, most) in [(-0.1, 0.5), (0.5, 0.4), (0.5, 1.5)] {
            assert!(matches!(masked(least, most), Err(Error::Parameters(_))), "{least} to {most}");
        }
    }
}
