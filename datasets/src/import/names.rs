//! Infers columns from file names.

use std::path::Path;

use crate::feature::Feature;

const IMAGE: &[&str] =
    &["png", "apng", "jpg", "jpeg", "jpe", "jfif", "gif", "bmp", "dib", "webp", "tif", "tiff", "avif", "heic", "jxl"];
const AUDIO: &[&str] =
    &["wav", "wave", "flac", "mp3", "ogg", "oga", "opus", "m4a", "aif", "aiff", "aifc", "au", "caf", "w64", "rf64"];
const VIDEO: &[&str] = &["mp4", "m4v", "webm", "avi", "mov", "mkv"];

/// Column name and feature of a media file.
pub(super) fn media(extension: &str) -> Option<(&'static str, Feature)> {
    let kinds = [(IMAGE, "image"), (AUDIO, "audio"), (VIDEO, "video")];
    let (_, name) = kinds.into_iter().find(|(known, _)| known.contains(&extension))?;
    column(name)
}

/// Column name and feature of a file of a media type, such as `image/png`.
pub(super) fn media_type(name: &str) -> Option<(&'static str, Feature)> {
    column(name.split('/').next()?)
}

fn column(kind: &str) -> Option<(&'static str, Feature)> {
    match kind {
        "image" => Some(("image", Feature::Image)),
        "audio" => Some(("audio", Feature::Audio { sampling_rate: None })),
        "video" => Some(("video", Feature::Video)),
        _ => None,
    }
}

/// Column name and feature of a member of a WebDataset row, from everything after the first dot: `png`, `left.png`,
/// `txt` ...
///
/// A dotted extension keeps its first words as the name: `left.png` is an image column `left`.
pub(super) fn member(extension: &str) -> (String, Feature) {
    let (prefix, last) = extension.rsplit_once('.').map_or((None, extension), |(prefix, last)| (Some(prefix), last));
    let (name, feature) = match last {
        "txt" => ("text", Feature::Value("string".into())),
        "json" => ("json", Feature::Value("string".into())),
        "cls" => ("label", Feature::Value("int64".into())),
        other => media(other).unwrap_or((other, Feature::Value("binary".into()))),
    };
    (prefix.map_or(name.to_string(), |prefix| prefix.replace('.', "_")), feature)
}

/// Lower-case extension of a path, empty without one.
pub(super) fn extension(path: &Path) -> String {
    path.extension().map(|extension| extension.to_string_lossy().to_lowercase()).unwrap_or_default()
}
