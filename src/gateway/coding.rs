//! A stored answer in a coding that the client accepts (RFC 9110 §12.5.3).

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, VARY};
use http::{HeaderMap, HeaderValue};
use std::io::Write;

/// Entries are stored plain, and plain is what nearly every client accepts: beside an application,
/// sending it costs less than coding it. Only a client that refuses `identity` gets another coding.
pub fn accepted(asked: &HeaderMap, parts: Vec<Bytes>, headers: &mut HeaderMap) -> Vec<Bytes> {
    if !refuses_identity(asked) {
        return parts;
    }
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    for coding in ["zstd", "br", "gzip"] {
        if quality(asked, coding).is_some_and(|quality| quality > 0.0)
            && let Ok(coded) = encode(coding, &parts)
        {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding));
            return vec![coded];
        }
    }
    parts
}

fn refuses_identity(asked: &HeaderMap) -> bool {
    asked.contains_key(ACCEPT_ENCODING)
        && quality(asked, "identity").or_else(|| quality(asked, "*")).is_some_and(|quality| quality == 0.0)
}

/// The weight that the client gives a coding by name; `None` where it is not named.
fn quality(asked: &HeaderMap, coding: &str) -> Option<f32> {
    let items = asked.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    items.flat_map(|list| list.split(',')).find_map(|item| {
        let mut pieces = item.split(';').map(str::trim);
        if !pieces.next()?.eq_ignore_ascii_case(coding) {
            return None;
        }
        let weight = pieces.find_map(|piece| piece.strip_prefix("q=").or_else(|| piece.strip_prefix("Q=")));
        Some(weight.map_or(1.0, |weight| weight.trim().parse().unwrap_or(0.0)))
    })
}

fn encode(coding: &str, parts: &[Bytes]) -> std::io::Result<Bytes> {
    let coded = match coding {
        "zstd" => zstd::encode_all(parts.concat().as_slice(), 3)?,
        "br" => {
            let mut coded = Vec::new();
            let mut writer = brotli::CompressorWriter::new(&mut coded, 4096, 4, 20);
            parts.iter().try_for_each(|part| writer.write_all(part))?;
            drop(writer);
            coded
        }
        _ => {
            let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            parts.iter().try_for_each(|part| writer.write_all(part))?;
            writer.finish()?
        }
    };
    Ok(Bytes::from(coded))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coded_as(accept: &'static str) -> Option<String> {
        let asked = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(accept))]);
        let mut headers = HeaderMap::new();
        accepted(&asked, vec![Bytes::from_static(b"{}")], &mut headers);
        headers.get(CONTENT_ENCODING).map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn plain_unless_the_client_refuses_it() {
        assert_eq!(coded_as("gzip, deflate, br"), None);
        assert_eq!(coded_as("*"), None);
        assert_eq!(coded_as("gzip, identity;q=0").as_deref(), Some("gzip"));
        assert_eq!(coded_as("br;q=0.5, *;q=0").as_deref(), Some("br"));
        assert_eq!(coded_as("gzip;q=0, *;q=0"), None, "nothing is acceptable: plain is the least wrong");
    }
}
