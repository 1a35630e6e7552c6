//! Compressed answers: which coding a request accepts (RFC 9110, 12.5.3), and writing in it.
//!
//! Nothing is compressed unless the request names gzip or zstd. What is written, and where it goes, is not decided here.

use std::io::{self, BufWriter, Write};

use axum::http::HeaderMap;
use axum::http::header::ACCEPT_ENCODING;
use flate2::Compression;
use flate2::write::GzEncoder;

/// Level of zstd: as small as the usual level of gzip, in a twentieth of its time.
const ZSTD_LEVEL: i32 = 1;

/// Bytes that are gathered before they are compressed: encoding makes many small writes.
const GATHERED_BYTES: usize = 32 * 1024;

/// How an answer is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    Identity,
    Gzip,
    Zstd,
}

impl Coding {
    /// What the request prefers. Of what is wanted alike, zstd goes before gzip.
    pub(crate) fn accepted(headers: &HeaderMap) -> Self {
        let values = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
        Self::preferred(&values.collect::<Vec<_>>().join(",").to_ascii_lowercase())
    }

    /// As `Content-Encoding` has it; absent for none.
    pub(crate) fn name(self) -> Option<&'static str> {
        match self {
            Coding::Identity => None,
            Coding::Gzip => Some("gzip"),
            Coding::Zstd => Some("zstd"),
        }
    }

    fn preferred(accepted: &str) -> Self {
        let wanted = |coding: Self| {
            let named = accepted.split(',').filter_map(range).find(|(name, _)| Some(*name) == coding.name());
            named.map_or(0.0, |(_, quality)| quality)
        };
        let identity = accepted.split(',').filter_map(range).find(|(name, _)| *name == "identity");
        // Unless it says how much it wants it, whoever names a coding prefers it to none.
        let mut best = (Coding::Identity, identity.map_or(0.0, |(_, quality)| quality));
        for coding in [Coding::Gzip, Coding::Zstd] {
            let quality = wanted(coding);
            if quality > 0.0 && quality >= best.1 {
                best = (coding, quality);
            }
        }
        best.0
    }
}

/// A coding and how much it is wanted.
fn range(text: &str) -> Option<(&str, f32)> {
    let mut parts = text.split(';').map(str::trim);
    let name = parts.next().filter(|name| !name.is_empty())?;
    let quality = parts.find_map(|part| part.strip_prefix("q=")?.trim().parse::<f32>().ok());
    Some((name, quality.filter(|quality| (0.0..=1.0).contains(quality)).unwrap_or(1.0)))
}

/// Writes in a coding. What is written is complete only with [`Coded::finish`].
pub(crate) enum Coded<W: Write> {
    Identity(W),
    Gzip(BufWriter<GzEncoder<W>>),
    Zstd(BufWriter<zstd::Encoder<'static, W>>),
}

impl<W: Write> Coded<W> {
    /// Writes to `out`.
    ///
    /// # Errors
    /// When there is no memory for the compressor.
    pub(crate) fn new(coding: Coding, out: W) -> io::Result<Self> {
        Ok(match coding {
            Coding::Identity => Coded::Identity(out),
            Coding::Gzip => Coded::Gzip(BufWriter::with_capacity(
                GATHERED_BYTES,
                GzEncoder::new(out, Compression::fast()),
            )),
            Coding::Zstd => {
                let zstd = zstd::Encoder::new(out, ZSTD_LEVEL)?;
                Coded::Zstd(BufWriter::with_capacity(GATHERED_BYTES, zstd))
            }
        })
    }

    /// Writes the end and gives back what was written to.
    ///
    /// # Errors
    /// Those of what is written to.
    pub(crate) fn finish(self) -> io::Result<W> {
        match self {
            Coded::Identity(out) => Ok(out),
            Coded::Gzip(gzip) => gzip.into_inner()?.finish(),
            Coded::Zstd(zstd) => zstd.into_inner()?.finish(),
        }
    }
}

impl<W: Write> Write for Coded<W> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Coded::Identity(out) => out.write(bytes),
            Coded::Gzip(gzip) => gzip.write(bytes),
            Coded::Zstd(zstd) => zstd.write(bytes),
        }
    }

    /// Does nothing: flushing in the middle costs compression, and nobody waits for less than the whole.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// These bytes in a coding.
///
/// # Errors
/// When there is no memory for the compressor.
pub(crate) fn coded(coding: Coding, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut out = Coded::new(coding, Vec::new())?;
    out.write_all(bytes)?;
    out.finish()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn what_is_not_named_is_not_compressed() {
        for accepted in ["", "*", "br, deflate", "identity", "gzip;q=0", "gzip;q=0, zstd;q=0.0", "x-gzip"] {
            assert_eq!(Coding::preferred(accepted), Coding::Identity, "{accepted}");
        }
    }

    #[test]
    fn of_those_that_are_named_the_one_that_is_wanted_most_is_taken() {
        for (accepted, coding) in [
            ("gzip", Coding::Gzip),
            ("deflate, gzip, br, zstd", Coding::Zstd),
            ("zstd;q=0.5, gzip", Coding::Gzip),
            ("gzip;q=0.5, zstd;q=0.5", Coding::Zstd),
            ("identity;q=0.5, gzip;q=0.4", Coding::Identity),
            ("identity, gzip", Coding::Gzip),
            ("gzip ; q=1.0 , *;q=0", Coding::Gzip),
            ("zstd;q=7", Coding::Zstd),
        ] {
            assert_eq!(Coding::preferred(accepted), coding, "{accepted}");
        }
    }

    #[test]
    fn what_is_coded_is_read_again_by_others() {
        let text = "connection ".repeat(10_000);
        let gzip = coded(Coding::Gzip, text.as_bytes()).expect("there is memory");
        let mut read = String::new();
        flate2::read::GzDecoder::new(&gzip[..]).read_to_string(&mut read).expect("it is gzip");
        assert!(read == text && gzip.len() < 1000);
        let zstd = coded(Coding::Zstd, text.as_bytes()).expect("there is memory");
        assert!(zstd::decode_all(&zstd[..]).expect("it is zstd") == text.as_bytes() && zstd.len() < 1000);
        assert!(coded(Coding::Identity, text.as_bytes()).expect("there is memory") == text.as_bytes());
    }
}
