use std::f64::consts::TAU;

use proptest::prelude::*;

use super::*;
use crate::sounds::{float_wav, wav};

/// The frames of the corpus: a tone of 440 Hz at 8 kHz that swells and fades, in steps of 16 bits.
const FRAMES: usize = 1200;

macro_rules! corpus {
    ($name:literal) => {
        include_bytes!(concat!("../../../../tests/corpus/audio/", $name)).as_slice()
    };
}

fn tone() -> Vec<f32> {
    let sample = |n: usize| {
        let fade = (TAU * n as f64 / (2 * FRAMES) as f64).sin();
        (20_000.0 * fade * (TAU * 440.0 * n as f64 / 8_000.0).sin()).round_ties_even() / 32_768.0
    };
    (0..FRAMES).map(|n| sample(n) as f32).collect()
}

fn samples(file: &[u8], excerpt: &Excerpt) -> Result<Vec<f32>, Error> {
    read(file, excerpt).map(|excerpted| excerpted.samples)
}

fn whole(file: &[u8]) -> Result<Vec<f32>, Error> {
    samples(file, &Excerpt::whole(8_000))
}

fn refusal(file: &[u8]) -> String {
    match whole(file) {
        Err(Error::Data(text)) => text,
        other => panic!("{other:?}"),
    }
}

fn worst(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn recordings_without_a_whole_head_say_what_is_missing() {
    let (m4a, aac) = (corpus!("good.m4a"), corpus!("good.aac"));
    let moov = m4a.windows(4).position(|name| name == b"moov").unwrap();
    for (name, file, words) in [
        ("M4A", &m4a[..m4a.len() / 2], "the recording ends early: its part `moov`"),
        ("M4A without its last byte", &m4a[..m4a.len() - 1], "of at least 1660 bytes are there"),
        (
            "M4A without the part",
            &m4a[..moov - 4],
            "its part `moov`, which says what its samples are, is not there as a whole",
        ),
        ("AAC", &aac[..aac.len() / 2], "whole frames of AAC are there (431 bytes), which are too few"),
    ] {
        let text = refusal(file);
        assert!(text.contains(words), "{name}: {text}");
    }
    assert!(
        refusal(&[b"RIFX", &corpus!("good.wav")[4..]].concat()).contains("highest bytes first (RIFX), which is not")
    );
}

#[test]
fn excerpts_say_whether_the_recording_goes_on() {
    for file in [corpus!("good.wav"), corpus!("good-long.flac"), corpus!("good.mp3")] {
        let all = whole(file).unwrap().len() as f64 / 8_000.0;
        for (seconds, is_cut) in [(all - 0.01, true), (all + 0.2, false), (60.0, false)] {
            let found = read(file, &Excerpt { seconds, ..Excerpt::whole(8_000) }).unwrap();
            assert_eq!(found.is_cut, is_cut, "{seconds} of {all} s");
        }
    }
}

#[test]
fn lossless_formats_give_the_samples_to_the_bit() {
    for (name, file) in [
        ("FLAC", corpus!("good.flac")),
        ("AIFF", corpus!("good.aiff")),
        ("CAF", corpus!("good.caf")),
        ("W64", corpus!("good.w64")),
        ("RF64", corpus!("good-rf64.wav")),
        ("AU", corpus!("good.au")),
    ] {
        let samples = whole(file).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(samples.len() == FRAMES || samples.len() == 300, "{name}: {}", samples.len());
        assert_eq!(samples, tone()[..samples.len()], "{name}");
    }
    // The second channel is half of the first one, without its last bit.
    let stereo = whole(corpus!("good-stereo-24.flac")).unwrap();
    let halves =
        tone().into_iter().map(|sample| (f64::from(sample) + (f64::from(sample) * 16_384.0).floor() / 32_768.0) / 2.0);
    assert_eq!(stereo, halves.map(|sample| sample as f32).collect::<Vec<_>>());
}

#[test]
fn lossy_formats_are_near() {
    for (name, file, late, tolerance) in [
        ("Vorbis", corpus!("good.ogg"), 600, 0.02),
        ("MP3", corpus!("good.mp3"), 600, 0.02),
        // FFmpeg is as far off.
        ("AAC", corpus!("good.m4a"), 1, 0.05),
        // libsndfile is as far off.
        ("Opus", corpus!("good-opus.ogg"), 1, 0.09),
        ("IMA ADPCM", corpus!("good-ima.wav"), 600, 0.03),
        ("Microsoft ADPCM", corpus!("good-ms.wav"), 600, 0.03),
    ] {
        let samples = whole(file).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(samples.len() >= FRAMES && samples.len() < FRAMES + late, "{name}: {}", samples.len());
        let worst = worst(&samples, &tone());
        assert!(worst < tolerance, "{name}: {worst}");
    }
    // A stream of AAC does not say what the encoder put before and behind the sound.
    let samples = whole(corpus!("good.aac")).unwrap();
    assert_eq!(samples.len(), 3 * 1024);
    assert_eq!(samples[1024..][..FRAMES], whole(corpus!("good.m4a")).unwrap());
}

#[test]
fn the_edit_of_an_mp4_file_bounds_its_sound() {
    let file = corpus!("good.m4a");
    let at = |id: &[u8; 4]| file.windows(4).rposition(|found| found == id).unwrap() - 4;
    let sound = whole(file).unwrap();
    // Boxes: [length, id, version, count, duration in milliseconds, start in samples, rate].
    let edited = |duration: u32, start: i32| {
        let mut file = file.to_vec();
        file[at(b"elst") + 16..][..4].copy_from_slice(&duration.to_be_bytes());
        file[at(b"elst") + 20..][..4].copy_from_slice(&start.to_be_bytes());
        whole(&file).unwrap()
    };
    assert_eq!(edited(100, 1024), sound[..800]);
    assert_eq!(edited(0, 1024), sound);
    assert_eq!(edited(100, 1224), sound[200..1000]);
    // Only a pause: all coded frames.
    let coded = edited(150, -1);
    assert_eq!((coded.len(), &coded[1024..][..FRAMES]), (3 * 1024, &sound[..]));

    let tag = |id: &[u8; 4], body: &[u8]| [&(body.len() as u32 + 8).to_be_bytes(), id.as_slice(), body].concat();
    let value = b"\0\0\0\x01\0\0\0\0 00000000 00000410 000006C8 0000000000000128 00000000";
    let body = [tag(b"mean", b"\0\0\0\0com.apple.iTunes"), tag(b"name", b"\0\0\0\0iTunSMPB"), tag(b"data", value)];
    let comment = tag(b"----", &body.concat());
    let mut tagged = [file, &comment].concat();
    // These end with the file.
    for id in [b"moov", b"udta", b"meta", b"ilst"] {
        let length = (file.len() - at(id) + comment.len()) as u32;
        tagged[at(id)..][..4].copy_from_slice(&length.to_be_bytes());
    }
    assert_eq!(whole(&tagged).unwrap(), sound[16..][..0x128]);
    let part = Excerpt { from: 0.01, seconds: 0.02, ..Excerpt::whole(8_000) };
    assert_eq!(samples(&tagged, &part).unwrap(), sound[96..][..160]);
}

/// Chunks of a WAV file.
fn chunks(parts: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
    let mut body = b"WAVE".to_vec();
    for (id, bytes) in parts {
        body.extend_from_slice(*id);
        body.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        body.extend_from_slice(bytes);
        body.resize(body.len().next_multiple_of(2), 0);
    }
    [b"RIFF".as_slice(), &(body.len() as u32).to_le_bytes(), &body].concat()
}

fn format(tag: u16, channels: u16, bits: u16, more: &[u8]) -> Vec<u8> {
    let block = channels * bits / 8;
    let fields = [block, bits].map(u16::to_le_bytes).concat();
    let rates = [8_000, 8_000 * u32::from(block)].map(u32::to_le_bytes).concat();
    [&tag.to_le_bytes(), &channels.to_le_bytes(), rates.as_slice(), &fields, more].concat()
}

#[test]
fn every_kind_of_wav_is_read() {
    let guid = |tag: u16, bits: u16| {
        let head = [22, bits].map(u16::to_le_bytes).concat();
        [head.as_slice(), &4u32.to_le_bytes(), &tag.to_le_bytes(), b"\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71"].concat()
    };
    let samples = tone();
    let doubles: Vec<u8> = samples.iter().flat_map(|sample| f64::from(*sample).to_le_bytes()).collect();
    let shorts: Vec<u8> = samples.iter().flat_map(|sample| ((sample * 32_768.0) as i16).to_le_bytes()).collect();
    for (name, format, data) in [
        ("64-bit floats", format(3, 1, 64, &[]), &doubles),
        ("64-bit floats, extensible", format(0xFFFE, 1, 64, &guid(3, 64)), &doubles),
        ("16 bits, extensible", format(0xFFFE, 1, 16, &guid(1, 16)), &shorts),
    ] {
        let file = chunks(&[(b"fmt ", &format), (b"data", data)]);
        assert_eq!(whole(&file).unwrap(), samples, "{name}");
    }
    // Levels of G.711: the largest, the smallest, and silence.
    for (tag, codes, levels) in
        [(7, [0x80, 0x00, 0xFF], [32_124.0, -32_124.0, 0.0]), (6, [0xAA, 0x2A, 0xD5], [32_256.0, -32_256.0, 8.0])]
    {
        let file = chunks(&[(b"fmt ", &format(tag, 1, 8, &[0, 0])), (b"data", &codes)]);
        let levels = levels.map(|level: f32| level / 32_768.0);
        assert_eq!(whole(&file).unwrap(), levels, "format {tag}");
    }
    for bits in [8, 16, 24, 32] {
        let top = (1i64 << (bits - 1)) - 1;
        let file = wav(1, 8_000, bits, &[0, top as i32, -(top as i32), (top / 2) as i32]);
        let levels = [0.0, 1.0, -1.0, 0.5];
        assert!(worst(&whole(&file).unwrap(), &levels) < 0.02, "{bits} bits");
    }
    assert_eq!(whole(&float_wav(8_000, &[0.25, -1.5])).unwrap(), [0.25, -1.5]);
}

#[test]
fn lengths_of_streams_and_odd_chunks_change_nothing() {
    let file = wav(1, 8_000, 16, &(0..400).map(|n| n * 7 + 1).collect::<Vec<_>>());
    let plain = whole(&file).unwrap();
    let lengths = |riff: u32, data: u32| {
        let mut file = file.clone();
        file[4..8].copy_from_slice(&riff.to_le_bytes());
        file[40..44].copy_from_slice(&data.to_le_bytes());
        file
    };
    let size = file.len() as u32 - 8;
    let with = |chunk: &[u8]| [&file[..36], chunk, &file[36..]].concat();
    for (name, file) in [
        ("both FFFFFFFF", lengths(u32::MAX, u32::MAX)),
        ("FFFFFFF0", lengths(u32::MAX, 0xFFFF_FFF0)),
        ("both 0", lengths(0, 0)),
        ("data 0", lengths(36, 0)),
        ("7FFFFFFF", lengths(0x7FFF_FFFF, 0x7FFF_FFDB)),
        ("7FFFF000", lengths(size, 0x7FFF_F000)),
        ("80000000", lengths(size, 0x8000_0000)),
        ("two bytes too many", lengths(size, 802)),
        ("odd chunk with padding", with(b"LIST\x05\0\0\0abcde\0")),
        ("odd chunk without padding", with(b"LIST\x05\0\0\0abcde")),
        ("junk", with(b"JUNK\x04\0\0\0\0\0\0\0")),
        ("a chunk behind", [&file, b"LIST\x04\0\0\0INFO".as_slice()].concat()),
    ] {
        assert_eq!(whole(&file).unwrap_or_else(|error| panic!("{name}: {error}")), plain, "{name}");
    }
    let empty = [&lengths(36, 0)[..44], b"LIST\x04\0\0\0INFO"].concat();
    assert!(refusal(&empty).contains("empty"), "{}", refusal(&empty));
}

#[test]
fn recordings_that_end_early_say_how_much_is_there() {
    let cut = |file: &[u8], parts: usize| file[..file.len() * parts / 100].to_vec();
    let plain = wav(1, 8_000, 16, &[100; 800]);
    let flac: Vec<u8> = {
        // Several FLAC frames: the cut leaves whole ones.
        corpus!("good-long.flac").to_vec()
    };
    for (name, file, words) in [
        ("WAV", plain[..plain.len() - 1].to_vec(), "799 of 800 samples are there (0.10 of 0.10 s)"),
        ("half a WAV", cut(&plain, 50), "of 800 samples are there (0.05 of 0.10 s)"),
        ("AIFF", cut(corpus!("good.aiff"), 50), "of 1200 samples are there"),
        ("AU", cut(corpus!("good.au"), 50), "of 300 samples are there"),
        ("W64", cut(corpus!("good.w64"), 60), "of 300 samples are there"),
        ("CAF", cut(corpus!("good.caf"), 80), "of 1200 samples are there"),
        ("ADPCM", cut(corpus!("good-ima.wav"), 70), "samples are there"),
        ("FLAC", cut(&flac, 50), "of 9000 samples are there"),
        ("FLAC of one frame", cut(corpus!("good.flac"), 95), "0 of 1200 samples are there"),
        ("Vorbis", cut(corpus!("good.ogg"), 90), "ends early"),
        ("MP3", cut(corpus!("good.mp3"), 50), "ends early"),
        ("Opus", cut(corpus!("good-opus.ogg"), 80), "ends early"),
    ] {
        let text = refusal(&file);
        assert!(text.contains("ends early") && text.contains(words), "{name}: {text}");
        assert!(["Vorbis", "Opus"].contains(&name) || text.contains("`partial: accept`"), "{name}: {text}");
    }
    let accept = Excerpt { partial: Partial::Accept, ..Excerpt::whole(8_000) };
    assert_eq!(samples(&cut(corpus!("good.aiff"), 50), &accept).unwrap(), tone()[..586]);
    let long = whole(corpus!("good-long.flac")).unwrap();
    let part = samples(&cut(&flac, 50), &accept).unwrap();
    assert!(part.len() >= 2_000 && part[..] == long[..part.len()], "{}", part.len());
}

#[test]
fn cells_that_are_no_recordings_are_named() {
    for (file, words) in [
        (&b""[..], "the cell is empty"),
        (b"<html></html>", "an HTML page, not a recording"),
        (b"#!AMR\n", "an AMR recording, which is not supported; supported: WAV"),
        (b"\0\0\0\x18ftypavif\0\0\0\0avifmif1", "an AVIF image, not a recording"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR", "a PNG image, not a recording"),
        (b"RIFF\x24\0\0\0AVI LIST", "an AVI film, not a recording"),
        (b"RIFF but no more", "not a recording"),
        (&chunks(&[(b"fmt ", &format(0x55, 1, 0, &[])), (b"data", &[0; 8])]), "MPEG audio samples (format 0x0055)"),
        (&chunks(&[(b"fmt ", &format(1, 1, 64, &[])), (b"data", &[0; 8])]), "integers of 64 bits"),
        (&chunks(&[(b"data", &[0; 8])]), "no format before its samples"),
        (&chunks(&[(b"fmt ", &format(1, 1, 16, &[]))]), "ends before its samples"),
    ] {
        let text = refusal(file);
        assert!(text.contains(words), "{words}: {text}");
    }
}

#[test]
fn channels_are_averaged_unless_they_cancel_each_other() {
    let file = wav(3, 8_000, 16, &[3_000, 6_000, 9_000, -300, -600, -900]);
    let samples = whole(&file).unwrap();
    assert_eq!(samples.len(), 2);
    assert!((samples[0] - 6_000.0 / 32_768.0).abs() < 1e-6 && (samples[1] + 600.0 / 32_768.0).abs() < 1e-6);
    let antiphase: Vec<i32> = (0..800).flat_map(|n| [n * 20, -n * 20]).collect();
    let samples = whole(&wav(2, 8_000, 16, &antiphase)).unwrap();
    assert_eq!(samples, (0..800).map(|n| (n * 20) as f32 / 32_768.0).collect::<Vec<_>>());
    assert_eq!(whole(&wav(2, 8_000, 16, &[0; 20])).unwrap(), [0.0; 10]);
}

#[test]
fn long_recordings_are_cut() {
    let rising: Vec<i32> = (0..61_000).map(|n| n % 100).collect();
    let file = wav(1, 1_000, 8, &rising);
    let all = Excerpt::whole(1_000);
    assert_eq!(samples(&file, &all).unwrap().len(), 60_000);
    let part = samples(&file, &Excerpt { from: 59.95, seconds: 0.2, ..all }).unwrap();
    assert_eq!(part.len(), 200);
    assert_eq!(part[..100], part[100..]);
    assert_eq!((part[0] * 128.0, part[50] * 128.0), (50.0, 0.0));
    assert_eq!(samples(&file, &Excerpt { from: 60.9, ..all }).unwrap().len(), 100);
    let text = samples(&file, &Excerpt { from: 61.0, ..all }).unwrap_err().to_string();
    assert!(text.contains("lasts 61.00 s; the codec reads from 61 s on"), "{text}");
    let excerpt = Excerpt { from: 0.5, seconds: 0.25, ..Excerpt::whole(8_000) };
    assert_eq!(
        samples(corpus!("good-long.flac"), &excerpt).unwrap(),
        whole(corpus!("good-long.flac")).unwrap()[4_000..6_000]
    );
}

#[test]
fn written_samples_read_back() {
    let samples = [0.0, 0.5, -0.25, 1.0, -1.0, 7.0];
    let back = whole(&write(&samples, 8_000).unwrap()).unwrap();
    for (back, sample) in back.iter().zip(samples) {
        assert!((back - sample.clamp(-1.0, 1.0)).abs() < 1e-4);
    }
}

#[test]
fn files_that_are_not_recordings_are_refused() {
    let sound = vec![100; 800];
    let whole_file = wav(1, 8_000, 16, &sound);
    for (name, file) in [
        ("no samples", wav(1, 8_000, 16, &[])),
        ("cut off", whole_file[..whole_file.len() - 100].to_vec()),
        ("too slow", wav(1, 10, 16, &sound)),
        ("too fast", wav(1, 4_000_000, 16, &sound)),
        ("65 channels", wav(65, 8_000, 16, &[0; 65])),
        ("not a number", float_wav(8_000, &[0.0, f32::NAN])),
        ("infinite", float_wav(8_000, &[f32::INFINITY])),
        ("huge", float_wav(8_000, &[f32::MAX])),
    ] {
        assert!(matches!(whole(&file), Err(Error::Data(_))), "{name}");
    }
    assert_eq!(whole(&wav(1, 1_000, 8, &vec![0; 60_000])).unwrap().len(), 480_000);
}

/// Real files of every format, to be damaged.
const FILES: [&[u8]; 13] = [
    corpus!("good.wav"),
    corpus!("good.flac"),
    corpus!("good-stereo-24.flac"),
    corpus!("good.ogg"),
    corpus!("good.mp3"),
    corpus!("good.aiff"),
    corpus!("good.caf"),
    corpus!("good.w64"),
    corpus!("good-rf64.wav"),
    corpus!("good-ima.wav"),
    corpus!("good-ms.wav"),
    corpus!("good.m4a"),
    corpus!("good-opus.ogg"),
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn damaged_files_are_read_or_refused(
        of in 0..FILES.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        head in prop::option::of((0usize..120, prop::sample::select(vec![0u8, 0x7F, 0x80, 0xFF]))),
        keep in 0.0..2.0f64,
        accept in any::<bool>(),
    ) {
        let mut file = FILES[of].to_vec();
        for (at, byte) in changes {
            let at = at.index(file.len());
            file[at] = byte;
        }
        if let Some((at, byte)) = head {
            file.iter_mut().skip(at).take(4).for_each(|old| *old = byte);
        }
        file.truncate((file.len() as f64 * keep) as usize);
        let partial = if accept { Partial::Accept } else { Partial::Fail };
        match samples(&file, &Excerpt { partial, ..Excerpt::whole(8_000) }) {
            Ok(samples) => prop_assert!(!samples.is_empty() && samples.iter().all(|sample| sample.is_finite())),
            Err(error) => prop_assert!(matches!(error, Error::Data(_))),
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(magic in 0..FILES.len(), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let file = [&FILES[magic][..4], &bytes].concat();
        prop_assert!(matches!(whole(&file), Ok(_) | Err(Error::Data(_))));
    }
}
