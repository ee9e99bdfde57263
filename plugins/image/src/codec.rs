//! The codecs `gray` and `rgb`: an image file <-> its pixels.

use anyflow_sdk::{Cell, Codec, CodecDescriptor, Error, OwnedCell, Parameters, descriptor::*};
use image::ExtendedColorType;

use crate::pixels::{Look, parameters};

/// An image file <-> its luma between 0 and 1. Decodes to 8-bit PNG.
pub struct Gray(Look);

impl Codec for Gray {
    type Element = f32;

    const DESCRIPTOR: CodecDescriptor = CodecDescriptor {
        id: "gray",
        modality: "image",
        summary: "image file <-> luma (shipped models of digits: white on black, upright, filling the image)",
        cell: CellKind::Bytes,
        feature: "Image",
        array: f32_port_in(&[fixed("channel", 1), axis("height"), axis("width")], 0, 1),
        parameters: parameters!(),
    };

    fn new(parameters: &Parameters) -> Result<Self, Error> {
        Look::new(parameters).map(Gray)
    }

    fn encode(&self, cell: Cell<'_>, array: &mut [f32]) -> Result<(), Error> {
        let image = self.0.read(cell.bytes()?)?.into_luma16();
        self.0.planes_from_interleaved(image.as_raw(), 1, array);
        Ok(())
    }

    fn decode(&self, array: &[f32]) -> Result<OwnedCell, Error> {
        self.0.write(array, ExtendedColorType::L8).map(OwnedCell::Bytes)
    }
}

/// An image file <-> its red, green and blue between 0 and 1. Decodes to 8-bit PNG.
pub struct Rgb(Look);

impl Codec for Rgb {
    type Element = f32;

    const DESCRIPTOR: CodecDescriptor = CodecDescriptor {
        id: "rgb",
        modality: "image",
        summary: "image file <-> red, green and blue",
        cell: CellKind::Bytes,
        feature: "Image",
        array: f32_port_in(&[fixed("channel", 3), axis("height"), axis("width")], 0, 1),
        parameters: parameters!(),
    };

    fn new(parameters: &Parameters) -> Result<Self, Error> {
        Look::new(parameters).map(Rgb)
    }

    fn encode(&self, cell: Cell<'_>, array: &mut [f32]) -> Result<(), Error> {
        let image = self.0.read(cell.bytes()?)?.into_rgb16();
        self.0.planes_from_interleaved(image.as_raw(), 3, array);
        Ok(())
    }

    fn decode(&self, array: &[f32]) -> Result<OwnedCell, Error> {
        self.0.write(array, ExtendedColorType::Rgb8).map(OwnedCell::Bytes)
    }
}

#[cfg(test)]
mod tests;
