//! The codecs `gray` and `rgb`: an image file <-> its pixels.

use anyflow_sdk::{Cell, Codec, CodecDescriptor, Error, OwnedCell, Parameters, descriptor::*};
use image::ExtendedColorType;

use crate::pixels::{self, Size};

/// Parameters of both codecs.
const PARAMETERS: &str = r#"{
    "height": {"type": "integer", "minimum": 1, "maximum": 2048, "default": 28},
    "width": {"type": "integer", "minimum": 1, "maximum": 2048, "default": 28}
}"#;

/// A PNG, JPEG, GIF or BMP file <-> its luma between 0 and 1. Decodes to 8-bit PNG.
pub struct Gray(Size);

impl Codec for Gray {
    type Element = f32;

    const DESCRIPTOR: CodecDescriptor = CodecDescriptor {
        id: "gray",
        modality: "image",
        summary: "image file <-> luma",
        cell: CellKind::Bytes,
        feature: "Image",
        array: f32_port_in(&[fixed("channel", 1), axis("height"), axis("width")], 0, 1),
        parameters: PARAMETERS,
    };

    fn new(parameters: &Parameters) -> Result<Self, Error> {
        Size::new(parameters).map(Gray)
    }

    fn encode(&self, cell: Cell<'_>, array: &mut [f32]) -> Result<(), Error> {
        let image = pixels::read(cell.bytes()?, self.0)?.into_luma16();
        pixels::planes_from_interleaved(image.as_raw(), 1, array);
        Ok(())
    }

    fn decode(&self, array: &[f32]) -> Result<OwnedCell, Error> {
        pixels::write(array, self.0, ExtendedColorType::L8).map(OwnedCell::Bytes)
    }
}

/// A PNG, JPEG, GIF or BMP file <-> its red, green and blue between 0 and 1. Decodes to 8-bit PNG.
pub struct Rgb(Size);

impl Codec for Rgb {
    type Element = f32;

    const DESCRIPTOR: CodecDescriptor = CodecDescriptor {
        id: "rgb",
        modality: "image",
        summary: "image file <-> red, green and blue",
        cell: CellKind::Bytes,
        feature: "Image",
        array: f32_port_in(&[fixed("channel", 3), axis("height"), axis("width")], 0, 1),
        parameters: PARAMETERS,
    };

    fn new(parameters: &Parameters) -> Result<Self, Error> {
        Size::new(parameters).map(Rgb)
    }

    fn encode(&self, cell: Cell<'_>, array: &mut [f32]) -> Result<(), Error> {
        let image = pixels::read(cell.bytes()?, self.0)?.into_rgb16();
        pixels::planes_from_interleaved(image.as_raw(), 3, array);
        Ok(())
    }

    fn decode(&self, array: &[f32]) -> Result<OwnedCell, Error> {
        pixels::write(array, self.0, ExtendedColorType::Rgb8).map(OwnedCell::Bytes)
    }
}

#[cfg(test)]
mod tests;
