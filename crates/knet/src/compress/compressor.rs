//! What leaves this node compressed.

use core::fmt;
use std::io::Write;

use bzip2::Action;
use flate2::{Compress, Compression, FlushCompress, Status};
use lzma_rust2::{CheckType, XzOptions, XzWriter};
use lzokay::compress::{Dict, compress_no_alloc};
use ruzstd::encoding::CompressionLevel;

use super::{MAX_PAYLOAD_LEN, Model, SetupError};

/// Makes payloads smaller, where that is worth it.
pub struct Compressor {
    model: Model,
    encoder: Encoder,
    /// Bytes; only longer payloads are tried.
    threshold: usize,
    buffer: Vec<u8>,
}

impl Compressor {
    /// From `knet_compression_model`, `_level` and `_threshold` (bytes, 0 for the default of 100); `None` for the
    /// model `none`.
    ///
    /// zlib's level 0 would only copy: C notices that and takes the default level
    /// (`libknet/compress.c:compress_lib_test`, v1.x), and corosync's level is 0 unless it is configured. bzip2 has no
    /// level 0, so that with bzip2 one must be configured.
    ///
    /// # Errors
    ///
    /// A model that does not exist, a level that the model does not have, a threshold over 65536.
    pub fn new(model: &str, level: i32, threshold: u32) -> Result<Option<Self>, SetupError> {
        if model == "none" {
            return Ok(None);
        }
        let model = Model::ALL
            .into_iter()
            .find(|known| known.name() == model)
            .ok_or_else(|| SetupError::UnknownModel(model.to_owned()))?;
        let threshold = match usize::try_from(threshold) {
            Ok(0) => DEFAULT_THRESHOLD,
            Ok(threshold @ 1..=MAX_PAYLOAD_LEN) => threshold,
            Ok(_) | Err(_) => return Err(SetupError::Threshold(threshold)),
        };
        let encoder = Encoder::new(model, level).ok_or(SetupError::Level(model, level))?;
        Ok(Some(Self {
            model,
            encoder,
            threshold,
            buffer: Vec::new(),
        }))
    }

    /// What the header has to name.
    #[must_use]
    pub const fn model(&self) -> Model {
        self.model
    }

    /// `payload` compressed; `None` when it is to be sent as it is, being short or not getting shorter.
    pub fn compress(&mut self, payload: &[u8]) -> Option<&[u8]> {
        if payload.len() <= self.threshold || payload.len() > MAX_PAYLOAD_LEN {
            return None;
        }
        let len = self.encoder.encode(payload, &mut self.buffer)?;
        (len < payload.len()).then(|| &self.buffer[..len])
    }
}

impl fmt::Debug for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Compressor({})", self.model.name())
    }
}

/// Deviation D-60: `lz4`, `lz4hc`, `lzo2` and `zstd` are made with one effort each, whatever the level.
enum Encoder {
    Zlib(Compress),
    Lz4,
    /// With its table of matches.
    Lzo2(Box<Dict>),
    Lzma(XzOptions),
    /// With its level; the crate cannot start a stream again.
    Bzip2(bzip2::Compression),
    /// The crate does start a frame again, but with the last one's entropy tables as those to be repeated.
    Zstd,
}

impl Encoder {
    /// `None` when there is no such level.
    fn new(model: Model, level: i32) -> Option<Self> {
        match model {
            Model::Zlib => {
                let level = match level {
                    -1 | 0 => Compression::default(),
                    1..=9 => Compression::new(level.unsigned_abs()),
                    _ => return None,
                };
                Some(Self::Zlib(Compress::new(level, true)))
            }
            Model::Lz4 | Model::Lz4hc => Some(Self::Lz4),
            Model::Lzo2 => Some(Self::Lzo2(Dict::new())),
            Model::Lzma => {
                let preset = level.cast_unsigned() & !XZ_EXTREME;
                (preset <= 9).then(|| Self::Lzma(xz_options(preset)))
            }
            Model::Bzip2 => (1..=9)
                .contains(&level)
                .then(|| Self::Bzip2(bzip2::Compression::new(level.unsigned_abs()))),
            Model::Zstd => Some(Self::Zstd),
        }
    }

    /// The length of what `buffer` begins with then; `None` where that would not be shorter than `payload`.
    fn encode(&mut self, payload: &[u8], buffer: &mut Vec<u8>) -> Option<usize> {
        match self {
            Self::Zlib(zlib) => {
                zlib.reset();
                let room = room(buffer, payload.len());
                let status = zlib.compress(payload, room, FlushCompress::Finish);
                matches!(status, Ok(Status::StreamEnd)).then_some(())?;
                usize::try_from(zlib.total_out()).ok()
            }
            Self::Lz4 => {
                let worst = lz4_flex::block::get_maximum_output_size(payload.len());
                lz4_flex::block::compress_into(payload, room(buffer, worst)).ok()
            }
            Self::Lzo2(matches) => {
                compress_no_alloc(payload, room(buffer, payload.len()), matches).ok()
            }
            Self::Lzma(options) => {
                let room = room(buffer, payload.len());
                let mut xz = XzWriter::new(room, options.clone()).ok()?;
                xz.write_all(payload).ok()?;
                let left = xz.finish().ok()?.len();
                Some(payload.len() - left)
            }
            Self::Bzip2(level) => {
                let mut bzip2 = bzip2::Compress::new(*level, BZIP2_WORK_FACTOR);
                let room = room(buffer, payload.len());
                let status = bzip2.compress(payload, room, Action::Finish);
                matches!(status, Ok(bzip2::Status::StreamEnd)).then_some(())?;
                usize::try_from(bzip2.total_out()).ok()
            }
            Self::Zstd => {
                buffer.clear();
                ruzstd::encoding::compress(payload, &mut *buffer, CompressionLevel::Fastest);
                Some(buffer.len())
            }
        }
    }
}

/// So many bytes of `buffer`. With as many as the payload has, what does not fit would not be shorter.
fn room(buffer: &mut Vec<u8>, len: usize) -> &mut [u8] {
    if buffer.len() < len {
        buffer.resize(len, 0);
    }
    &mut buffer[..len]
}

/// As `xz` with this preset, but without the memory for more than one payload.
fn xz_options(preset: u32) -> XzOptions {
    let mut options = XzOptions::with_preset(preset);
    options.set_check_sum_type(CheckType::None);
    options.lzma_options.dict_size = XZ_DICTIONARY_LEN;
    options
}

/// Bytes that are not worth compressing (`libknet/libknet.h:KNET_COMPRESS_THRESHOLD`, v1.x).
const DEFAULT_THRESHOLD: usize = 100;

/// `MAX_PAYLOAD_LEN`; nothing is farther back.
const XZ_DICTIONARY_LEN: u32 = 65536;

/// `LZMA_PRESET_EXTREME` of liblzma: a bit that may be set in a level. Deviation D-60: it changes nothing here.
const XZ_EXTREME: u32 = 1 << 31;

/// The library's default (`libknet/compress_bzip2.c:bzip2_compress`, v1.x).
const BZIP2_WORK_FACTOR: u32 = 0;
