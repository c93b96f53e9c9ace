//! Compression of payloads, in the formats of kronosnet's models.
//!
//! A packet names its model by number, and goes out as it is where compression would not make it shorter; there is
//! no length before the data, so the receiver bounds what comes out. `miniz_oxide` (under `flate2`) and `lz4_flex`
//! write and read the formats of zlib and of LZ4's blocks, and their decoders are safe Rust, which matters more here
//! than the last percent of speed: this is data that came from the network.

use core::fmt;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// A model of `libknet/compress.c:compress_modules_cmds` (v1.x), whether this node can use it or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Model {
    /// `zlib`: one zlib stream.
    Zlib,
    /// `lz4`: one raw block.
    Lz4,
    /// `lz4hc`: one raw block, made with more effort by C; this node makes it like `lz4`.
    Lz4hc,
    /// `lzo2`: LZO1X. Not supported.
    Lzo2,
    /// `lzma`: an `.xz` stream. Not supported.
    Lzma,
    /// `bzip2`. Not supported.
    Bzip2,
    /// `zstd`. Not supported.
    Zstd,
}

impl Model {
    /// Every model of kronosnet 1.x, in the order of their numbers.
    pub const ALL: [Self; 7] = [
        Self::Zlib,
        Self::Lz4,
        Self::Lz4hc,
        Self::Lzo2,
        Self::Lzma,
        Self::Bzip2,
        Self::Zstd,
    ];

    /// The number on the wire; 0 is a payload that was not compressed.
    #[must_use]
    pub const fn id(self) -> u8 {
        match self {
            Self::Zlib => 1,
            Self::Lz4 => 2,
            Self::Lz4hc => 3,
            Self::Lzo2 => 4,
            Self::Lzma => 5,
            Self::Bzip2 => 6,
            Self::Zstd => 7,
        }
    }

    /// The name in `corosync.conf`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Zlib => "zlib",
            Self::Lz4 => "lz4",
            Self::Lz4hc => "lz4hc",
            Self::Lzo2 => "lzo2",
            Self::Lzma => "lzma",
            Self::Bzip2 => "bzip2",
            Self::Zstd => "zstd",
        }
    }
}

/// Makes payloads smaller, where that is worth it.
pub struct Compressor {
    model: Model,
    encoder: Encoder,
    /// Bytes; only longer payloads are tried.
    threshold: usize,
    buffer: Box<[u8]>,
}

impl Compressor {
    /// From `knet_compression_model`, `_level` and `_threshold` (bytes, 0 for the default of 100); `None` for the
    /// model `none`.
    ///
    /// zlib's level 0 would only copy: C notices that and takes the default level
    /// (`libknet/compress.c:compress_lib_test`, v1.x), and corosync's level is 0 unless it is configured.
    ///
    /// # Errors
    ///
    /// A model that does not exist or is not supported, a level that the model does not have, a threshold over
    /// 65536.
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
        Ok(Some(Self {
            model,
            encoder: Encoder::new(model, level)?,
            threshold,
            buffer: vec![0; lz4_flex::block::get_maximum_output_size(MAX_PAYLOAD_LEN)].into(),
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
        let len = match &mut self.encoder {
            Encoder::Zlib(zlib) => {
                zlib.reset();
                // Where it does not fit it would not be shorter.
                let room = &mut self.buffer[..payload.len()];
                let status = zlib.compress(payload, room, FlushCompress::Finish);
                matches!(status, Ok(Status::StreamEnd)).then(|| usize::try_from(zlib.total_out()))
            }
            Encoder::Lz4 => lz4_flex::block::compress_into(payload, &mut self.buffer)
                .ok()
                .map(Ok),
        };
        let len = len?.ok().filter(|&len| len < payload.len())?;
        Some(&self.buffer[..len])
    }
}

impl fmt::Debug for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Compressor({})", self.model.name())
    }
}

/// Reads the payloads of all models that are supported, whatever this node itself sends.
pub struct Decompressor {
    zlib: Decompress,
    /// One byte more than may come out, so that too much shows.
    buffer: Box<[u8]>,
}

impl Decompressor {
    /// With its buffers.
    #[must_use]
    pub fn new() -> Self {
        Self {
            zlib: Decompress::new(true),
            buffer: vec![0; MAX_DECOMPRESSED_LEN + 1].into(),
        }
    }

    /// What `payload` was before a peer compressed it with the model of number `id`.
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
            Model::Zlib => self.inflate(payload),
            Model::Lz4 | Model::Lz4hc => self.read_lz4_block(payload),
            Model::Lzo2 | Model::Lzma | Model::Bzip2 | Model::Zstd => {
                Err(DecompressError::Unsupported(model))
            }
        }?;
        match len {
            // C's LZ4 model would hand on what its buffer held before (`libknet/compress_lz4.c:lz4_decompress`, v1.x).
            0 => Err(DecompressError::Garbled),
            1..=MAX_DECOMPRESSED_LEN => Ok(&self.buffer[..len]),
            _ => Err(DecompressError::TooLong),
        }
    }

    fn inflate(&mut self, payload: &[u8]) -> Result<usize, DecompressError> {
        self.zlib.reset(true);
        let status = self
            .zlib
            .decompress(payload, &mut self.buffer, FlushDecompress::Finish)
            .map_err(|_| DecompressError::Garbled)?;
        let len = usize::try_from(self.zlib.total_out()).map_err(|_| DecompressError::TooLong)?;
        match status {
            Status::StreamEnd => Ok(len),
            Status::Ok | Status::BufError if len == self.buffer.len() => {
                Err(DecompressError::TooLong)
            }
            Status::Ok | Status::BufError => Err(DecompressError::Garbled),
        }
    }

    fn read_lz4_block(&mut self, payload: &[u8]) -> Result<usize, DecompressError> {
        lz4_flex::block::decompress_into(payload, &mut self.buffer).map_err(|error| {
            if let lz4_flex::block::DecompressError::OutputTooSmall { .. } = error {
                DecompressError::TooLong
            } else {
                DecompressError::Garbled
            }
        })
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

/// Why this node cannot compress as it is told to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetupError {
    /// Kronosnet has no model of this name.
    UnknownModel(String),
    /// Kronosnet has this model, this node has not.
    Unsupported(Model),
    /// The model has no such level.
    Level(Model, i32),
    /// That many bytes are more than any payload has.
    Threshold(u32),
}

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownModel(name) => write!(f, "unknown compression model '{name}'"),
            Self::Unsupported(model) => {
                write!(f, "compression model {} is not supported", model.name())
            }
            Self::Level(model, level) => {
                write!(f, "compression model {} has no level {level}", model.name())
            }
            Self::Threshold(threshold) => write!(
                f,
                "compression threshold {threshold} is over {MAX_PAYLOAD_LEN}"
            ),
        }
    }
}

impl core::error::Error for SetupError {}

/// Why a payload was not decompressed. The packet is to be dropped and counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecompressError {
    /// Kronosnet has no model of this number.
    UnknownModel(u8),
    /// A peer uses a model that this node has not.
    Unsupported(Model),
    /// Not what the model writes.
    Garbled,
    /// More than [`MAX_DECOMPRESSED_LEN`] bytes come out.
    TooLong,
}

impl fmt::Display for DecompressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownModel(id) => write!(f, "unknown compression model {id}"),
            Self::Unsupported(model) => {
                write!(f, "compression model {} is not supported", model.name())
            }
            Self::Garbled => f.write_str("compressed payload is garbled"),
            Self::TooLong => f.write_str("compressed payload is too long"),
        }
    }
}

impl core::error::Error for DecompressError {}

enum Encoder {
    Zlib(Compress),
    Lz4,
}

impl Encoder {
    fn new(model: Model, level: i32) -> Result<Self, SetupError> {
        match model {
            Model::Zlib => {
                let level = match u32::try_from(level) {
                    Ok(level @ 1..=9) => Compression::new(level),
                    Ok(0) => Compression::default(),
                    Err(_) if level == -1 => Compression::default(),
                    Ok(_) | Err(_) => return Err(SetupError::Level(model, level)),
                };
                Ok(Self::Zlib(Compress::new(level, true)))
            }
            // C's level trades speed for size; the format is the same and any number is taken.
            Model::Lz4 | Model::Lz4hc => Ok(Self::Lz4),
            Model::Lzo2 | Model::Lzma | Model::Bzip2 | Model::Zstd => {
                Err(SetupError::Unsupported(model))
            }
        }
    }
}

/// Most bytes that one payload may become (`libknet/internals.h:KNET_DATABUFSIZE_COMPRESS`, v1.x).
pub const MAX_DECOMPRESSED_LEN: usize = MAX_PAYLOAD_LEN + 26 + 1024;

/// Longest payload, bytes (`libknet/libknet.h:KNET_MAX_PACKET_SIZE`, v1.x).
const MAX_PAYLOAD_LEN: usize = 65536;

/// Bytes that are not worth compressing (`libknet/libknet.h:KNET_COMPRESS_THRESHOLD`, v1.x).
const DEFAULT_THRESHOLD: usize = 100;

#[cfg(test)]
mod tests;
