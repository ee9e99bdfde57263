//! The modality plugin audio
