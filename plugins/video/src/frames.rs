//! The codecs `gray` and `rgb`, animation <-> frames, and `gray-list` and `rgb-list`, list of images <-> frames.

use anyflow_sdk::{Cell, Codec, CodecDescriptor, Error, OwnedCell, Parameters, Partial, descriptor::*};
use image::DynamicImage;

use crate::animation;
use crate::excerpt::Excerpt;
use crate::shape::Shape;

/// Parameters of the file codecs.
const OF_FILES: &str = r#"{
    "frames": {"type": "integer", "minimum": 1, "maximum": 256, "default": 8},
    "height": {"type": "integer", "minimum": 1, "maximum": 1024, "default": 28},
    "width": {"type": "integer", "minimum": 1, "maximum": 1024, "default": 28},
    "fps": {"type": "number", "exclusiveMinimum": 0, "maximum": 100, "default": 8,
            "description": "frames per second of decoded files"},
    "from": {"type": "number", "minimum": 0, "maximum": 86400, "default": 0, "description": "seconds of the film that are skipped"},
    "seconds": {"type": "number", "exclusiveMinimum": 0, "maximum": 86400, "default": 86400, "description": "most seconds that are read; what follows is cut"},
    "partial": {"enum": ["fail", "accept"], "default": "fail", "description": "what happens to a film that ends early"}
}"#;
/// Parameters of the list codecs.
const OF_LISTS: &str = r#"{
    "frames": {"type": "integer", "minimum": 1, "maximum": 256, "default": 8},
    "height": {"type": "integer", "minimum": 1, "maximum": 1024, "default": 28},
    "width": {"type": "integer", "minimum": 1, "maximum": 1024, "default": 28},
    "partial": {"enum": ["fail", "accept"], "default": "fail", "description": "what happens to an image that ends early"}
}"#;

/// Channels of a grey codec.
const GRAY: usize = 1;
/// Channels of a colour codec.
const RGB: usize = 3;
const GRAY_AXES: [Axis; 4] = [axis_of("frame", "frames"), fixed("channel", GRAY as i64), axis("height"), axis("width")];
const RGB_AXES: [Axis; 4] = [axis_of("frame", "frames"), fixed("channel", RGB as i64), axis("height"), axis("width")];

/// A GIF, APNG or MP4 file <-> the luma of its frames between 0 and 1. Decodes to GIF.
pub type Gray = File<GRAY>;
/// A GIF, APNG or MP4 file <-> red, green and blue of its frames between 0 and 1. Decodes to GIF, with 256 colours per
/// frame.
pub type Rgb = File<RGB>;
/// A list of images <-> their luma between 0 and 1. Decodes to PNG.
pub type GrayList = List<GRAY>;
/// A list of images <-> their red, green and blue between 0 and 1. Decodes to PNG.
pub type RgbList = List<RGB>;

/// A file of frames with `CHANNELS` channels.
pub struct File<const CHANNELS: usize> {
    shape: Shape,
    excerpt: Excerpt,
    fps: f64,
}

impl<const CHANNELS: usize> Codec for File<CHANNELS> {
    type Element = f32;

    const DESCRIPTOR: CodecDescriptor = CodecDescriptor {
        id: if CHANNELS == GRAY { "gray" } else { "rgb" },
        modality: "video",
        summary: match CHANNELS {
            GRAY => "animation <-> luma of its frames",
            _ => "animation <-> red, green and blue of its frames",
        },
        cell: CellKind::Bytes,
        feature: "Video",
        array: f32_port_in(if CHANNELS == GRAY { &GRAY_AXES } else { &RGB_AXES }, 0, 1),
        parameters: OF_FILES,
    };

    fn new(parameters: &Parameters) -> Result<Self, Error> {
        #[derive(serde::Deserialize)]
        struct Config {
            fps: f64,
        }
        let shape = Shape::new(parameters)?;
        let Config { fps } = parameters.read()?;
        if !(fps > 0.0 && fps <= 100.0) {
            return Err(Error::Parameters(format!("fps is {fps}; it must be above 0 and at most 100")));
        }
        Ok(File { shape, excerpt: Excerpt::new(parameters)?, fps })
    }

    fn encode(&self, cell: Cell<'_>, array: &mut [f32]) -> Result<(), Error> {
        fill(array, animation::read(cell.bytes()?, self.shape, &self.excerpt)?, CHANNELS);
        Ok(())
    }

    fn decode(&self, array: &[f32]) -> Result<OwnedCell, Error> {
        animation::write(array, self.shape, CHANNELS, self.fps).map(OwnedCell::Bytes)
    }
}

/// A list of files, each a frame with `CHANNELS` channels.
pub struct List<const CHANNELS: usize> {
    shape: Shape,
    partial: Partial,
}

impl<const CHANNELS: usize> Codec for List<CHANNELS> {
    type Element = f32;

    const DESCRIPTOR: CodecDescriptor = CodecDescriptor {
        id: if CHANNELS == GRAY { "gray-list" } else { "rgb-list" },
        modality: "video",
        summary: match CHANNELS {
            GRAY => "list of images <-> luma of each",
            _ => "list of images <-> red, green and blue of each",
        },
        cell: CellKind::Files,
        feature: "List(Image)",
        array: f32_port_in(if CHANNELS == GRAY { &GRAY_AXES } else { &RGB_AXES }, 0, 1),
        parameters: OF_LISTS,
    };

    fn new(parameters: &Parameters) -> Result<Self, Error> {
        #[derive(serde::Deserialize)]
        struct Config {
            #[serde(default)]
            partial: Partial,
        }
        let Config { partial } = parameters.read()?;
        Ok(List { shape: Shape::new(parameters)?, partial })
    }

    fn encode(&self, cell: Cell<'_>, array: &mut [f32]) -> Result<(), Error> {
        fill(array, animation::read_list(cell.files()?, self.shape, self.partial)?, CHANNELS);
        Ok(())
    }

    fn decode(&self, array: &[f32]) -> Result<OwnedCell, Error> {
        animation::write_list(array, self.shape, CHANNELS).map(OwnedCell::Files)
    }
}

/// Writes the frames into `array: [frame, channel, pixel]`.
fn fill(array: &mut [f32], frames: Vec<DynamicImage>, channels: usize) {
    let of_frame = array.len() / frames.len().max(1);
    for (frame, out) in frames.into_iter().zip(array.chunks_exact_mut(of_frame.max(1))) {
        let frame = if channels == GRAY { frame.into_luma8().into_raw() } else { frame.into_rgb8().into_raw() };
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
    fn video(frames: usize, channels: usize, side: usize) -> Vec<f32> {
        let mut array = vec![0.0; frames * channels * side * side];
        for (at, value) in array.iter_mut().enumerate() {
            let frame = at / (channels * side * side);
            let channel = at / (side * side) % channels;
            let y = at / side % side;
            let x = at % side;
            if x.abs_diff(frame) < 2 && y.abs_diff(side / 2) < 2 {
                *value = [1.0, 0.6, 0.2][channel];
            }
        }
        array
    }

    fn there_and_back(codec: &impl Codec<Element = f32>, video: &[f32]) -> Vec<f32> {
        let OwnedCell::Bytes(file) = codec.decode(video).unwrap() else { panic!("not a file") };
        assert!(file.starts_with(b"GIF89a"));
        let mut back = vec![0.0; video.len()];
        codec.encode(Cell::Bytes(&file), &mut back).unwrap();
        back
    }

    #[test]
    fn videos_come_back_frame_by_frame() {
        let gray = Gray::new(&parameters(5, 8, 8)).unwrap();
        let rgb = Rgb::new(&parameters(5, 8, 8)).unwrap();
        for (back, video) in [
            (there_and_back(&gray, &video(5, 1, 8)), video(5, 1, 8)),
            (there_and_back(&rgb, &video(5, 3, 8)), video(5, 3, 8)),
        ] {
            assert!(back.iter().zip(&video).all(|(a, b)| (a - b).abs() < 0.01));
        }
    }

    #[test]
    fn other_frame_counts_and_sizes_are_resampled() {
        let written = Gray::new(&parameters(9, 8, 8)).unwrap().decode(&video(9, 1, 8)).unwrap();
        let OwnedCell::Bytes(file) = written else { panic!("not a file") };
        let mut fewer = vec![0.0; 3 * 64];
        Gray::new(&parameters(3, 8, 8)).unwrap().encode(Cell::Bytes(&file), &mut fewer).unwrap();
        let whole = video(9, 1, 8);
        for (at, of) in [0, 4, 8].into_iter().enumerate() {
            assert!(fewer[at * 64..][..64].iter().zip(&whole[of * 64..][..64]).all(|(a, b)| (a - b).abs() < 0.01));
        }
        let mut larger = vec![0.0; 9 * 16 * 16];
        Gray::new(&parameters(9, 16, 16)).unwrap().encode(Cell::Bytes(&file), &mut larger).unwrap();
        assert!(larger.iter().all(|value| (0.0..=1.0).contains(value)) && larger.iter().any(|value| *value > 0.9));
    }

    fn listed(codec: &impl Codec<Element = f32>, video: &[f32]) -> Vec<Vec<u8>> {
        let OwnedCell::Files(files) = codec.decode(video).unwrap() else { panic!("not a list") };
        files
    }

    fn from_list(codec: &impl Codec<Element = f32>, files: &[Vec<u8>], elements: usize) -> Result<Vec<f32>, Error> {
        let mut array = vec![0.0; elements];
        codec.encode(Cell::Files(files.into()), &mut array).map(|()| array)
    }

    #[test]
    fn lists_of_images_are_videos() {
        let gray = GrayList::new(&parameters(5, 8, 8)).unwrap();
        let rgb = RgbList::new(&parameters(5, 8, 8)).unwrap();
        let in_gray = listed(&gray, &video(5, 1, 8));
        let in_rgb = listed(&rgb, &video(5, 3, 8));
        assert!(in_gray.iter().chain(&in_rgb).all(|file| file.starts_with(b"\x89PNG")));
        let near = |a: &[f32], b: &[f32]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 0.003);
        assert!(near(&from_list(&gray, &in_gray, 5 * 64).unwrap(), &video(5, 1, 8)));
        assert!(near(&from_list(&rgb, &in_rgb, 5 * 3 * 64).unwrap(), &video(5, 3, 8)));
        // Fewer frames, more frames, and another size.
        let shorter = from_list(&GrayList::new(&parameters(3, 8, 8)).unwrap(), &in_gray, 3 * 64).unwrap();
        assert!(near(&shorter[64..128], &video(5, 1, 8)[128..192]));
        let longer = from_list(&GrayList::new(&parameters(10, 8, 8)).unwrap(), &in_gray, 10 * 64).unwrap();
        assert!(near(&longer[..64], &longer[64..128]) && near(&longer[9 * 64..], &video(5, 1, 8)[4 * 64..]));
        assert!(from_list(&GrayList::new(&parameters(5, 16, 12)).unwrap(), &in_gray, 5 * 16 * 12).is_ok());
    }

    #[test]
    fn a_list_without_valid_images_is_refused() {
        let codec = GrayList::new(&parameters(4, 8, 8)).unwrap();
        let mut files = listed(&codec, &video(4, 1, 8));
        assert!(matches!(from_list(&codec, &[], 256), Err(Error::Data(_))));
        files[2] = b"not an image".to_vec();
        let error = from_list(&codec, &files, 256).unwrap_err().to_string();
        assert!(error.contains("frame 2"), "{error}");
        assert!(matches!(codec.encode(Cell::Bytes(&files[0]), &mut [0.0; 256]), Err(Error::Data(_))));
        assert!(matches!(codec.decode(&[f32::NAN; 256]), Err(Error::Data(_))));
    }

    #[test]
    fn invalid_videos_are_refused() {
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
            let OwnedCell::Bytes(mut file) = codec.decode(&video(4, 1, 8)).unwrap() else { panic!("not a file") };
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
