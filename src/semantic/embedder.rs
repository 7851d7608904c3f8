//! What every embedding model promises.

use std::sync::Arc;

/// A unit-length embedding: `dim` finite floats whose squares sum to one, so that a dot product is a
/// cosine. Cheap to clone.
pub type Vector = Arc<[f32]>;

/// Why a text could not be embedded. Every variant is a miss for the request, never an error.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum EmbedError {
    /// The queue is full or the wait was too long; the cache is behind.
    #[error("the embedder is behind; the request was let through")]
    Shed,
    /// Longer than the model's window. Never truncated.
    #[error("{length} {unit}, and the model reads {max}")]
    TooLong { length: usize, max: usize, unit: Unit },
    #[error("the embedding model failed: {0}")]
    Model(String),
}

/// What a model's window is measured in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Tokens,
    Characters,
}

impl std::fmt::Display for Unit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Unit::Tokens => "tokens",
            Unit::Characters => "characters",
        })
    }
}

/// One loaded model. Blocking; `embed` is called from the pool's own threads only.
pub trait Embedder: Send + Sync {
    /// The model's name in `models/manifest.toml`, or its folder.
    fn name(&self) -> &str;
    /// Length of every vector.
    fn dim(&self) -> usize;
    /// How many texts one pass should take when many wait.
    fn batch(&self) -> usize;
    /// Whether `text` is beyond the model's window so clearly that nothing need be counted. Takes no
    /// lock and no time; `embed` counts exactly.
    fn surely_too_long(&self, text: &str) -> bool;
    /// One vector a text, in order. A text that is too long fails alone.
    fn embed(&self, texts: &[&str]) -> Vec<Result<Vector, EmbedError>>;
}

/// A model's raw output as a [`Vector`]: right length, finite, not all zeros, scaled to length one.
pub fn unit(raw: &[f32], dim: usize) -> Result<Vector, EmbedError> {
    if raw.len() != dim {
        return Err(EmbedError::Model(format!("{} numbers instead of {dim}", raw.len())));
    }
    let squares: f64 = raw.iter().map(|x| f64::from(*x) * f64::from(*x)).sum();
    let length = squares.sqrt();
    if !length.is_finite() || length < 1e-9 {
        return Err(EmbedError::Model("a vector that is not finite, or all zeros".to_owned()));
    }
    Ok(raw.iter().map(|x| (f64::from(*x) / length) as f32).collect())
}

/// Embeds `texts`: those refused by `check` fail alone, `run` gets the others in one pass.
pub fn each(
    texts: &[&str],
    check: impl Fn(&str) -> Result<(), EmbedError>,
    run: impl FnOnce(&[&str]) -> Result<Vec<Result<Vector, EmbedError>>, EmbedError>,
) -> Vec<Result<Vector, EmbedError>> {
    let checked: Vec<Result<(), EmbedError>> = texts.iter().map(|text| check(text)).collect();
    let passed = texts.iter().zip(&checked).filter(|(_, checked)| checked.is_ok());
    let fitting: Vec<&str> = passed.map(|(text, _)| *text).collect();
    let ran = match fitting.is_empty() {
        true => Ok(Vec::new()),
        false => run(&fitting),
    };
    let mut vectors = match ran {
        Ok(vectors) if vectors.len() == fitting.len() => vectors.into_iter(),
        Ok(vectors) => {
            let wrong = format!("{} vectors for {} texts", vectors.len(), fitting.len());
            vec![Err(EmbedError::Model(wrong)); fitting.len()].into_iter()
        }
        Err(failed) => vec![Err(failed); fitting.len()].into_iter(),
    };
    let none = || Err(EmbedError::Model("no vector".to_owned()));
    checked.into_iter().map(|checked| checked.and_then(|()| vectors.next().unwrap_or_else(none))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_gets_length_one_and_nonsense_is_an_error() {
        assert_eq!(unit(&[3.0, 4.0], 2).unwrap().as_ref(), &[0.6, 0.8]);
        for raw in [[f32::NAN, 1.0], [f32::INFINITY, 1.0], [0.0, 0.0]] {
            assert!(matches!(unit(&raw, 2), Err(EmbedError::Model(_))), "{raw:?}");
        }
        assert!(unit(&[1.0], 2).is_err());
    }

    #[test]
    fn a_text_that_is_too_long_fails_alone_and_the_others_keep_their_order() {
        let long = EmbedError::TooLong { length: 9, max: 5, unit: Unit::Characters };
        let check = |text: &str| if text.len() > 5 { Err(long.clone()) } else { Ok(()) };
        let run = |texts: &[&str]| Ok(texts.iter().map(|text| unit(&[text.len() as f32, 1.0], 2)).collect());
        let got = each(&["a", "too long!", "bbb"], check, run);
        assert_eq!(got[0], unit(&[1.0, 1.0], 2));
        assert_eq!(got[1], Err(long.clone()));
        assert_eq!(got[2], unit(&[3.0, 1.0], 2));
    }
}
