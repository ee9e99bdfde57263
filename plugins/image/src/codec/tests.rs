use std::io::Cursor;

use image::{DynamicImage, GrayImage, ImageFormat, Luma, Rgb as Color, RgbImage, Rgba, RgbaImage};
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn codec<C: Codec>(height: u32, width: u32) -> C {
    C::new(&Parameters::new(json!({"height": height, "width": width}))).unwrap()
}

fn file(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    image.into().write_to(&mut file, format).unwrap();
    file.into_inner()
}

fn encode<C: Codec<Element = f32>>(codec: &C, file: &[u8], array: &mut [f32]) -> Result<(), Error> {
    codec.encode(Cell::Bytes(file), array)
}

fn bytes(cell: OwnedCell) -> Vec<u8> {
    match cell {
        OwnedCell::Bytes(bytes) => bytes,
        other => panic!("{other:?}"),
    }
}

/// An image of pixels that are all different.
fn colors() -> RgbImage {
    RgbImage::from_fn(5, 4, |x, y| Color([x as u8 * 50, y as u8 * 60, (x * y) as u8 * 20]))
}

#[test]
fn eight_bits_come_back_exactly() {
    let gray = GrayImage::from_fn(16, 16, |x, y| Luma([(y * 16 + x) as u8]));
    let codec: Gray = codec(16, 16);
    let mut array = [0.0; 256];
    encode(&codec, &file(gray.clone(), ImageFormat::Png), &mut array).unwrap();
    assert_eq!(array[255], 1.0);
    let back = image::load_from_memory(&bytes(codec.decode(&array).unwrap())).unwrap();
    assert_eq!(back, DynamicImage::ImageLuma8(gray));
}

#[test]
fn colors_are_stored_in_planes_and_come_back_exactly() {
    let codec: Rgb = codec(4, 5);
    let mut array = [0.0; 60];
    encode(&codec, &file(colors(), ImageFormat::Png), &mut array).unwrap();
    let at = |channel: usize, y: usize, x: usize| (array[(channel * 4 + y) * 5 + x] * 255.0).round();
    assert_eq!([at(0, 2, 3), at(1, 2, 3), at(2, 2, 3)], [150.0, 120.0, 120.0]);
    let back = image::load_from_memory(&bytes(codec.decode(&array).unwrap())).unwrap();
    assert_eq!(back, DynamicImage::ImageRgb8(colors()));
}

#[test]
fn every_format_is_read() {
    let codec: Rgb = codec(4, 5);
    for (format, tolerance) in [
        (ImageFormat::Png, 0.0),
        (ImageFormat::Bmp, 0.0),
        (ImageFormat::WebP, 0.0),
        (ImageFormat::Tiff, 0.0),
        (ImageFormat::Pnm, 0.0),
        (ImageFormat::Gif, 0.05),
        (ImageFormat::Jpeg, 0.3),
    ] {
        let mut array = [0.0; 60];
        let mut exact = [0.0; 60];
        encode(&codec, &file(colors(), ImageFormat::Png), &mut exact).unwrap();
        encode(&codec, &file(colors(), format), &mut array).unwrap();
        let worst = array.iter().zip(exact).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst <= tolerance, "{format:?}: {worst}");
    }
}

#[test]
fn other_sizes_are_stretched() {
    let mut half = GrayImage::new(64, 32);
    (0..32).for_each(|y| (32..64).for_each(|x| half.put_pixel(x, y, Luma([255]))));
    let mut array = [0.0; 64];
    encode(&codec::<Gray>(8, 8), &file(half, ImageFormat::Png), &mut array).unwrap();
    for row in array.chunks(8) {
        assert!(row[..3].iter().all(|v| *v < 0.1) && row[5..].iter().all(|v| *v > 0.9), "{row:?}");
    }
}

#[test]
fn transparent_pixels_are_white() {
    let clear = RgbaImage::from_pixel(2, 2, Rgba([0, 0, 0, 0]));
    let mut array = [0.0; 4];
    encode(&codec::<Gray>(2, 2), &file(clear, ImageFormat::Png), &mut array).unwrap();
    assert_eq!(array, [1.0; 4]);
}

fn codec_with<C: Codec>(parameters: serde_json::Value) -> Result<C, Error> {
    C::new(&Parameters::new(parameters))
}

#[test]
fn inverted_codecs_see_and_write_the_negative() {
    let plain: Gray = codec(4, 5);
    let inverted: Gray = codec_with(json!({"height": 4, "width": 5, "invert": true})).unwrap();
    let image = GrayImage::from_fn(5, 4, |x, y| Luma([(x * 50 + y) as u8]));
    let bytes_of = file(image.clone(), ImageFormat::Png);
    let mut seen = [0.0; 20];
    let mut negative = [0.0; 20];
    encode(&plain, &bytes_of, &mut seen).unwrap();
    encode(&inverted, &bytes_of, &mut negative).unwrap();
    assert!(seen.iter().zip(negative).all(|(a, b)| (a + b - 1.0).abs() < 1e-6));
    let back = image::load_from_memory(&bytes(inverted.decode(&negative).unwrap())).unwrap();
    assert_eq!(back, DynamicImage::ImageLuma8(image));
    // Ink on transparent paper is bright on black.
    let clear = file(RgbaImage::from_pixel(5, 4, Rgba([0, 0, 0, 0])), ImageFormat::Png);
    encode(&inverted, &clear, &mut negative).unwrap();
    assert_eq!(negative, [0.0; 20]);
}

#[test]
fn images_of_other_proportions_are_cropped_or_padded() {
    // A white square in the middle of black.
    let bands = GrayImage::from_fn(48, 16, |x, _| Luma([if (16..32).contains(&x) { 255 } else { 0 }]));
    let bands = file(bands, ImageFormat::Png);
    let mut array = [0.0; 64];
    let crop: Gray = codec_with(json!({"height": 8, "width": 8, "fit": "crop"})).unwrap();
    encode(&crop, &bands, &mut array).unwrap();
    assert!(array.iter().all(|value| *value > 0.85), "{array:?}");
    let pad: Gray = codec_with(json!({"height": 8, "width": 8, "fit": "pad", "background": 0.2})).unwrap();
    encode(&pad, &bands, &mut array).unwrap();
    assert!(array[..16].iter().chain(&array[48..]).all(|value| (value - 0.2).abs() < 1e-6), "{array:?}");
    assert!(array[24] < 0.1 && array[28] > 0.9 && array[31] < 0.1, "{array:?}");
}

#[test]
fn partial_images_are_refused_or_taken() {
    let bmp = file(GrayImage::from_fn(16, 16, |x, y| Luma([(y * 16 + x) as u8])), ImageFormat::Bmp);
    let half = &bmp[..bmp.len() - 64];
    let mut array = [0.0; 256];
    let Err(Error::Data(text)) = encode(&codec::<Gray>(16, 16), half, &mut array) else { panic!("accepted") };
    assert!(text.contains("lines are there; `partial: accept`"), "{text}");
    let accept: Gray = codec_with(json!({"height": 16, "width": 16, "partial": "accept"})).unwrap();
    encode(&accept, half, &mut array).unwrap();
    // The lines of this format begin with the last one.
    assert!((array[255] - 1.0).abs() < 1e-6 && (array[0] - 128.0 / 255.0).abs() < 1e-6, "{} {}", array[255], array[0]);
}

#[test]
fn impossible_looks_are_refused() {
    for (name, value) in
        [("background", json!(1.5)), ("background", json!(-0.1)), ("fit", json!("cover")), ("partial", json!(1))]
    {
        let mut parameters = json!({"height": 2, "width": 2});
        parameters[name] = value.clone();
        assert!(matches!(codec_with::<Gray>(parameters), Err(Error::Parameters(_))), "{name} {value}");
    }
}

#[test]
fn values_outside_the_range_are_brought_in_and_non_finite_ones_refused() {
    let codec: Gray = codec(1, 2);
    let back = image::load_from_memory(&bytes(codec.decode(&[-3.0, 7.0]).unwrap())).unwrap().into_luma8();
    assert_eq!(back.as_raw(), &[0, 255]);
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        assert!(matches!(codec.decode(&[0.0, bad]), Err(Error::Data(_))));
    }
}

#[test]
fn a_small_file_of_a_huge_image_is_refused() {
    let mut bmp = file(GrayImage::new(1, 1), ImageFormat::Bmp);
    for (width, height) in [(1 << 20, 1), (1, 1 << 20), (16_000, 16_000)] {
        bmp[18..22].copy_from_slice(&i32::to_le_bytes(width));
        bmp[22..26].copy_from_slice(&i32::to_le_bytes(height));
        let refused = encode(&codec::<Gray>(2, 2), &bmp, &mut [0.0; 4]);
        assert!(matches!(refused, Err(Error::Data(_))), "{width} x {height}: {refused:?}");
    }
}

#[test]
fn impossible_sizes_are_refused() {
    for (height, width) in
        [(json!(0), json!(3)), (json!(3), json!(4096)), (json!(-1), json!(1)), (json!(2.5), json!(2))]
    {
        let made = Gray::new(&Parameters::new(json!({"height": height, "width": width})));
        assert!(matches!(made, Err(Error::Parameters(_))), "{height} x {width}");
    }
}

/// Real files of every format, to be damaged.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let formats = [
        ImageFormat::Png,
        ImageFormat::Bmp,
        ImageFormat::Gif,
        ImageFormat::Jpeg,
        ImageFormat::WebP,
        ImageFormat::Tiff,
        ImageFormat::Pnm,
        ImageFormat::Ico,
    ];
    let files: Vec<_> = formats.into_iter().map(|format| file(colors(), format)).collect();
    (prop::sample::select(files), prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8), 0.0..2.0f64)
        .prop_map(|(mut file, changes, keep)| {
            for (at, byte) in changes {
                let at = at.index(file.len());
                file[at] = byte;
            }
            file.truncate((file.len() as f64 * keep) as usize);
            file
        })
}

proptest! {
    #[test]
    fn damaged_files_are_read_or_refused(file in damaged()) {
        let mut array = [0.0; 12];
        match encode(&codec::<Rgb>(2, 2), &file, &mut array) {
            Ok(()) => prop_assert!(array.iter().all(|v| (0.0..=1.0).contains(v))),
            Err(error) => prop_assert!(matches!(error, Error::Data(_))),
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let refused = encode(&codec::<Gray>(2, 2), &bytes, &mut [0.0; 4]);
        prop_assert!(matches!(refused, Ok(()) | Err(Error::Data(_))));
    }

    #[test]
    fn decoded_files_encode_to_the_same_values(values in prop::collection::vec(0.0..=1.0f32, 12)) {
        let codec: Rgb = codec(2, 2);
        let mut array = [0.0; 12];
        encode(&codec, &bytes(codec.decode(&values).unwrap()), &mut array).unwrap();
        for (value, back) in values.iter().zip(array) {
            prop_assert!((value - back).abs() <= 0.5 / 255.0 + 1e-6);
        }
    }
}
