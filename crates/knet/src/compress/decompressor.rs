//! What peers send compressed.

use core::fmt;
use std::io::ErrorKind;

use flate2::{Decompress, FlushDecompress, Status};
use lzma_rust2::XzStream;
use ruzstd::decoding::FrameDecoder;
use ruzstd::decoding::errors::FrameDecoderError;

use super::{DecompressError, MAX_DECOMPRESSED_LEN, Model};

/// Reads the payloads of all models, whatever this node itself sends.
pub struct Decompressor {
    zlib: Decompress,
    zstd: FrameDecoder,
    /// One byte more than may come out, so that too much shows.
    buffer: Box<[u8]>,
}

impl Decompressor {
    /// With its buffers.
    #[must_use]
    pub fn new() -> Self {
        let mut zstd = FrameDecoder::new();
        zstd.set_max_window_size(ZSTD_WINDOW_LEN);
        Self {
            zlib: Decompress::new(true),
            zstd,
            buffer: vec![0; MAX_DECOMPRESSED_LEN + 1].into(),
        }
    }

    /// What `payload` was before a peer compressed it with the model of number `id`.
    ///
    /// As in C, what follows the end of a stream is ignored with zlib, lzma and bzip2, and is an error with lzo2 and
    /// zstd.
    ///
    /// # Errors
    ///
    /// See [`DecompressError`]; the next payload is not affected.
    pub fn decompress(&mut self, id: u8, payload: &[u8]) -> Result<&[u8], DecompressError> {
        let model = Model::ALL
            .into_iter()
            .find(|model| model.id() == id)
            .ok_or(DecompressError::UnknownModel(id))?;
        let len = match model {
            Model::Zlib => self.read_zlib(payload),
            Model::Lz4 | Model::Lz4hc => self.read_lz4(payload),
            Model::Lzo2 => self.read_lzo(payload),
            Model::Lzma => self.read_xz(payload),
            Model::Bzip2 => self.read_bzip2(payload),
            Model::Zstd => self.read_zstd(payload),
        }?;
        match len {
            // C's LZ4 model would hand on what its buffer held before (`libknet/compress_lz4.c:lz4_decompress`, v1.x).
            0 => Err(DecompressError::Garbled),
            1..=MAX_DECOMPRESSED_LEN => Ok(&self.buffer[..len]),
            _ => Err(DecompressError::TooLong),
        }
    }

    fn read_zlib(&mut self, payload: &[u8]) -> Result<usize, DecompressError> {
        self.zlib.reset(true);
        let status = self
            .zlib
            .decompress(payload, &mut self.buffer, FlushDecompress::Finish)
            .map_err(|_| DecompressError::Garbled)?;
        let len = usize::try_from(self.zlib.total_out()).map_err(|_| DecompressError::TooLong)?;
        match status {
            Status::StreamEnd => Ok(len),
            Status::Ok | Status::BufError => Err(self.unfinished(len)),
        }
    }

    fn read_lz4(&mut self, payload: &[u8]) -> Result<usize, DecompressError> {
        lz4_flex::block::decompress_into(payload, &mut self.buffer).map_err(|error| {
            if let lz4_flex::block::DecompressError::OutputTooSmall { .. } = error {
                DecompressError::TooLong
            } else {
                DecompressError::Garbled
            }
        })
    }

    fn read_lzo(&mut self, payload: &[u8]) -> Result<usize, DecompressError> {
        lzokay::decompress::decompress(payload, &mut self.buffer).map_err(|error| match error {
            lzokay::Error::OutputOverrun => DecompressError::TooLong,
            lzokay::Error::LookbehindOverrun
            | lzokay::Error::InputOverrun
            | lzokay::Error::InputNotConsumed
            | lzokay::Error::Error => DecompressError::Garbled,
        })
    }

    fn read_xz(&mut self, payload: &[u8]) -> Result<usize, DecompressError> {
        let mut xz = XzStream::new_mem_limit(false, XZ_MEMORY_KIB);
        let (mut read, mut len) = (0, 0);
        // Each pass but the last reads or writes at least one byte.
        loop {
            let step = xz
                .process(
                    &payload[read..],
                    &mut self.buffer[len..],
                    lzma_rust2::Action::Finish,
                )
                .map_err(|error| {
                    if error.kind() == ErrorKind::OutOfMemory {
                        DecompressError::TooMuchMemory
                    } else {
                        DecompressError::Garbled
                    }
                })?;
            read += step.bytes_consumed;
            len += step.bytes_produced;
            match step.status {
                lzma_rust2::Status::StreamEnd => return Ok(len),
                lzma_rust2::Status::Ok if len == self.buffer.len() => {
                    return Err(DecompressError::TooLong);
                }
                lzma_rust2::Status::Ok if step.bytes_consumed + step.bytes_produced == 0 => {
                    return Err(DecompressError::Garbled);
                }
                lzma_rust2::Status::Ok => {}
            }
        }
    }

    fn read_bzip2(&mut self, payload: &[u8]) -> Result<usize, DecompressError> {
        let mut bzip2 = bzip2::Decompress::new(false);
        let status = bzip2
            .decompress(payload, &mut self.buffer)
            .map_err(|_| DecompressError::Garbled)?;
        let len = usize::try_from(bzip2.total_out()).map_err(|_| DecompressError::TooLong)?;
        match status {
            bzip2::Status::StreamEnd => Ok(len),
            bzip2::Status::Ok
            | bzip2::Status::FlushOk
            | bzip2::Status::RunOk
            | bzip2::Status::FinishOk => Err(self.unfinished(len)),
            bzip2::Status::MemNeeded => Err(DecompressError::TooMuchMemory),
        }
    }

    fn read_zstd(&mut self, payload: &[u8]) -> Result<usize, DecompressError> {
        self.zstd
            .decode_all(payload, &mut self.buffer)
            .map_err(|error| {
                if let FrameDecoderError::TargetTooSmall = error {
                    DecompressError::TooLong
                } else if let FrameDecoderError::WindowSizeTooBig { .. } = error {
                    DecompressError::TooMuchMemory
                } else {
                    DecompressError::Garbled
                }
            })
    }

    /// Why a stream did not come to its end when `len` bytes had come out.
    fn unfinished(&self, len: usize) -> DecompressError {
        if len == self.buffer.len() {
            DecompressError::TooLong
        } else {
            DecompressError::Garbled
        }
    }
}

impl Default for Decompressor {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Decompressor")
    }
}

/// Deviation D-61: a stream may name the dictionary of `xz -9`, 64 MiB, and what the decoder needs besides. Memory is
/// taken as output comes, which ends long before.
const XZ_MEMORY_KIB: u32 = 65 * 1024;

/// Deviation D-61: bytes that a frame may look back. libzstd names no more than a payload has; the encoder of this node
/// names 128 KiB.
const ZSTD_WINDOW_LEN: u64 = 128 * 1024;
