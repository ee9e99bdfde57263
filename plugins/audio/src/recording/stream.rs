//! Compressed recordings -> frames, with symphonia.

use std::io::{Cursor, ErrorKind};

use anyflow_sdk::Error;
use anyflow_sdk::content::{FileContent, Medium};
use symphonia::core::codecs::audio::AudioDecoderOptions;
use symphonia::core::codecs::audio::well_known::{CODEC_ID_AAC, CODEC_ID_FLAC, CODEC_ID_MP3, CODEC_ID_OPUS};
use symphonia::core::errors::Error as Failure;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, TrackType};
use symphonia::core::io::MediaSourceStream;
use symphonia::core::meta::MetadataOptions;
use symphonia::default::{get_codecs, get_probe};

use super::head;
use super::mix::Mix;
use super::mp4;
use super::opus;
use super::packets::{damaged, next};

/// Frames by which a file may miss the number that it states, or that its length suggests: one packet.
const MP3_SLACK: u64 = 1152;
const AAC_SLACK: u64 = 1024;

/// True if the bytes begin like a format that symphonia reads.
pub(super) fn is(bytes: &[u8]) -> bool {
    match bytes {
        [b'O', b'g', b'g', b'S', ..] => true,
        // Sounds in MP4 files, also those of films.
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => {
            FileContent::of(bytes).is_some_and(|content| content.medium != Some(Medium::Image))
        }
        // AAC in ADTS: twelve bits of sync, layer 0.
        [0xFF, second, ..] if second & 0xF6 == 0xF0 => true,
        [b'f', b'L', b'a', b'C', ..] | [b'I', b'D', b'3', ..] => true,
        // Eleven bits of sync, a version that exists, layer III, and a rate that exists.
        [0xFF, second, third, ..] => {
            second & 0xE6 == 0xE2 && second & 0x18 != 0x08 && third & 0x0C != 0x0C && third & 0xF0 != 0xF0
        }
        _ => false,
    }
}

/// Decodes a recording.
pub(super) fn decode(bytes: &[u8], mix: &mut Mix) -> Result<(), Error> {
    let source = MediaSourceStream::new(Box::new(Cursor::new(bytes)), Default::default());
    let reader = get_probe().probe(&Hint::new(), source, FormatOptions::default(), MetadataOptions::default());
    let mut reader = reader.map_err(|failure| head::refused(bytes, failure))?;
    let track = reader.default_track(TrackType::Audio);
    let parameters = track.and_then(|track| track.codec_params.as_ref()?.audio().cloned());
    let (Some(track), Some(parameters)) = (track, parameters) else {
        return Err(Error::data("the file has no track of sound that is supported"));
    };
    // In Ogg, that is the end of the last page that is there.
    let mut stated = track.num_frames.filter(|_| !bytes.starts_with(b"OggS"));
    let delay = track.delay.unwrap_or_default();
    let track = track.id;
    let channels = parameters.channels.as_ref().map_or(0, |channels| channels.count());
    if let (Some(rate), 1..) = (parameters.sample_rate, channels) {
        mix.begin(rate, channels)?;
    }
    if parameters.codec == CODEC_ID_OPUS {
        let track = opus::OpusTrack { id: track, channels, delay: delay as usize };
        return opus::decode(reader.as_mut(), &track, mix);
    }
    let edit = parameters.sample_rate.and_then(|rate| mp4::edit(bytes, track, rate));
    if let Some(edit) = edit.filter(|_| parameters.codec == CODEC_ID_AAC) {
        let coded = stated.map(|frames| frames.saturating_sub(edit.delay));
        stated = [coded, edit.frames].into_iter().flatten().min();
        mix.start_after(edit.delay);
        mix.end_at(stated.unwrap_or(u64::MAX));
    }
    let mut decoder = get_codecs().make_audio_decoder(&parameters, &AudioDecoderOptions::default()).map_err(damaged)?;
    let mut cut = false;
    while let Some(packet) = next(reader.as_mut(), &mut cut)? {
        if packet.track_id != track {
            continue;
        }
        // Packets of other formats need those before them.
        let alone = mix.is_full() || parameters.codec == CODEC_ID_FLAC;
        if alone && mix.unneeded() >= packet.dur.get() {
            mix.skip(packet.dur.get());
            continue;
        }
        match decoder.decode(&packet) {
            Ok(frames) => {
                if mix.is_new() {
                    mix.begin(frames.spec().rate(), frames.spec().channels().count())?;
                }
                mix.push(&frames)?;
            }
            // The first packets of an MP3 file may need bytes of packets before them, which a cut left out.
            Err(Failure::DecodeError(_)) if parameters.codec == CODEC_ID_MP3 && mix.frames() == 0 => {}
            Err(Failure::IoError(error)) if error.kind() == ErrorKind::UnexpectedEof => {
                cut = true;
                break;
            }
            Err(failure) => return Err(damaged_after(failure, mix)),
        }
    }
    let slack = match parameters.codec {
        CODEC_ID_MP3 => MP3_SLACK,
        CODEC_ID_AAC => AAC_SLACK,
        _ => 0,
    };
    if cut || stated.is_some_and(|all| mix.frames().saturating_add(slack) < all) {
        mix.ends_early(stated)?;
    }
    Ok(())
}

fn damaged_after(failure: Failure, mix: &Mix) -> Error {
    Error::data(format!("the recording is damaged after sample {}: {failure}", mix.frames()))
}
