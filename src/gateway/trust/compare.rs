//! Whether two answers come to the same.

use super::audit::Outcome;
use super::judge::{Judge, Judged};
use super::said::Said;
use super::watch::{Count, Watch};
use crate::config::AuditBy;
use crate::semantic::Semantic;
use crate::semantic::budget::Verdict;
use crate::semantic::verify::{Reading, Rule, clash, yes_against_no};
use crate::tape::Tape;
use crate::telemetry::metrics::Metrics;
use std::sync::Arc;

/// The cosine of two answers from which they come to the same, if nothing clashes. See `docs/TRUST.md` for how it
/// was found.
pub const SAME: f32 = 0.80;
/// Characters of one piece that is embedded: a few sentences, within every model's window.
const PIECE: usize = 400;
/// Pieces of an answer at most. A longer one is not compared by meaning.
const PIECES: usize = 24;

/// What was served, or would have been, and what the upstream says now.
#[derive(Debug)]
pub struct Pair {
    pub question: Box<str>,
    pub stored: Tape,
    pub fresh: Tape,
}

/// Who compares.
#[derive(Clone)]
pub struct Means {
    pub by: AuditBy,
    pub semantic: Option<Arc<Semantic>>,
    pub judge: Option<Arc<Judge>>,
    pub metrics: Arc<Metrics>,
}

impl Pair {
    /// Bytes held.
    pub fn size(&self) -> usize {
        self.question.len() + self.stored.size() + self.fresh.size()
    }

    /// One verdict. Equal texts agree, whoever compares. `round` counts the verdicts on this pair before.
    ///
    /// # Errors
    /// What kept it from a verdict.
    pub async fn compare(&self, means: &Means, watch: &Watch, round: usize) -> Result<Verdict, Outcome> {
        let (stored, fresh) = (Said::of(&self.stored), Said::of(&self.fresh));
        let (Some(stored), Some(fresh)) = (stored, fresh) else { return Err(Outcome::Incomparable) };
        if stored.equals(&fresh) {
            return Ok(Verdict::Agrees);
        }
        if stored.acts != fresh.acts {
            return Ok(Verdict::Differs);
        }
        match (means.by, &means.semantic, &means.judge) {
            (AuditBy::Text, ..) => Ok(Verdict::Differs),
            (AuditBy::Meaning, Some(semantic), _) => by_meaning(semantic, &stored.text, &fresh.text).await,
            (AuditBy::Judge, _, Some(judge)) => {
                watch.counts.add(Count::JudgeCalls, 1);
                let Judged { verdict, usage } =
                    judge.ask(&self.question, &stored.text, &fresh.text, round).await;
                if let Some(usage) = usage {
                    watch.counts.add(Count::JudgePrompt, usage.prompt);
                    watch.counts.add(Count::JudgeCompletion, usage.completion);
                    means.metrics.audit_spent("judge_prompt", usage.prompt);
                    means.metrics.audit_spent("judge_completion", usage.completion);
                }
                verdict.ok_or(Outcome::JudgeFailed)
            }
            (AuditBy::Meaning, None, _) | (AuditBy::Judge, _, None) => Err(Outcome::Incomparable),
        }
    }
}

/// How alike two answers are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Likeness {
    /// They differ by a rule, whatever their embeddings say.
    Clash(Rule),
    /// The cosine of their embeddings.
    Near(f32),
}

async fn by_meaning(semantic: &Semantic, stored: &str, fresh: &str) -> Result<Verdict, Outcome> {
    Ok(match likeness(semantic, stored, fresh).await? {
        Likeness::Near(cosine) if cosine >= SAME => Verdict::Agrees,
        Likeness::Near(_) | Likeness::Clash(_) => Verdict::Differs,
    })
}

/// The values first, then the embeddings, which are idle work: nobody waits.
///
/// # Errors
/// `Incomparable`: a language that the model does not cover, an answer too long for it, or no embedding in time.
pub async fn likeness(semantic: &Semantic, stored: &str, fresh: &str) -> Result<Likeness, Outcome> {
    let (stored, fresh) = (unnumbered(stored), unnumbered(fresh));
    if yes_against_no(&stored, &fresh) {
        return Ok(Likeness::Clash(Rule::Negation));
    }
    if let Some(rule) = clash(&Reading::of(&stored), &Reading::of(&fresh)) {
        return Ok(Likeness::Clash(rule));
    }
    let (stored, fresh) = (embedded(semantic, &stored).await?, embedded(semantic, &fresh).await?);
    Ok(Likeness::Near(stored.iter().zip(&fresh).map(|(a, b)| a * b).sum()))
}

/// The numbers of a list's items are no values.
fn unnumbered(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let line = line.trim();
        let rest = line.trim_start_matches(|c: char| c.is_ascii_digit());
        match rest.strip_prefix(['.', ')']).filter(|after| rest.len() < line.len() && after.starts_with(' '))
        {
            Some(item) => item.trim_start(),
            None => line,
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Of length one: the mean of the pieces', each weighed by its length.
async fn embedded(semantic: &Semantic, text: &str) -> Result<Vec<f32>, Outcome> {
    let pieces = pieces(text);
    if pieces.is_empty() || pieces.len() > PIECES {
        return Err(Outcome::Incomparable);
    }
    let mut sum = vec![0.0; semantic.dim()];
    for piece in pieces {
        semantic.suits(piece).map_err(|_| Outcome::Incomparable)?;
        let vector = semantic.embed_idly(piece).await.map_err(|_| Outcome::Incomparable)?;
        for (total, part) in sum.iter_mut().zip(vector.iter()) {
            *total += part * piece.len() as f32;
        }
    }
    let length = sum.iter().map(|part| part * part).sum::<f32>().sqrt();
    if length == 0.0 {
        return Err(Outcome::Incomparable);
    }
    sum.iter_mut().for_each(|part| *part /= length);
    Ok(sum)
}

/// Runs of whole sentences or lines, each as long as fits; those without a letter are left out.
fn pieces(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let (mut start, mut end) = (0, 0);
    for sentence in text.split_inclusive(['.', '!', '?', '\n', '。', '！', '？']) {
        if end > start && text[start..end].chars().count() + sentence.chars().count() > PIECE {
            pieces.push(text[start..end].trim());
            start = end;
        }
        end += sentence.len();
    }
    pieces.push(text[start..].trim());
    pieces.retain(|piece| piece.chars().any(char::is_alphabetic));
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_whole_sentences_within_the_limit() {
        let text = "One sentence of some length, number one. ".repeat(30);
        let pieces = pieces(&text);
        assert!(pieces.len() >= 3, "{pieces:?}");
        assert!(pieces.iter().all(|piece| piece.chars().count() <= PIECE && piece.ends_with("one.")));
        assert_eq!(pieces.join(" "), text.trim());
        assert_eq!(super::pieces("42.\n\n---\nPlain words").join("|"), "42.\n\n---\nPlain words");
        assert!(super::pieces("42. 7").is_empty());
    }

    #[test]
    fn the_numbers_of_a_list_are_no_values() {
        assert_eq!(
            unnumbered("1. Open it.\n2) Wait 5 days.\n3.5 litres"),
            "Open it.\nWait 5 days.\n3.5 litres"
        );
    }
}
