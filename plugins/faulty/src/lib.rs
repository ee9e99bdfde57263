//! The modality plugin faulty
