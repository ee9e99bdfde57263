//! MP4 files with H.264 video, whole or fragmented. Edit lists are ignored.
//!
//! `shiguredo_mp4` reads the container and OpenH264 (BSD licence) decodes the frames. Depending on the country, H.264
//! may need a patent licence as well.

mod container;
mod decode;

use anyflow_sdk::Error;
use image::{DynamicImage, RgbaImage};

use crate::excerpt::Excerpt;
use crate::shape::{Shape, fitted, spread};
use container::{Sample, Track};

/// The most frames that are decoded.
const MAX_DECODED: usize = 4096;

/// True if the file has the signature of an MP4 file.
pub(crate) fn is(bytes: &[u8]) -> bool {
    bytes.get(4..8) == Some(b"ftyp")
}

/// As [`crate::animation::read`]. Decodes all frames from the last one before the excerpt that depends on no other, and drops
/// skipped ones at once.
pub(crate) fn read(bytes: &[u8], shape: Shape, excerpt: &Excerpt) -> Result<Vec<DynamicImage>, Error> {
    let track = Track::of(bytes)?;
    if let Some(loss) = &track.loss {
        excerpt.partial.check(loss)?;
    }
    let Section { samples, first, count } = Section::of(&track, excerpt)?;
    let sources: Vec<usize> = (0..shape.frames).map(|index| first + spread(index, shape.frames, count)).collect();
    let mut frames = Vec::with_capacity(shape.frames);
    let shown = decode::each(&track, samples, |at, frame| {
        if sources.get(frames.len()) != Some(&at) {
            return Ok(());
        }
        let frame = fitted(frame()?, shape);
        let times = sources[frames.len()..].iter().take_while(|source| **source == at).count();
        frames.extend(std::iter::repeat_n(frame, times));
        Ok(())
    })?;
    let last = frames.last().filter(|_| track.loss.is_some()).cloned();
    frames.extend(last.into_iter().cycle().take(shape.frames - frames.len()));
    if frames.len() < shape.frames {
        let all = samples.len();
        return Err(Error::data(format!("only {shown} of {all} frames of the MP4 file are complete")));
    }
    Ok(frames)
}

/// The frames to decode for an excerpt.
struct Section<'t, 'a> {
    /// In decoding order; the first one depends on no other.
    samples: &'t [Sample<'a>],
    /// The number of the excerpt's first frame among them, in display order.
    first: usize,
    /// The number of the excerpt's frames.
    count: usize,
}

impl<'t, 'a> Section<'t, 'a> {
    fn of(track: &'t Track<'a>, excerpt: &Excerpt) -> Result<Self, Error> {
        let mut shown: Vec<i64> = track.samples.iter().map(|sample| sample.time).collect();
        shown.sort_unstable();
        let frames = excerpt.frames(&track.times(&shown))?;
        let (first, last) = (shown[frames.start], shown[frames.end - 1]);
        let starts = |sample: &Sample<'_>| sample.starts && sample.time <= first;
        let begin = track.samples.iter().rposition(starts).unwrap_or(0);
        let end = track.samples.iter().rposition(|sample| sample.time <= last).map_or(begin, |at| at + 1);
        let samples = track.samples.get(begin..end).unwrap_or_default();
        if samples.len() > MAX_DECODED {
            return Err(Error::data(format!(
                "the MP4 file has {} frames to decode; at most {MAX_DECODED} are read; `from` and `seconds` in the codec's \
                 parameters cut it",
                samples.len()
            )));
        }
        let earlier = samples.iter().filter(|sample| sample.time < first).count();
        Ok(Section { samples, first: earlier, count: frames.len() })
    }
}

/// Converts a decoded frame to RGBA; called for the needed frames only.
type MakeFrame<'a> = &'a dyn Fn() -> Result<RgbaImage, Error>;

#[cfg(test)]
mod tests {
    use anyflow_sdk::{Cell, Codec, Parameters};
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::Gray;

    /// The videos of the corpus: twelve frames in which a square of eight pixels moves two pixels to the right per
    /// frame.
    const GOOD: [(&str, &[u8]); 4] = [
        ("baseline", include_bytes!("../../../tests/corpus/video/good-baseline.mp4")),
        ("B-frames", include_bytes!("../../../tests/corpus/video/good-b-frames.mp4")),
        ("fragments", include_bytes!("../../../tests/corpus/video/good-fragments.mp4")),
        ("two parameter sets", include_bytes!("../../../tests/corpus/video/good-two-sets.mp4")),
    ];

    fn encoded(bytes: &[u8], frames: usize, side: usize) -> Result<Vec<f32>, Error> {
        let parameters = json!({"frames": frames, "height": side, "width": side, "fps": 8.0});
        let mut array = vec![0.0; frames * side * side];
        Gray::new(&Parameters::new(parameters))?.encode(Cell::Bytes(bytes), &mut array).map(|()| array)
    }

    /// The x coordinate of the square's middle in each frame, in pixels of the video.
    fn middles(array: &[f32], side: usize) -> Vec<f64> {
        let middle = |frame: &[f32]| {
            let lit = |x: usize| frame.iter().skip(x).step_by(side).map(|value| f64::from(*value)).sum::<f64>();
            let sum: f64 = (0..side).map(lit).sum();
            (0..side).map(|x| (x as f64 + 0.5) * lit(x)).sum::<f64>() / sum * 32.0 / side as f64
        };
        array.chunks_exact(side * side).map(middle).collect()
    }

    #[test]
    fn frames_come_in_display_order() {
        for (name, video) in GOOD {
            let whole = encoded(video, 12, 32).unwrap();
            for (frame, middle) in middles(&whole, 32).into_iter().enumerate() {
                assert!((middle - (2 * frame + 4) as f64).abs() < 0.7, "{name}, frame {frame}: {middle}");
            }
            // White decodes to 1, though the video codes it in the limited range of television.
            assert!(whole.iter().any(|value| *value > 0.97) && whole.iter().all(|value| (0.0..=1.0).contains(value)));
            let few: Vec<f64> = middles(&encoded(video, 3, 16).unwrap(), 16);
            assert!(few.iter().zip([4.0, 16.0, 26.0]).all(|(found, wanted)| (found - wanted).abs() < 1.0), "{few:?}");
            let many = encoded(video, 24, 32).unwrap();
            assert!(
                many[..1024] == many[1024..2048] && many[..1024] == whole[..1024],
                "{name}: each frame occurs twice"
            );
        }
    }

    fn excerpt(bytes: &[u8], frames: usize, more: serde_json::Value) -> Result<Vec<f64>, Error> {
        let mut parameters = json!({"frames": frames, "height": 32, "width": 32, "fps": 8.0});
        parameters.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let mut array = vec![0.0; frames * 1024];
        Gray::new(&Parameters::new(parameters))?.encode(Cell::Bytes(bytes), &mut array)?;
        Ok(middles(&array, 32))
    }

    #[test]
    fn an_excerpt_has_the_frames_of_its_seconds() {
        for (name, video) in GOOD {
            let times = {
                let track = Track::of(video).unwrap();
                let mut shown: Vec<i64> = track.samples.iter().map(|sample| sample.time).collect();
                shown.sort_unstable();
                track.times(&shown)
            };
            let step = times.begin[1];
            assert_eq!(times.begin.len(), 12, "{name}");
            assert!((times.end - 12.0 * step).abs() < 1e-6, "{name}: {step} s, {} s", times.end);
            let some = excerpt(video, 3, json!({"from": 5.0 * step + 1e-6, "seconds": 3.0 * step - 2e-6})).unwrap();
            let near = some.iter().zip([14.0, 16.0, 18.0]).all(|(found, wanted)| (found - wanted).abs() < 0.7);
            assert!(near, "{name}: {some:?}");
            let text = excerpt(video, 3, json!({"from": 12.1 * step})).unwrap_err().to_string();
            assert!(text.contains("the film lasts"), "{name}: {text}");
        }
    }

    #[test]
    fn a_film_that_ends_early_says_how_much_is_there() {
        // Its index stands before its frames.
        let fragments = GOOD[2].1;
        let last = (0..fragments.len()).rev().find(|at| fragments[*at..].starts_with(b"mdat")).unwrap();
        let cut = &fragments[..last + 8];
        let text = excerpt(cut, 2, json!({})).unwrap_err().to_string();
        let there: usize = text.split("breaks off: ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
        assert!(there < 12 && text.contains(&format!("{there} of 12 frames are there")), "{text}");
        assert!(text.contains("`partial: accept`"), "{text}");
        let some = excerpt(cut, 2, json!({"partial": "accept"})).unwrap();
        assert!((some[0] - 4.0).abs() < 0.7 && (some[1] - (2 * there + 2) as f64).abs() < 0.7, "{some:?} of {there}");
    }

    #[test]
    fn refused_files_name_the_reason() {
        let refused: [(&[u8], &str); 9] = [
            (include_bytes!("../../../tests/corpus/video/no-index.mp4"), "no index"),
            (include_bytes!("../../../tests/corpus/video/cut.mp4"), "breaks off: "),
            (include_bytes!("../../../tests/corpus/video/no-pictures.mp4"), "no video track"),
            (include_bytes!("../../../tests/corpus/video/other-codec.mp4"), "coded as `mp4v`; only H.264"),
            (include_bytes!("../../../tests/corpus/video/countless.mp4"), "4294967295 frames; at most 262144"),
            (include_bytes!("../../../tests/corpus/video/countless-fragment.mp4"), "frames; at most 1048576"),
            (include_bytes!("../../../tests/corpus/video/frames-outside.mp4"), "at byte 4294967295"),
            (include_bytes!("../../../tests/corpus/video/vast.mp4"), "65520 x 65520 are too large"),
            (&[b"\0\0\0\x08ftyp".as_slice(), &b"\0\0\0\x08free".repeat(1 << 20)].concat(), "no index"),
        ];
        for (video, wanted) in refused {
            let Err(Error::Data(text)) = encoded(video, 4, 8) else { panic!("{wanted}: accepted") };
            assert!(text.contains(wanted), "{wanted}: {text}");
        }
    }

    #[test]
    fn truncated_videos_are_refused() {
        for (name, video) in GOOD {
            for end in 8..video.len() - 1 {
                match encoded(&video[..end], 4, 8) {
                    Err(Error::Data(_)) => {}
                    // A file cut after a fragment is a shorter video.
                    Ok(_) if name == "fragments" => {}
                    other => panic!("{name}, {end} bytes: {other:?}"),
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]
        #[test]
        fn damaged_videos_are_read_or_refused(
            of in 0..GOOD.len(),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
            long in prop::option::of((any::<prop::sample::Index>(), prop::sample::select(vec![0u32, 1, 0x7FFF_FFFF, u32::MAX]))),
        ) {
            let mut video = GOOD[of].1.to_vec();
            for (at, byte) in changes {
                let at = at.index(video.len());
                video[at] = byte;
            }
            if let Some((at, number)) = long {
                let at = at.index(video.len() - 4);
                video[at..at + 4].copy_from_slice(&number.to_be_bytes());
            }
            prop_assert!(matches!(encoded(&video, 4, 8), Ok(_) | Err(Error::Data(_))));
        }
    }
}
