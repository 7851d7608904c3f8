//! Content codings undone while they flow.

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use std::io::{self, Write};

/// Why a chunk could not be decoded. The client still gets the upstream's bytes; only the recording ends.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    #[error("content coding {0:?} is not one of gzip, br, zstd")]
    UnknownCoding(String),
    #[error("the coded body is broken: {0}")]
    Broken(#[from] io::Error),
    #[error("the decoded body is over {0} bytes")]
    TooBig(usize),
}

/// Decodes one body chunk by chunk. What has been decoded so far is handed out at once, so that
/// followers of a compressed stream see events as they come.
pub enum Decoder {
    Identity,
    Gzip(Box<flate2::write::MultiGzDecoder<Sink>>),
    Brotli(Box<brotli::DecompressorWriter<Sink>>),
    Zstd(Box<zstd::stream::write::Decoder<'static, Sink>>),
}

impl Decoder {
    /// By the answer's `content-encoding`. One chunk never decodes to more than `cap` bytes.
    pub fn of(headers: &HeaderMap, cap: usize) -> Result<Decoder, DecodeError> {
        let mut codings = headers
            .get_all(CONTENT_ENCODING)
            .iter()
            .flat_map(|value| value.to_str().unwrap_or("unreadable").split(','))
            .map(|coding| coding.trim().to_ascii_lowercase())
            .filter(|coding| !coding.is_empty() && coding != "identity");
        let Some(coding) = codings.next() else { return Ok(Decoder::Identity) };
        if codings.next().is_some() {
            return Err(DecodeError::UnknownCoding("several at once".into()));
        }
        let sink = Sink { bytes: Vec::new(), cap };
        match coding.as_str() {
            "gzip" | "x-gzip" => Ok(Decoder::Gzip(Box::new(flate2::write::MultiGzDecoder::new(sink)))),
            "br" => Ok(Decoder::Brotli(Box::new(brotli::DecompressorWriter::new(sink, 4096)))),
            "zstd" => Ok(Decoder::Zstd(Box::new(zstd::stream::write::Decoder::new(sink)?))),
            _ => Err(DecodeError::UnknownCoding(coding)),
        }
    }

    /// The plain bytes that `chunk` adds.
    pub fn feed(&mut self, chunk: &Bytes) -> Result<Bytes, DecodeError> {
        let sink = match self {
            Decoder::Identity => return Ok(chunk.clone()),
            Decoder::Gzip(decoder) => {
                decoder
                    .write_all(chunk)
                    .and_then(|()| decoder.flush())
                    .map_err(|e| over_cap(e, decoder.get_ref()))?;
                decoder.get_mut()
            }
            Decoder::Brotli(decoder) => {
                decoder
                    .write_all(chunk)
                    .and_then(|()| decoder.flush())
                    .map_err(|e| over_cap(e, decoder.get_ref()))?;
                decoder.get_mut()
            }
            Decoder::Zstd(decoder) => {
                decoder
                    .write_all(chunk)
                    .and_then(|()| decoder.flush())
                    .map_err(|e| over_cap(e, decoder.get_ref()))?;
                decoder.get_mut()
            }
        };
        Ok(Bytes::from(std::mem::take(&mut sink.bytes)))
    }
}

fn over_cap(error: io::Error, sink: &Sink) -> DecodeError {
    if error.kind() == io::ErrorKind::FileTooLarge { DecodeError::TooBig(sink.cap) } else { error.into() }
}

/// Where decoders write; refuses to grow past its cap, so that a small bomb stays small.
pub struct Sink {
    bytes: Vec<u8>,
    cap: usize,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.cap {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(coding: &str) -> HeaderMap {
        HeaderMap::from_iter([(CONTENT_ENCODING, coding.parse().unwrap())])
    }

    fn coded(coding: &str, plain: &[u8]) -> Vec<u8> {
        match coding {
            "gzip" => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(plain).unwrap();
                encoder.finish().unwrap()
            }
            "br" => {
                let mut out = Vec::new();
                brotli::CompressorWriter::new(&mut out, 4096, 4, 20).write_all(plain).unwrap();
                out
            }
            _ => zstd::encode_all(plain, 1).unwrap(),
        }
    }

    #[test]
    fn every_coding_decodes_however_the_bytes_are_split() {
        let plain = "data: {\"a\":\"éü한국\"}\n\n".repeat(200).into_bytes();
        for coding in ["gzip", "br", "zstd"] {
            let bytes = coded(coding, &plain);
            for step in [1, 7, 100, bytes.len()] {
                let mut decoder = Decoder::of(&headers(coding), 1 << 20).unwrap();
                let mut out = Vec::new();
                for chunk in bytes.chunks(step) {
                    out.extend_from_slice(&decoder.feed(&Bytes::copy_from_slice(chunk)).unwrap());
                }
                assert_eq!(out, plain, "{coding} in steps of {step}");
            }
        }
    }

    #[test]
    fn a_bomb_stops_at_the_cap() {
        let bomb = coded("gzip", &vec![0u8; 10 << 20]);
        let mut decoder = Decoder::of(&headers("gzip"), 1 << 20).unwrap();
        assert!(matches!(decoder.feed(&Bytes::from(bomb)), Err(DecodeError::TooBig(_))));
    }

    #[test]
    fn an_unknown_coding_is_said_by_name() {
        assert!(
            matches!(Decoder::of(&headers("deflate"), 9), Err(DecodeError::UnknownCoding(c)) if c == "deflate")
        );
    }
}
