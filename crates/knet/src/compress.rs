//! Compression of payloads, in the formats of kronosnet's models.
//!
//! | number | model | format | levels |
//! |---|---|---|---|
//! | 1 | `zlib` | one zlib stream | -1 to 9 |
//! | 2 | `lz4` | one raw block | any, all alike |
//! | 3 | `lz4hc` | one raw block | any, all alike |
//! | 4 | `lzo2` | one raw LZO1X stream with its end mark | any, all alike |
//! | 5 | `lzma` | one `.xz` stream without a check | 0 to 9, as `xz -0` to `-9` |
//! | 6 | `bzip2` | one `.bz2` stream | 1 to 9 |
//! | 7 | `zstd` | one frame without a checksum | any, all alike |
//!
//! A packet names its model by number, and goes out as it is where compression would not make it shorter; there is
//! no length before the data, so the receiver bounds what comes out. All decoders are Rust, most of them without any
//! `unsafe`, which matters more here than the last percent of speed: this is data that came from the network.

mod compressor;
mod decompressor;

use core::fmt;

pub use compressor::Compressor;
pub use decompressor::Decompressor;

/// A model of `libknet/compress.c:compress_modules_cmds` (v1.x).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Model {
    /// `zlib`: one zlib stream.
    Zlib,
    /// `lz4`: one raw block.
    Lz4,
    /// `lz4hc`: one raw block, made with more effort by C; this node makes it like `lz4`.
    Lz4hc,
    /// `lzo2`: LZO1X.
    Lzo2,
    /// `lzma`: an `.xz` stream.
    Lzma,
    /// `bzip2`.
    Bzip2,
    /// `zstd`.
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

/// Why this node cannot compress as it is told to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetupError {
    /// Kronosnet has no model of this name.
    UnknownModel(String),
    /// The model has no such level.
    Level(Model, i32),
    /// That many bytes are more than any payload has.
    Threshold(u32),
}

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownModel(name) => write!(f, "unknown compression model '{name}'"),
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
    /// Not what the model writes.
    Garbled,
    /// More than [`MAX_DECOMPRESSED_LEN`] bytes come out.
    TooLong,
    /// It asks for more memory than any payload needs.
    TooMuchMemory,
}

impl fmt::Display for DecompressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownModel(id) => write!(f, "unknown compression model {id}"),
            Self::Garbled => f.write_str("compressed payload is garbled"),
            Self::TooLong => f.write_str("compressed payload is too long"),
            Self::TooMuchMemory => f.write_str("compressed payload asks for too much memory"),
        }
    }
}

impl core::error::Error for DecompressError {}

/// Most bytes that one payload may become (`libknet/internals.h:KNET_DATABUFSIZE_COMPRESS`, v1.x).
pub const MAX_DECOMPRESSED_LEN: usize = MAX_PAYLOAD_LEN + 26 + 1024;

/// Longest payload, bytes (`libknet/libknet.h:KNET_MAX_PACKET_SIZE`, v1.x).
const MAX_PAYLOAD_LEN: usize = 65536;

#[cfg(test)]
mod tests;
