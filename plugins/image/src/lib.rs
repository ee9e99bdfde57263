//! The modality plugin image
