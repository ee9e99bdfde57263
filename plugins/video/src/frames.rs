//! The codecs `gray` and `rgb`: an animation <-> its frames.

use anyflow_sdk::{Cell, Codec, CodecDescriptor, Error, OwnedCell, Parameters, descriptor::*};
use image::DynamicImage;

use crate::animation::{self, Shape};

/// Parameters of both codecs.
const PARAMETERS: &str = r#"{
    "frames": {"type": "integer", "minimum": 1, "maximum": 256, "default": 8},
    "height": {"type": "integer", "minimum": 1, "maximum": 1024, "default": 28},
    "width": {"type": "integer", "minimum": 1, "maximum": 1024, "default": 28},
    "fps": {"type": "number", "exclusiveMinimum": 0, "maximum": 100, "default": 8,
            "description": "frames a second of files that are written"}
}"#;

/// A GIF or APNG file <-> the luma of its frames between 0 and 1; files are written as GIF.
pub struct Gray(Shape);

impl Codec for Gray {
    type Element = f32;

    const DESCRIPTOR: CodecDescriptor = CodecDescriptor {
        id: "gray",
        modality: "video",
        summary: "animation <-> luma of its frames",
        cell: CellKind::Bytes,
        feature: "Video",
        array: f32_port_in(&[axis_of("frame", "frames"), fixed("channel", 1), axis("height"), axis("width")], 0, 1),
        parameters: PARAMETERS,
    };

    fn new(parameters: &Parameters) -> Result<Self, Error> {
        Shape::new(parameters).map(Gray)
    }

    fn encode(&self, cell: Cell<'_>, array: &mut [f32]) -> Result<(), Error> {
        let frames = animation::read(cell.bytes()?, self.0)?;
        fill(array, frames.into_iter().map(|frame| frame.into_luma8().into_raw()), 1);
        Ok(())
    }

    fn decode(&self, array: &[f32]) -> Result<OwnedCell, Error> {
        animation::write(array, self.0, 1).map(OwnedCell::Bytes)
    }
}

/// A GIF or APNG file <-> red, green and blue of its frames between 0 and 1; files are written as GIF, each frame with
/// 256 colours.
pub struct Rgb(Shape);

impl Codec for Rgb {
    type Element = f32;

    const DESCRIPTOR: CodecDescriptor = CodecDescriptor {
        id: "rgb",
        modality: "video",
        summary: "animation <-> red, green and blue of its frames",
        cell: CellKind::Bytes,
        feature: "Video",
        array: f32_port_in(&[axis_of("frame", "frames"), fixed("channel", 3), axis("height"), axis("width")], 0, 1),
        parameters: PARAMETERS,
    };

    fn new(parameters: &Parameters) -> Result<Self, Error> {
        Shape::new(parameters).map(Rgb)
    }

    fn encode(&self, cell: Cell<'_>, array: &mut [f32]) -> Result<(), Error> {
        let frames = animation::read(cell.bytes()?, self.0)?;
        fill(array, frames.into_iter().map(|frame: DynamicImage| frame.into_rgb8().into_raw()), 3);
        Ok(())
    }

    fn decode(&self, array: &[f32]) -> Result<OwnedCell, Error> {
        animation::write(array, self.0, 3).map(OwnedCell::Bytes)
    }
}

/// Frames `[pixel, channel]` into `array: [frame, channel, pixel]`.
fn fill(array: &mut [f32], frames: impl ExactSizeIterator<Item = Vec<u8>>, channels: usize) {
    let of_frame = array.len() / frames.len().max(1);
    for (frame, out) in frames.zip(array.chunks_exact_mut(of_frame.max(1))) {
        let pixels = of_frame / channels;
        for (channel, plane) in out.chunks_exact_mut(pixels.max(1)).enumerate() {
            for (value, byte) in plane.iter_mut().zip(frame.iter().skip(channel).step_by(channels)) {
                *value = f32::from(*byte) / 255.0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn parameters(frames: usize, height: u32, width: u32) -> Parameters {
        Parameters::new(json!({"frames": frames, "height": height, "width": width, "fps": 8.0}))
    }

    /// A bright square that moves from frame to frame.
    fn film(frames: usize, channels: usize, side: usize) -> Vec<f32> {
        let mut array = vec![0.0; frames * channels * side * side];
        for (at, value) in array.iter_mut().enumerate() {
            let (frame, channel) = (at / (channels * side * side), at / (side * side) % channels);
            let (y, x) = (at / side % side, at % side);
            if x.abs_diff(frame) < 2 && y.abs_diff(side / 2) < 2 {
                *value = [1.0, 0.6, 0.2][channel];
            }
        }
        array
    }

    fn there_and_back(codec: &impl Codec<Element = f32>, film: &[f32]) -> Vec<f32> {
        let OwnedCell::Bytes(file) = codec.decode(film).unwrap() else { panic!("not a file") };
        assert!(file.starts_with(b"GIF89a"));
        let mut back = vec![0.0; film.len()];
        codec.encode(Cell::Bytes(&file), &mut back).unwrap();
        back
    }

    #[test]
    fn films_come_back_frame_by_frame() {
        let gray = Gray::new(&parameters(5, 8, 8)).unwrap();
        let rgb = Rgb::new(&parameters(5, 8, 8)).unwrap();
        for (back, film) in [
            (there_and_back(&gray, &film(5, 1, 8)), film(5, 1, 8)),
            (there_and_back(&rgb, &film(5, 3, 8)), film(5, 3, 8)),
        ] {
            assert!(back.iter().zip(&film).all(|(a, b)| (a - b).abs() < 0.01));
        }
    }

    #[test]
    fn other_numbers_of_frames_and_sizes_are_brought_to_the_asked_ones() {
        let written = Gray::new(&parameters(9, 8, 8)).unwrap().decode(&film(9, 1, 8)).unwrap();
        let OwnedCell::Bytes(file) = written else { panic!("not a file") };
        let mut fewer = vec![0.0; 3 * 64];
        Gray::new(&parameters(3, 8, 8)).unwrap().encode(Cell::Bytes(&file), &mut fewer).unwrap();
        let whole = film(9, 1, 8);
        for (at, of) in [0, 4, 8].into_iter().enumerate() {
            assert!(fewer[at * 64..][..64].iter().zip(&whole[of * 64..][..64]).all(|(a, b)| (a - b).abs() < 0.01));
        }
        let mut larger = vec![0.0; 9 * 16 * 16];
        Gray::new(&parameters(9, 16, 16)).unwrap().encode(Cell::Bytes(&file), &mut larger).unwrap();
        assert!(larger.iter().all(|value| (0.0..=1.0).contains(value)) && larger.iter().any(|value| *value > 0.9));
    }

    #[test]
    fn what_is_no_film_is_refused() {
        let codec = Gray::new(&parameters(4, 8, 8)).unwrap();
        let mut array = vec![0.0; 4 * 64];
        for bytes in
            [&b""[..], b"GIF89a", b"GIF89a\xff\xff\xff\xff\x80\0\0\0\0\0\xff\xff\xff;", b"\x89PNG\r\n\x1a\n", b"RIFF"]
        {
            assert!(matches!(codec.encode(Cell::Bytes(bytes), &mut array), Err(Error::Data(_))), "{bytes:?}");
        }
        assert!(matches!(codec.encode(Cell::I64(1), &mut array), Err(Error::Data(_))));
        assert!(matches!(codec.decode(&[f32::NAN; 256]), Err(Error::Data(_))));
        for (frames, side) in [(0, 8), (257, 8), (4, 0), (4, 1025)] {
            assert!(matches!(Gray::new(&parameters(frames, side, 8)), Err(Error::Parameters(_))));
        }
    }

    proptest! {
        #[test]
        fn damaged_files_are_read_or_refused(changes in prop::collection::vec((0usize..200, any::<u8>()), 0..8), keep in 0usize..400) {
            let codec = Gray::new(&parameters(4, 8, 8)).unwrap();
            let OwnedCell::Bytes(mut file) = codec.decode(&film(4, 1, 8)).unwrap() else { panic!("not a file") };
            for (at, byte) in changes {
                let at = at % file.len();
                file[at] = byte;
            }
            file.truncate(keep);
            let mut array = vec![0.0; 4 * 64];
            prop_assert!(matches!(codec.encode(Cell::Bytes(&file), &mut array), Ok(()) | Err(Error::Data(_))));
        }
    }
}
