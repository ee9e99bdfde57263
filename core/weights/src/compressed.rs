//! A safetensors file compressed with Zstandard, as `zstd -19 model.safetensors` writes it.

use std::io::{BufRead, BufReader, Read};

use zstd::zstd_safe;

use crate::error::{Result, WeightsError};
use crate::flaw::Flaw;

/// The first bytes of a frame: RFC 8878, section 3.1.1. No safetensors file begins with them: its header would have 4 GB.
pub(crate) const MAGIC: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
/// Weights hardly shrink, so a file that expands further is damaged or hostile. Tensors are allocated by its sizes.
const MOST_EXPANSION: u64 = 64;

/// The bytes of the one frame of a file.
pub(crate) struct Frame<R: Read> {
    /// Their number, by the frame's header.
    pub size_bytes: u64,
    decoder: zstd::Decoder<'static, BufReader<R>>,
}

impl<R: Read> Frame<R> {
    /// `file_bytes` is the size of the compressed file.
    pub fn open(file: R, file_bytes: u64) -> Result<Self> {
        let mut file = BufReader::new(file);
        let head = file.fill_buf().map_err(WeightsError::Read)?;
        let size_bytes = zstd_safe::get_frame_content_size(head).ok().flatten().ok_or_else(|| {
            damaged("its frame does not say how long its content is; compress the file itself, not a stream")
        })?;
        let most = file_bytes.saturating_mul(MOST_EXPANSION);
        if size_bytes > most {
            return Err(damaged(format!("{file_bytes} bytes cannot hold {size_bytes} bytes of weights")));
        }
        let decoder = zstd::Decoder::with_buffer(file).map_err(WeightsError::Read)?.single_frame();
        Ok(Frame { size_bytes, decoder })
    }

    /// The end of the file, after the whole content is read. This also compares the frame's checksum.
    pub fn finish(mut self) -> Result<R> {
        self.ends()?;
        let mut rest = self.decoder.finish();
        match rest.fill_buf().map_err(WeightsError::Read)? {
            [] => Ok(rest.into_inner()),
            _ => Err(damaged("something follows its frame")),
        }
    }

    fn ends(&mut self) -> Result<()> {
        match self.read(&mut [0]).map_err(WeightsError::Read)? {
            0 => Ok(()),
            _ => Err(damaged("its content is longer than its frame says")),
        }
    }
}

impl<R: Read> Read for Frame<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.decoder.read(buffer)
    }
}

fn damaged(text: impl Into<String>) -> WeightsError {
    WeightsError::Foreign(Flaw::Compressed(text.into()))
}
