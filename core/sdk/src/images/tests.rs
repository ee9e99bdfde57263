use std::io::Cursor;

use image::{GrayImage, ImageFormat, Luma, Rgb, RgbImage};

use super::*;

macro_rules! corpus {
    ($($name:literal),+) => {
        include_bytes!(concat!("../../../../tests/corpus/image/", $($name),+)).as_slice()
    };
}

/// An image of the corpus, and what Pillow makes of it.
macro_rules! pair {
    ($name:literal) => {
        ($name, corpus!($name), corpus!($name, ".pillow.png"))
    };
}

fn reader(partial: Partial) -> ImageReader {
    ImageReader { max_side: 1 << 14, max_bytes: 1 << 26, partial }
}

fn read(bytes: &[u8]) -> Result<DynamicImage, Error> {
    reader(Partial::Fail).read(bytes, |image| image)
}

/// The pixels on white.
fn rgb(bytes: &[u8]) -> RgbImage {
    let image = read(bytes).unwrap_or_else(|error| panic!("{error}"));
    let frame = Frame { width: image.width(), height: image.height(), fit: ImageFit::Stretch, background: 1.0 };
    frame.place(image).into_rgb8()
}

fn refusal(bytes: &[u8]) -> String {
    match read(bytes) {
        Err(Error::Data(text)) => text,
        other => panic!("{:?}", other.map(|image| (image.width(), image.height()))),
    }
}

fn file(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    image.into().write_to(&mut file, format).unwrap();
    file.into_inner()
}

/// The largest difference of two images, in levels of 255.
fn levels(a: &RgbImage, b: &RgbImage) -> u8 {
    assert_eq!(a.dimensions(), b.dimensions());
    a.iter().zip(b.iter()).map(|(a, b)| a.abs_diff(*b)).max().unwrap()
}

#[test]
fn images_are_those_of_pillow() {
    let mut far = Vec::new();
    for ((name, image, pillow), tolerance) in [
        (pair!("good.webp"), 7),
        (pair!("good-alpha.webp"), 1),
        (pair!("good-moving.webp"), 0),
        (pair!("good.tiff"), 0),
        (pair!("good-jpeg.tiff"), 4),
        (pair!("good-cmyk.tiff"), 2),
        (pair!("good-palette.tiff"), 0),
        (pair!("good-16-colors.tiff"), 0),
        (pair!("good-bits.tiff"), 0),
        (pair!("good-gray-alpha.tiff"), 1),
        (pair!("good-ycbcr.tiff"), 1),
        (pair!("good.ppm"), 0),
        (pair!("good.ico"), 0),
        // Its colours are stored for every fourth pixel and change sharply, and decoders smooth them differently.
        (pair!("good.jpeg"), 14),
        (pair!("good-gray.jpeg"), 2),
        (pair!("good-progressive.jpeg"), 4),
        (pair!("good-noise.jpeg"), 4),
        (pair!("good-smooth.jpeg"), 4),
        (pair!("good-restarts.jpeg"), 4),
        (pair!("good-cmyk.jpeg"), 4),
        (pair!("good-ycck.jpeg"), 4),
    ] {
        let found = levels(&rgb(image), &rgb(pillow));
        if found > tolerance {
            far.push(format!("{name}: {found} levels"));
        }
    }
    assert!(far.is_empty(), "{far:?}");
}

#[test]
fn sixteen_bits_are_kept() {
    for image in [corpus!("good-16-bit.tiff"), corpus!("good-16-bit.png")] {
        let image = read(image).unwrap().into_luma16();
        assert!(image.enumerate_pixels().all(|(x, y, pixel)| pixel.0 == [(y * 3_000 + x * 500) as u16]));
    }
}

#[test]
fn a_jpeg_that_ends_early_says_how_much_is_there() {
    let cut = |image: &[u8], percent: usize| image[..image.len() * percent / 100].to_vec();
    let ended = |image: Vec<u8>| [image, vec![0xFF, 0xD9]].concat();
    let zeros = |image: &[u8]| [&image[..image.len() / 2], &vec![0; image.len() - image.len() / 2]].concat();
    let noise = corpus!("good-noise.jpeg");
    let smooth = corpus!("good-smooth.jpeg");
    let restarts = corpus!("good-restarts.jpeg");
    let mut taken = 0;
    for (name, image, most) in [
        ("noise, 40 %", cut(noise, 40), 32),
        ("noise, 60 %", cut(noise, 60), 32),
        ("noise, 90 %", cut(noise, 90), 47),
        ("noise, 98 %", cut(noise, 98), 47),
        ("restarts, 50 %", cut(restarts, 50), 47),
        ("smooth, 95 %", cut(smooth, 95), 47),
        ("zeros after noise", zeros(noise), 47),
        ("noise with an end mark, 60 %", ended(cut(noise, 60)), 47),
        ("smooth with an end mark, 95 %", ended(cut(smooth, 95)), 47),
    ] {
        assert!(read(&image).is_err(), "{name}: accepted");
        let text = refusal(&image);
        let lines = text.strip_prefix("the image ends early: ").and_then(|rest| rest.split(' ').next()?.parse().ok());
        let lines: usize = lines.unwrap_or_else(|| panic!("{name}: {text}"));
        assert!(lines <= most && text.contains(&format!("{lines} of 48 lines are there")), "{name}: {text}");
        let accepted = reader(Partial::Accept).read(&image, DynamicImage::into_rgb8);
        if lines == 0 {
            // It ends within its first row of blocks.
            assert!(accepted.is_err(), "{name}");
            continue;
        }
        taken += 1;
        let partial = accepted.unwrap();
        let all = rgb(if name.starts_with("smooth") {
            smooth
        } else if name.starts_with("restarts") {
            restarts
        } else {
            noise
        });
        // Colours of the last lines there are mixed with those of the first missing ones.
        let same = (0..(lines as u32).saturating_sub(2))
            .all(|y| (0..48).all(|x| partial.get_pixel(x, y) == all.get_pixel(x, y)));
        let gray = (lines as u32..48).all(|y| (0..48).all(|x| partial.get_pixel(x, y).0 == [128; 3]));
        assert!(same && gray, "{name}, {lines} lines: {same} {gray}");
    }
    assert!(taken > 4, "{taken}");
    let progressive = corpus!("good-progressive.jpeg");
    let scans: Vec<usize> = (2..progressive.len()).filter(|at| progressive[*at..].starts_with(&[0xFF, 0xDA])).collect();
    assert_eq!(scans.len(), 10);
    for (image, words) in [
        (cut(progressive, 60), "coefficients"),
        (cut(progressive, 97), "some of its scans are cut"),
        (ended(cut(progressive, 97)), "some of its scans are cut"),
        (zeros(progressive), "coefficients"),
        (ended(progressive[..scans[1]].to_vec()), "its 1 scans complete 0 of 192 coefficients"),
        // The last scan has the last bits of all coefficients of the first component but one.
        (ended(progressive[..scans[9]].to_vec()), "its 9 scans complete 129 of 192 coefficients"),
    ] {
        let text = refusal(&image);
        assert!(text.contains("the image ends early: ") && text.contains(words), "{words}: {text}");
        assert!(reader(Partial::Accept).read(&image, |_| ()).is_ok());
    }
    for head in [noise, progressive] {
        let text = refusal(&head[..160]);
        assert!(text.contains("ends early, before its pixels"), "{text}");
    }
}

#[test]
fn a_large_jpeg_that_ends_early_is_told_from_one_with_a_blank_end() {
    // The lower half is white, so that its data are short and its lines are all the same.
    let image = RgbImage::from_fn(320, 240, |x, y| {
        if y < 120 { Rgb([(x * y % 251) as u8, (x * 7 % 256) as u8, (y * 2) as u8]) } else { Rgb([255; 3]) }
    });
    let whole = file(image, ImageFormat::Jpeg);
    assert_eq!(rgb(&whole).get_pixel(300, 230).0, [255; 3]);
    let ended = |bytes: usize| [&whole[..bytes], &[0xFF, 0xD9]].concat();
    for (end, least, most) in [(whole.len() - 40, 120, 239), (whole.len() / 2, 30, 100), (700, 0, 8)] {
        for cut in [ended(end), whole[..end].to_vec()] {
            let text = refusal(&cut);
            let lines =
                text.strip_prefix("the image ends early: ").and_then(|rest| rest.split(' ').next()?.parse().ok());
            assert!(lines.is_some_and(|lines: usize| (least..=most).contains(&lines)), "{end} bytes: {text}");
        }
    }
    // A part is lost in the middle.
    let lost = [&whole[..whole.len() / 3], &whole[whole.len() / 2..]].concat();
    assert!(refusal(&lost).contains("ends early"), "{}", refusal(&lost));
}

#[test]
fn a_jpeg_that_lacks_parts_between_restart_markers_ends_early() {
    let whole = corpus!("good-restarts.jpeg");
    let marks: Vec<usize> =
        (2..whole.len() - 1).filter(|at| whole[*at] == 0xFF && (0xD0..=0xD7).contains(&whole[*at + 1])).collect();
    let without = |from: usize, to: usize| [&whole[..marks[from]], &whole[marks[to]..]].concat();
    for lost in [without(0, 1), [&whole[..marks[0]], &[0xFF, 0xD9]].concat(), whole[..marks[1]].to_vec()] {
        assert!(refusal(&lost).contains("of 48 lines are there"), "{}", refusal(&lost));
        assert!(reader(Partial::Accept).read(&lost, |_| ()).is_ok());
    }
}

#[test]
fn a_jpeg_without_its_end_mark_is_whole() {
    for (name, image) in [
        ("noise", corpus!("good-noise.jpeg")),
        ("smooth", corpus!("good-smooth.jpeg")),
        ("restarts", corpus!("good-restarts.jpeg")),
        ("progressive", corpus!("good-progressive.jpeg")),
        ("flat", corpus!("good-flat.jpeg")),
        ("gray", corpus!("good-gray.jpeg")),
        ("CMYK", corpus!("good-cmyk.jpeg")),
    ] {
        let whole = rgb(image);
        let without = &image[..image.len() - 2];
        assert_eq!(rgb(without), whole, "{name}");
        for end in [&[0xFF][..], &[0xFF; 3], &[0xFF, 0, 0]] {
            assert_eq!(rgb(&[without, end].concat()), whole, "{name} and {end:?}");
        }
        assert_eq!(rgb(&[without, &[0; 100]].concat()), whole, "{name}");
        assert_eq!(rgb(&[image, b"more of another program"].concat()), whole, "{name}");
    }
}

#[test]
fn other_images_that_end_early_say_how_much_is_there() {
    let image = RgbImage::from_fn(40, 30, |x, y| Rgb([(x * 6) as u8, (y * 8) as u8, (x * y % 251) as u8]));
    for format in [ImageFormat::Png, ImageFormat::Bmp, ImageFormat::Pnm, ImageFormat::Gif, ImageFormat::Tiff] {
        let whole = file(image.clone(), format);
        let text = refusal(&whole[..whole.len() * 6 / 10]);
        assert!(text.contains("ends early"), "{format:?}: {text}");
    }
    let png = file(image.clone(), ImageFormat::Png);
    let half = &png[..png.len() / 2];
    let text = refusal(half);
    let lines = text.strip_prefix("the image ends early: ").and_then(|rest| rest.split(' ').next()?.parse().ok());
    let lines: u32 = lines.unwrap_or_else(|| panic!("{text}"));
    assert!((5..25).contains(&lines) && text.contains("of 30 lines are there; `partial: accept`"), "{text}");
    let partial = reader(Partial::Accept).read(half, DynamicImage::into_rgb8).unwrap();
    assert!((0..lines).all(|y| (0..40).all(|x| partial.get_pixel(x, y) == image.get_pixel(x, y))));
    assert_eq!(partial.get_pixel(0, 29).0, [128; 3]);
    // Nothing but its number would tell that a value is swapped.
    let deep = image::ImageBuffer::from_fn(30, 30, |x, y| Luma([(x * 1_000 + y) as u16]));
    let png = file(DynamicImage::ImageLuma16(deep.clone()), ImageFormat::Png);
    let partial = reader(Partial::Accept).read(&png[..png.len() * 7 / 10], DynamicImage::into_luma16).unwrap();
    assert_eq!(partial.get_pixel(7, 3), deep.get_pixel(7, 3));
}

/// The lines that a refusal counts.
fn lines_of(bytes: &[u8]) -> u32 {
    let text = refusal(bytes);
    let lines = text.strip_prefix("the image ends early: ").and_then(|rest| rest.split(' ').next()?.parse().ok());
    lines.unwrap_or_else(|| panic!("{text}"))
}

#[test]
fn lines_are_counted_wherever_the_format_puts_them() {
    let noise = rgb(corpus!("good-noise.tiff"));
    let format = |format: ImageFormat| file(noise.clone(), format);
    let deep = DynamicImage::ImageRgb8(noise.clone()).into_luma16();
    // Of 48 lines: those from the bottom, from the top, and in passes, of which the last but one completes each second line.
    for (name, whole, percent, lines) in [
        ("bottom-up BMP", format(ImageFormat::Bmp), 10, 4..=4),
        ("bottom-up BMP", format(ImageFormat::Bmp), 99, 47..=47),
        ("PPM", format(ImageFormat::Pnm), 99, 47..=47),
        ("PGM of 16 bits", file(deep, ImageFormat::Pnm), 50, 23..=24),
        ("PNG", format(ImageFormat::Png), 50, 20..=26),
        ("interlaced PNG", corpus!("good-interlaced.png").to_vec(), 75, 24..=37),
        ("interlaced GIF", corpus!("good-interlaced.gif").to_vec(), 60, 15..=30),
        ("TIFF", corpus!("good-noise.tiff").to_vec(), 99, 47..=47),
        ("TIFF", corpus!("good-noise.tiff").to_vec(), 50, 23..=24),
        ("WebP", corpus!("good-noise.webp").to_vec(), 60, 1..=32),
    ] {
        let all = rgb(&whole);
        let cut = &whole[..whole.len() * percent / 100];
        let there = lines_of(cut);
        assert!(lines.contains(&there), "{name}, {percent} %: {there}");
        let partial = reader(Partial::Accept).read(cut, DynamicImage::into_rgb8).unwrap();
        let same = partial.rows().zip(all.rows()).filter(|(a, b)| a.clone().eq(b.clone())).count();
        assert!(same >= there as usize, "{name}, {percent} %: {same} of {there} lines are those of the whole image");
    }
}

#[test]
fn nothing_is_taken_of_an_image_without_a_line() {
    for (name, cut) in [
        ("interlaced PNG", &corpus!("good-interlaced.png")[..700]),
        ("TIFF", &corpus!("good-noise.tiff")[..200]),
        ("WebP", &corpus!("good-noise.webp")[..60]),
    ] {
        let text = refusal(cut);
        assert!(text.contains("0 of 48 lines are there, so that nothing of it can be taken"), "{name}: {text}");
        assert!(reader(Partial::Accept).read(cut, |_| ()).is_err(), "{name}");
    }
    // Its directory is behind its lines.
    let text = refusal(&corpus!("good-noise-lzw.tiff")[..9_000]);
    assert!(text.contains("ends early: its directory"), "{text}");
}

#[test]
fn strips_of_a_tiff_file_behind_its_end_are_not_there() {
    // The directory is moved to the front, where other writers have it, and the rest of the last strip is cut off.
    for image in [corpus!("good-noise-lzw.tiff"), corpus!("good-noise-jpeg.tiff")] {
        let (front, shift) = with_directory_in_front(image);
        assert_eq!(rgb(&front), rgb(image));
        let cut = &front[..shift + 4_000];
        let there = lines_of(cut);
        assert!((8..48).contains(&there) || there == 0, "{there}");
        assert!(refusal(&front[..front.len() - 700]).contains("lines are there"));
    }
}

/// A file whose directory and its values come before the rest, and how far that moves. Each value of more than four bytes,
/// and each strip, is at a place that an entry names.
fn with_directory_in_front(image: &[u8]) -> (Vec<u8>, usize) {
    let u32_at = |bytes: &[u8], at: usize| u32::from_le_bytes(*bytes[at..].first_chunk().unwrap());
    let u16_at = |bytes: &[u8], at: usize| u16::from_le_bytes(*bytes[at..].first_chunk().unwrap());
    let begin = u32_at(image, 4) as usize;
    // All but the head moves behind a copy of everything.
    let mut copy = image.to_vec();
    let shift = image.len();
    for entry in (0..usize::from(u16_at(image, begin))).map(|entry| begin + 2 + 12 * entry) {
        let (tag, kind, count) = (u16_at(image, entry), u16_at(image, entry + 2), u32_at(image, entry + 4));
        let place = u32_at(image, entry + 8) as usize;
        // Only the places of strips are other ones: all else is in the copy.
        if tag != 273 {
            continue;
        }
        let size = if kind == 3 { 2 } else { 4 };
        let values = if size * count as usize <= 4 { entry + 8 } else { place };
        for value in (0..count as usize).map(|value| values + size * value) {
            assert_eq!(size, 4, "places of 32 bits");
            let moved = u32_at(image, value) + shift as u32;
            copy[value..value + 4].copy_from_slice(&moved.to_le_bytes());
        }
    }
    ([copy, image.to_vec()].concat(), shift)
}

#[test]
fn tiff_files_of_numbers_are_levels_or_say_what_they_hold() {
    let gray = read(corpus!("good-gray.png")).unwrap().into_luma8();
    assert_eq!(read(corpus!("good-float.tiff")).unwrap().into_luma8(), gray);
    for (bytes, words) in [
        (corpus!("wide-float.tiff"), "holds the float "),
        (
            corpus!("signed.tiff"),
            "the TIFF image holds signed integers, which is not read; write it again as grey or RGB",
        ),
        (corpus!("zstd.tiff"), "the TIFF image is compressed with Zstandard"),
        (corpus!("lzma.tiff"), "the TIFF image is compressed with LZMA"),
        (corpus!("lab.tiff"), "the TIFF image has Lab colours"),
    ] {
        let text = refusal(bytes);
        assert!(text.contains(words), "{words}: {text}");
    }
}

#[test]
fn cells_that_are_no_images_and_too_large_ones_are_named() {
    let wide = file(GrayImage::new(20_000, 1), ImageFormat::Png);
    for (bytes, words) in [
        (&b""[..], "the cell is empty"),
        (b"BMW is a car", "the cell holds text"),
        (b"P5 is a word", "the PNM image"),
        (b"PNG", "the cell holds text"),
        (corpus!("image.avif"), "an AVIF image, which is not supported; supported: PNG, JPEG, WebP"),
        (&wide, "20000 x 1 pixels"),
        (corpus!("vast.jpeg"), "65535 x 65535 pixels"),
        (corpus!("wrong-checksum.png"), "the PNG image is damaged"),
    ] {
        let text = refusal(bytes);
        assert!(text.contains(words), "{words}: {text}");
    }
}

#[test]
fn orientations_of_every_width_turn_the_image() {
    let image = RgbImage::from_fn(16, 8, |x, y| Rgb([x as u8 * 16, y as u8 * 32, 0]));
    let jpeg = file(image, ImageFormat::Jpeg);
    let upright = rgb(&jpeg);
    let with = |exif: &[u8]| {
        let length = (exif.len() as u16 + 8).to_be_bytes();
        [&jpeg[..2], b"\xff\xe1", &length, b"Exif\0\0", exif, &jpeg[2..]].concat()
    };
    let entry = |kind: u8, value: [u8; 4]| {
        [b"MM\0*\0\0\0\x08\0\x01\x01\x12\0", [kind].as_slice(), b"\0\0\0\x01", &value, b"\0\0\0\0"].concat()
    };
    for (kind, value) in [(1, [6, 0, 0, 0]), (3, [0, 6, 0, 0]), (4, [0, 0, 0, 6])] {
        assert_eq!(rgb(&with(&entry(kind, value))), image::imageops::rotate90(&upright), "type {kind}");
    }
    assert_eq!(
        rgb(&with(b"II*\0\x08\0\0\0\x01\0\x12\x01\x04\0\x01\0\0\0\x03\0\0\0")),
        image::imageops::rotate180(&upright)
    );
    for exif in [
        &b"MM\0*\xff\xff\xff\xff"[..],
        b"",
        b"MM\0*",
        &entry(3, [0, 0, 0, 0]),
        &entry(3, [0, 99, 0, 0]),
        &entry(7, [0, 6, 0, 0]),
    ] {
        assert_eq!(rgb(&with(exif)), upright, "{exif:?}");
    }
}

/// A frame of 6 x 4.
fn placed(image: impl Into<DynamicImage>, fit: ImageFit, background: f32) -> RgbImage {
    Frame { width: 6, height: 4, fit, background }.place(image.into()).into_rgb8()
}

#[test]
fn images_of_other_proportions_are_stretched_cropped_or_padded() {
    // Three bands of 8 x 16: left black, middle white, right black.
    let bands = GrayImage::from_fn(24, 8, |x, _| Luma([if (8..16).contains(&x) { 255 } else { 0 }]));
    let line = |image: &RgbImage, y: u32| (0..6).map(|x| image.get_pixel(x, y)[0]).collect::<Vec<_>>();
    let stretched = placed(bands.clone(), ImageFit::Stretch, 1.0);
    let middle = line(&stretched, 1);
    assert!(middle[0] < 20 && middle[2] > 230 && middle[3] > 230 && middle[5] < 20, "{middle:?}");
    // The crop keeps the middle 12 of 24 columns: 2 black, 8 white, 2 black.
    let cropped = line(&placed(bands.clone(), ImageFit::Crop, 1.0), 1);
    assert!(cropped[0] < 60 && cropped[1..5].iter().all(|level| *level > 220) && cropped[5] < 60, "{cropped:?}");
    // All of it is 6 x 2 pixels.
    let padded = placed(bands, ImageFit::Pad, 0.5);
    assert_eq!([line(&padded, 0), line(&padded, 3)], [[128; 6], [128; 6]]);
    assert_eq!(line(&padded, 1), middle);
    // An image of the right size keeps its pixels.
    let exact = RgbImage::from_fn(6, 4, |x, y| Rgb([x as u8, y as u8, 7]));
    for fit in [ImageFit::Stretch, ImageFit::Crop, ImageFit::Pad] {
        assert_eq!(placed(exact.clone(), fit, 0.0), exact);
    }
}

#[test]
fn resized_images_are_those_of_pillow() {
    let image = rgb(corpus!("good-smooth.jpeg.pillow.png"));
    for (fit, pillow) in [
        (ImageFit::Stretch, corpus!("good-resized-stretch.png")),
        (ImageFit::Crop, corpus!("good-resized-crop.png")),
        (ImageFit::Pad, corpus!("good-resized-pad.png")),
    ] {
        let frame = Frame { width: 21, height: 13, fit, background: 0.0 };
        let found = levels(&frame.place(image.clone().into()).into_rgb8(), &rgb(pillow));
        assert!(found <= 7, "{fit:?}: {found} levels");
    }
}

#[test]
fn resized_large_images_are_those_of_pillow() {
    let pixel = |x: u32, y: u32| [(x * y / 300 % 256) as u8, (x * 2 % 256) as u8, ((x + y) / 5 % 256) as u8];
    let image = RgbImage::from_fn(640, 480, |x, y| Rgb(pixel(x, y)));
    let gray = GrayImage::from_fn(640, 480, |x, y| Luma([pixel(x, y)[0]]));
    let frame = Frame { width: 33, height: 21, fit: ImageFit::Stretch, background: 0.0 };
    let color = levels(&frame.place(image.into()).into_rgb8(), &rgb(corpus!("good-resized-large.png")));
    let gray = levels(&frame.place(gray.into()).into_rgb8(), &rgb(corpus!("good-resized-large-gray.png")));
    assert!(color <= 1 && gray <= 1, "{color} and {gray} levels");
}

#[test]
fn transparency_shows_the_background() {
    let clear = image::RgbaImage::from_pixel(6, 4, image::Rgba([10, 20, 30, 51]));
    assert_eq!(placed(clear.clone(), ImageFit::Stretch, 1.0).get_pixel(0, 0).0, [206, 208, 210]);
    assert_eq!(placed(clear, ImageFit::Stretch, 0.0).get_pixel(0, 0).0, [2, 4, 6]);
}
