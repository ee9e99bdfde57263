//! The pictures of a track, decoded.

use anyflow_sdk::Error;
use image::RgbaImage;
use openh264::OpenH264API;
use openh264::decoder::{DecodedYUV, Decoder, DecoderConfig, Flush};
use openh264::formats::YUVSource;
use shiguredo_mp4::bitstream::h264::{self, H264NalUnitType, H264Sps, LengthSize};
use shiguredo_mp4::boxes::Avc1Box;

use super::Picture;
use super::container::Track;
use crate::animation::{MAX_BYTES, MAX_SIDE};

/// The most pixels of all pictures together: some seconds of work.
const MAX_PIXELS: u64 = 1 << 30;
const START: [u8; 4] = [0, 0, 0, 1];

/// Hands over each picture with its number, in the order in which they are shown, and says how many there are.
///
/// # Errors
///
/// A picture is damaged, larger than other pictures may be, or of a form of H.264 that OpenH264 does not know; or that
/// `take` returns.
pub(super) fn each(
    track: &Track<'_>,
    mut take: impl FnMut(usize, Picture<'_>) -> Result<(), Error>,
) -> Result<usize, Error> {
    // To flush after each would give pictures in the order of decoding.
    let config = DecoderConfig::new().flush_after_decode(Flush::NoFlush);
    let api = OpenH264API::from_source();
    let mut decoder = Decoder::with_api_config(api, config).map_err(|error| Error::Failed(error.to_string()))?;
    let mut units = Units { count: track.samples.len() as u64, bytes: Vec::new() };
    let (mut shown, mut entry) = (0, None);
    for (at, sample) in track.samples.iter().enumerate() {
        let wrong = |error: &dyn std::fmt::Display| Error::data(format!("frame {at} of the MP4 file: {error}"));
        units.bytes.clear();
        let description = &track.entries[sample.entry];
        if entry.replace(sample.entry) != Some(sample.entry) {
            units.begin(description)?;
        }
        units.sample(description, sample.bytes).map_err(|error| wrong(&error))?;
        let refused = |_| wrong(&"OpenH264 refuses it: it is damaged, interlaced, or of a form that it does not know");
        if let Some(picture) = decoder.decode(&units.bytes).map_err(refused)? {
            take(shown, &|| rgba(&picture))?;
            shown += 1;
        }
    }
    let rest = decoder.flush_remaining().map_err(|_| Error::data("the last frames of the MP4 file are damaged"))?;
    for picture in rest {
        take(shown, &|| rgba(&picture))?;
        shown += 1;
    }
    Ok(shown)
}

/// NAL units as the decoder reads them, those that it shall not see left out.
struct Units {
    /// Samples of the track.
    count: u64,
    /// Each behind a start code.
    bytes: Vec<u8>,
}

impl Units {
    /// Adds what decoding begins with.
    fn begin(&mut self, description: &Avc1Box) -> Result<(), Error> {
        let sets = &description.avcc_box;
        for set in sets.sps_list.iter().chain(&sets.pps_list) {
            self.add(&[&START, set.as_slice()].concat())?;
        }
        Ok(())
    }

    /// Adds a sample, whose units stand behind their lengths.
    fn sample(&mut self, description: &Avc1Box, bytes: &[u8]) -> Result<(), Error> {
        let length = LengthSize::from_length_size_minus_one(description.avcc_box.length_size_minus_one.get());
        let length = length.map_err(damaged)?;
        self.add(&h264::length_prefixed_to_annexb(bytes, length).map_err(damaged)?)
    }

    /// Adds units that stand behind start codes: split as the decoder does it, for a damaged one may hold others.
    fn add(&mut self, units: &[u8]) -> Result<(), Error> {
        for unit in h264::parse_annexb_nal_units(units).map_err(damaged)? {
            match unit.nal_unit_type {
                H264NalUnitType::Sps => self.check(&h264::parse_sps(unit.data).map_err(damaged)?)?,
                // Of layers beside the picture, with sizes of their own: Rec. ITU-T H.264, table 7-1.
                H264NalUnitType::Other(14 | 15 | 20 | 21) => continue,
                _ => {}
            }
            self.bytes.extend_from_slice(&START);
            self.bytes.extend_from_slice(unit.data);
        }
        Ok(())
    }

    /// Refuses pictures that are too large, or of a form that is not decoded.
    fn check(&self, set: &H264Sps) -> Result<(), Error> {
        let (width, height) = (u32::from(set.width), u32::from(set.height));
        let pixels = u64::from(width) * u64::from(height);
        if width > MAX_SIDE || height > MAX_SIDE || pixels * 4 > MAX_BYTES {
            return Err(Error::data(format!("pictures of {width} x {height} are too large")));
        }
        if pixels.saturating_mul(self.count) > MAX_PIXELS {
            let count = self.count;
            return Err(Error::data(format!("{count} pictures of {width} x {height} are too many")));
        }
        if set.chroma_format_idc != 1 || set.bit_depth_luma_minus8 > 0 || set.bit_depth_chroma_minus8 > 0 {
            let (chroma, depth) = (set.chroma_format_idc, set.bit_depth_luma_minus8 + 8);
            let found = format!("colour format {chroma} with {depth} bits");
            return Err(Error::data(format!("H.264 in {found}; only 8 bits in 4:2:0 (format 1) are read")));
        }
        Ok(())
    }
}

fn rgba(picture: &DecodedYUV<'_>) -> Result<RgbaImage, Error> {
    let (width, height) = picture.dimensions();
    let mut bytes = vec![0; width * height * 4];
    picture.write_rgba8(&mut bytes);
    RgbaImage::from_raw(width as u32, height as u32, bytes)
        .ok_or_else(|| Error::Failed("a picture of another size".to_string()))
}

fn damaged(error: impl std::fmt::Display) -> Error {
    Error::data(format!("damaged: {error}"))
}
