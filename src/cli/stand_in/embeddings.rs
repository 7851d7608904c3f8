//! Embeddings: unit vectors that follow from a hash of the input alone.

use super::ask::{EmbeddingAsk, Input};
use super::text::Dice;
use super::tokens;
use bytes::Bytes;
use serde_json::{Value, json};

/// Dimensions where the request names none, as of `text-embedding-3-small`.
const DIMENSIONS: usize = 1536;
const MOST_DIMENSIONS: usize = 4096;
const MOST_INPUTS: usize = 2048;

/// The body, and the prompt's tokens; or what is wrong with the request.
pub fn body(ask: &EmbeddingAsk) -> Result<(Bytes, u64), String> {
    let inputs: Vec<(String, u64)> = match &ask.input {
        Input::Text(text) => vec![(text.clone(), tokens::count(text))],
        Input::Texts(texts) => texts.iter().map(|text| (text.clone(), tokens::count(text))).collect(),
        Input::Ids(ids) => vec![(format!("{ids:?}"), ids.len() as u64)],
        Input::ManyIds(lists) => lists.iter().map(|ids| (format!("{ids:?}"), ids.len() as u64)).collect(),
    };
    if inputs.is_empty() || inputs.len() > MOST_INPUTS || inputs.iter().any(|(text, _)| text.is_empty()) {
        return Err(format!("'$.input' is invalid: expected 1 to {MOST_INPUTS} inputs, none of them empty"));
    }
    let dimensions = ask.dimensions.unwrap_or(DIMENSIONS);
    if dimensions == 0 || dimensions > MOST_DIMENSIONS {
        return Err(format!("'dimensions' is invalid: expected 1 to {MOST_DIMENSIONS}"));
    }
    let base64_asked = match ask.encoding_format.as_deref() {
        None | Some("float") => false,
        Some("base64") => true,
        Some(other) => {
            return Err(format!("'encoding_format' is invalid: `{other}` is neither float nor base64"));
        }
    };
    let data: Vec<Value> = inputs
        .iter()
        .enumerate()
        .map(|(index, (text, _))| {
            let vector = unit_vector(&ask.model, text, dimensions);
            let embedding = if base64_asked { json!(base64_of(&vector)) } else { json!(vector) };
            json!({"object": "embedding", "index": index, "embedding": embedding})
        })
        .collect();
    let counted: u64 = inputs.iter().map(|(_, count)| count).sum();
    let body = json!({
        "object": "list", "data": data, "model": ask.model,
        "usage": {"prompt_tokens": counted, "total_tokens": counted}
    });
    Ok((Bytes::from(body.to_string()), counted))
}

/// Uniform in the cube, scaled to length 1.
fn unit_vector(model: &str, text: &str, dimensions: usize) -> Vec<f32> {
    let mut dice = Dice::new(&format!("{model}\u{1e}{text}"), 2);
    let raw: Vec<f64> = (0..dimensions).map(|_| dice.share() * 2.0 - 1.0).collect();
    let length = raw.iter().map(|x| x * x).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
    raw.iter().map(|x| (x / length) as f32).collect()
}

/// RFC 4648 base64, padded, of little-endian floats, as the API sends them.
fn base64_of(vector: &[f32]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bytes: Vec<u8> = vector.iter().flat_map(|x| x.to_le_bytes()).collect();
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |place: usize| u32::from(group.get(place).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * place)) as usize & 63];
            text.push(if place > group.len() { '=' } else { digit as char });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_rfc_4648() {
        assert_eq!(base64_of(&[1.0]), "AACAPw==");
        assert_eq!(base64_of(&[1.0, -2.0, 0.5]), "AACAPwAAAMAAAAA/");
    }

    #[test]
    fn vectors_have_length_one_and_differ_by_text() {
        let one = unit_vector("m", "a", 256);
        let length: f32 = one.iter().map(|x| x * x).sum();
        assert!((length - 1.0).abs() < 1e-4);
        assert_eq!(one, unit_vector("m", "a", 256));
        assert_ne!(one, unit_vector("m", "b", 256));
    }
}
