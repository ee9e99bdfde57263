//! MP4 files whose pictures are coded in H.264, whole or in fragments. Edit lists are not followed.
//!
//! The container is read by `shiguredo_mp4`, the pictures by OpenH264, whose sources are under the BSD licence; where
//! they are used, H.264 may need a licence for its patents as well.

mod container;
mod pictures;

use anyflow_sdk::Error;
use image::{DynamicImage, RgbaImage};

use crate::animation::{Shape, fitted, spread};
use container::Track;

/// Whether a file says that it is one.
pub(crate) fn is(bytes: &[u8]) -> bool {
    bytes.get(4..8) == Some(b"ftyp")
}

/// As [`crate::animation::read`]. All pictures are decoded, for they build on one another; those that are left out are
/// dropped at once.
pub(crate) fn read(bytes: &[u8], shape: Shape) -> Result<Vec<DynamicImage>, Error> {
    let track = Track::of(bytes)?;
    let all = track.samples.len();
    let places: Vec<usize> = (0..shape.frames).map(|place| spread(place, shape.frames, all)).collect();
    let mut frames = Vec::with_capacity(shape.frames);
    let shown = pictures::each(&track, |at, picture| {
        if places.get(frames.len()) != Some(&at) {
            return Ok(());
        }
        let frame = fitted(&picture()?, shape);
        let times = places[frames.len()..].iter().take_while(|place| **place == at).count();
        frames.extend(std::iter::repeat_n(frame, times));
        Ok(())
    })?;
    if frames.len() < shape.frames {
        return Err(Error::data(format!("of the MP4 file's {all} frames only {shown} are whole")));
    }
    Ok(frames)
}

/// What makes a picture of a frame that is wanted.
type Picture<'a> = &'a dyn Fn() -> Result<RgbaImage, Error>;

#[cfg(test)]
mod tests {
    use anyflow_sdk::{Cell, Codec, Parameters};
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::Gray;

    /// The corpus' films: twelve frames in which a square of eight pixels goes two to the right each time.
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

    /// Where the square's middle lies, per frame, in pixels of the film.
    fn middles(array: &[f32], side: usize) -> Vec<f64> {
        let middle = |frame: &[f32]| {
            let lit = |x: usize| frame.iter().skip(x).step_by(side).map(|value| f64::from(*value)).sum::<f64>();
            let sum: f64 = (0..side).map(lit).sum();
            (0..side).map(|x| (x as f64 + 0.5) * lit(x)).sum::<f64>() / sum * 32.0 / side as f64
        };
        array.chunks_exact(side * side).map(middle).collect()
    }

    #[test]
    fn frames_come_in_the_order_in_which_they_are_shown() {
        for (name, film) in GOOD {
            let whole = encoded(film, 12, 32).unwrap();
            for (frame, middle) in middles(&whole, 32).into_iter().enumerate() {
                assert!((middle - (2 * frame + 4) as f64).abs() < 0.7, "{name}, frame {frame}: {middle}");
            }
            // White is white: the film says it in the narrow range of television.
            assert!(whole.iter().any(|value| *value > 0.97) && whole.iter().all(|value| (0.0..=1.0).contains(value)));
            let few: Vec<f64> = middles(&encoded(film, 3, 16).unwrap(), 16);
            assert!(few.iter().zip([4.0, 16.0, 26.0]).all(|(found, wanted)| (found - wanted).abs() < 1.0), "{few:?}");
            let many = encoded(film, 24, 32).unwrap();
            assert!(many[..1024] == many[1024..2048] && many[..1024] == whole[..1024], "{name}: frames stand twice");
        }
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        let refused: [(&[u8], &str); 9] = [
            (include_bytes!("../../../tests/corpus/video/no-index.mp4"), "no index"),
            (include_bytes!("../../../tests/corpus/video/cut.mp4"), "breaks off: frame"),
            (include_bytes!("../../../tests/corpus/video/no-pictures.mp4"), "no track of pictures"),
            (include_bytes!("../../../tests/corpus/video/other-codec.mp4"), "coded as `mp4v`; only H.264"),
            (include_bytes!("../../../tests/corpus/video/countless.mp4"), "4294967295 frames; at most 4096"),
            (include_bytes!("../../../tests/corpus/video/countless-fragment.mp4"), "frames; at most 1048576"),
            (include_bytes!("../../../tests/corpus/video/frames-outside.mp4"), "lies at byte 4294967295"),
            (include_bytes!("../../../tests/corpus/video/vast.mp4"), "65520 x 65520 are too large"),
            (&[b"\0\0\0\x08ftyp".as_slice(), &b"\0\0\0\x08free".repeat(1 << 20)].concat(), "no index"),
        ];
        for (film, wanted) in refused {
            let Err(Error::Data(text)) = encoded(film, 4, 8) else { panic!("{wanted}: taken") };
            assert!(text.contains(wanted), "{wanted}: {text}");
        }
    }

    #[test]
    fn cut_anywhere_a_film_is_refused() {
        for (name, film) in GOOD {
            for end in 8..film.len() - 1 {
                match encoded(&film[..end], 4, 8) {
                    Err(Error::Data(_)) => {}
                    // What ends after a fragment is a film that is shorter.
                    Ok(_) if name == "fragments" => {}
                    other => panic!("{name}, {end} bytes: {other:?}"),
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]
        #[test]
        fn damaged_films_are_read_or_refused(
            of in 0..GOOD.len(),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
            long in prop::option::of((any::<prop::sample::Index>(), prop::sample::select(vec![0u32, 1, 0x7FFF_FFFF, u32::MAX]))),
        ) {
            let mut film = GOOD[of].1.to_vec();
            for (at, byte) in changes {
                let at = at.index(film.len());
                film[at] = byte;
            }
            if let Some((at, number)) = long {
                let at = at.index(film.len() - 4);
                film[at..at + 4].copy_from_slice(&number.to_be_bytes());
            }
            prop_assert!(matches!(encoded(&film, 4, 8), Ok(_) | Err(Error::Data(_))));
        }
    }
}
