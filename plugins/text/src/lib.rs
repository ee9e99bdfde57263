//! The modality plugin text
