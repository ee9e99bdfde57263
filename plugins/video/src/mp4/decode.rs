//! Decodes the frames of a track.

use anyflow_sdk::Error;
use image::RgbaImage;
use openh264::OpenH264API;
use openh264::decoder::{DecodedYUV, Decoder, DecoderConfig, Flush};
use openh264::formats::YUVSource;
use shiguredo_mp4::bitstream::h264::{self, H264NalUnitType, H264Sps, LengthSize};
use shiguredo_mp4::boxes::Avc1Box;

use super::MakeFrame;
use super::container::{Sample, Track};
use crate::shape::{MAX_BYTES, MAX_SIDE};

/// The most pixels of all frames together: a few seconds of work.
const MAX_PIXELS: u64 = 1 << 30;
const START: [u8; 4] = [0, 0, 0, 1];

/// Passes each frame of the samples with its number to `take`, in display order. Returns the number of frames.
///
/// # Errors
///
/// A frame is damaged, too large, or of a form of H.264 that OpenH264 does not support; or an error of `take`.
pub(super) fn each(
    track: &Track<'_>,
    samples: &[Sample<'_>],
    mut take: impl FnMut(usize, MakeFrame<'_>) -> Result<(), Error>,
) -> Result<usize, Error> {
    // Flushing after each frame would give frames in decoding order.
    let config = DecoderConfig::new().flush_after_decode(Flush::NoFlush);
    let api = OpenH264API::from_source();
    let mut decoder = Decoder::with_api_config(api, config).map_err(|error| Error::Failed(error.to_string()))?;
    let mut units = Units { count: samples.len() as u64, bytes: Vec::new() };
    let mut shown = 0;
    let mut entry = None;
    for (at, sample) in samples.iter().enumerate() {
        let wrong = |error: &dyn std::fmt::Display| Error::data(format!("frame {at} of the MP4 file: {error}"));
        units.bytes.clear();
        let description = &track.entries[sample.entry];
        if entry.replace(sample.entry) != Some(sample.entry) {
            units.begin(description)?;
        }
        units.sample(description, sample.bytes).map_err(|error| wrong(&error))?;
        let refused = |_| wrong(&"OpenH264 refuses it: it is damaged, interlaced, or of an unsupported form");
        if let Some(frame) = decoder.decode(&units.bytes).map_err(refused)? {
            take(shown, &|| rgba(&frame))?;
            shown += 1;
        }
    }
    let rest = decoder.flush_remaining().map_err(|_| Error::data("the last frames of the MP4 file are damaged"))?;
    for frame in rest {
        take(shown, &|| rgba(&frame))?;
        shown += 1;
    }
    Ok(shown)
}

/// NAL units in the decoder's format, without those of unsupported layers.
struct Units {
    /// Samples to decode.
    count: u64,
    /// The units, each preceded by a start code.
    bytes: Vec<u8>,
}

impl Units {
    /// Adds the parameter sets that decoding starts with.
    fn begin(&mut self, description: &Avc1Box) -> Result<(), Error> {
        let sets = &description.avcc_box;
        for set in sets.sps_list.iter().chain(&sets.pps_list) {
            self.add(&[&START, set.as_slice()].concat())?;
        }
        Ok(())
    }

    /// Adds a sample of units that are preceded by their lengths.
    fn sample(&mut self, description: &Avc1Box, bytes: &[u8]) -> Result<(), Error> {
        let length = LengthSize::from_length_size_minus_one(description.avcc_box.length_size_minus_one.get());
        let length = length.map_err(damaged)?;
        self.add(&h264::length_prefixed_to_annexb(bytes, length).map_err(damaged)?)
    }

    /// Adds units that are preceded by start codes. Splits them as the decoder does, because a damaged unit may contain
    /// others.
    fn add(&mut self, units: &[u8]) -> Result<(), Error> {
        for unit in h264::parse_annexb_nal_units(units).map_err(damaged)? {
            match unit.nal_unit_type {
                H264NalUnitType::Sps => self.check(&h264::parse_sps(unit.data).map_err(damaged)?)?,
                // Units of additional layers with their own sizes: Rec. ITU-T H.264, table 7-1.
                H264NalUnitType::Other(14 | 15 | 20 | 21) => continue,
                _ => {}
            }
            self.bytes.extend_from_slice(&START);
            self.bytes.extend_from_slice(unit.data);
        }
        Ok(())
    }

    /// Refuses frames that are too large or of an unsupported form.
    fn check(&self, set: &H264Sps) -> Result<(), Error> {
        let width = u32::from(set.width);
        let height = u32::from(set.height);
        let pixels = u64::from(width) * u64::from(height);
        if width > MAX_SIDE || height > MAX_SIDE || pixels * 4 > MAX_BYTES {
            return Err(Error::data(format!("frames of {width} x {height} are too large")));
        }
        if pixels.saturating_mul(self.count) > MAX_PIXELS {
            let count = self.count;
            return Err(Error::data(format!("{count} frames of {width} x {height} are too many")));
        }
        if set.chroma_format_idc != 1 || set.bit_depth_luma_minus8 > 0 || set.bit_depth_chroma_minus8 > 0 {
            let chroma = set.chroma_format_idc;
            let depth = set.bit_depth_luma_minus8 + 8;
            let found = format!("colour format {chroma} with {depth} bits");
            return Err(Error::data(format!("H.264 in {found}; only 8 bits in 4:2:0 (format 1) are read")));
        }
        Ok(())
    }
}

fn rgba(frame: &DecodedYUV<'_>) -> Result<RgbaImage, Error> {
    let (width, height) = frame.dimensions();
    let mut bytes = vec![0; width * height * 4];
    frame.write_rgba8(&mut bytes);
    RgbaImage::from_raw(width as u32, height as u32, bytes)
        .ok_or_else(|| Error::Failed("a decoded frame has another size".to_string()))
}

fn damaged(error: impl std::fmt::Display) -> Error {
    Error::data(format!("damaged: {error}"))
}
