//! Names of columns and files: two spellings of one text are one name.

use unicode_normalization::UnicodeNormalization;

/// The composed form (NFC) of a name. Some systems write `é` as one character, some as two.
pub(crate) fn nfc(name: &str) -> String {
    name.nfc().collect()
}
