//! What a budget is told, and the numbers that follow from it.

use super::wager::Purse;

/// Thresholds that are tried, evenly spaced from `Settings::lowest` to `Settings::highest`.
pub const RUNGS: usize = 30;
/// The descent begins at two thresholds, those that keep these shares of the candidates: the strict one is
/// proven first where little is clean, the broad one where much is. Each gets half of the error probability.
pub const STARTS: [f64; 2] = [0.10, 0.35];

/// What the route serves until anything is proven.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Start {
    /// Nothing by meaning. Would-be hits are compared on their misses until enough of them were right.
    Exact,
    /// From this score on, because somebody calibrated it elsewhere. Not proven here, and said so.
    At(f32),
}

/// Whether hits are served or only recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serving {
    Live,
    /// `semantic.mode = "observe"`: every candidate is a miss, and the threshold is what would be served.
    Observe,
}

/// How many hits may be audited. Shares of semantic hits unless said otherwise, 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AuditShares {
    /// When the proof is comfortable and nothing better is in sight. Default 0.02.
    pub steady: f32,
    /// While a lower threshold may be proven, or the proof of the present one wears thin. Default 0.20.
    pub learning: f32,
    /// Of all candidates ever (hits and would-be hits), beyond `burst`: never exceeded. A share of candidates, not of hits, so
    /// that a route with a high threshold and few hits can afford to find its way down. Default 0.02.
    pub most: f32,
    /// Audits that may be spent ahead of `most`. Default 2,000.
    pub burst: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// `semantic.max_wrong_rate`: wrong semantic hits per semantic hit, 0.0001 to 0.2.
    pub max_wrong_rate: f64,
    /// Probability that a proof holds, 0.5 to 0.999. Default 0.95.
    pub confidence: f64,
    /// The thresholds tried. Candidates below `lowest` are ignored. Default 0.70 to 0.99.
    pub lowest: f32,
    pub highest: f32,
    pub start: Start,
    pub serving: Serving,
    pub audits: AuditShares,
    /// Share of would-be hits on misses that are compared, above 0. The upstream was asked anyway, so it costs a
    /// comparison, not a call. Default 1.
    pub shadows: f32,
    /// At most this share of verdicts is mistaken, in either direction, one independent of the next. 0 to 0.4. Default 0.
    pub audit_error: f64,
    /// What the evidence is about: model, verifier and their versions. Evidence about another basis is not used.
    pub basis: String,
}

impl Settings {
    pub fn new(max_wrong_rate: f64) -> Settings {
        Settings {
            max_wrong_rate,
            confidence: 0.95,
            lowest: 0.70,
            highest: 0.99,
            start: Start::Exact,
            serving: Serving::Live,
            audits: AuditShares { steady: 0.02, learning: 0.20, most: 0.02, burst: 2_000 },
            shadows: 1.0,
            audit_error: 0.0,
            basis: String::new(),
        }
    }
}

/// A setting with which nothing could be proven.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Unfit {
    #[error("max_wrong_rate is {0}; expected 0.0001 to 0.2")]
    Rate(f64),
    #[error("confidence is {0}; expected 0.5 to 0.999")]
    Confidence(f64),
    #[error("thresholds from {0} to {1}; expected two rising numbers within 0 to 1")]
    Range(f32, f32),
    #[error("the start threshold is {0}; expected {1} to 1")]
    Start(f32, f32),
    #[error(
        "audit shares must lie within 0 to 1, above 0, with steady at most learning; lower `steady` or raise `learning`"
    )]
    Shares,
    #[error(
        "audit_error is {0}; expected 0 to 0.4: a judge that errs more often proves nothing, name a better one"
    )]
    Error(f64),
}

/// Checked settings with what follows from them.
#[derive(Clone, Debug, PartialEq)]
pub struct Terms {
    pub settings: Settings,
    /// A purse that holds this much proves its claim: two starts, so 2 / (1 - confidence).
    pub proof: f64,
    /// Verdicts that must all say "differs" before a hit counts as wrong.
    pub verdicts: u8,
    /// Probability that a wrong hit is found wrong by all of them, at the worst allowed error.
    pub sensitivity: f64,
    /// Probability that a right hit is called wrong by all of them, at the worst allowed error.
    pub false_alarm: f64,
    /// Labels, all of them clean, that prove the budget from nothing: no route is proven with fewer.
    pub evidence_needed: u32,
}

impl Terms {
    pub fn of(settings: Settings) -> Result<Terms, Unfit> {
        check(&settings)?;
        let error = settings.audit_error;
        // Asked again until false alarms are a tenth of the budget or less, so that they need not be subtracted.
        let mut verdicts = 1;
        while error.powi(verdicts) > settings.max_wrong_rate / 10.0 {
            verdicts += 1;
        }
        let (sensitivity, false_alarm) = ((1.0 - error).powi(verdicts), error.powi(verdicts));
        let proof = STARTS.len() as f64 / (1.0 - settings.confidence);
        let evidence_needed = evidence_needed(settings.max_wrong_rate * sensitivity, proof);
        let verdicts = u8::try_from(verdicts).unwrap_or(u8::MAX);
        Ok(Terms { proof, verdicts, sensitivity, false_alarm, evidence_needed, settings })
    }

    /// The share of labels that says "wrong" if the true rate is `rate`, at least: misses lower it as far as they may,
    /// false alarms are not counted on. Valid however small the real error is.
    pub fn seen_at_least(&self, rate: f64) -> f64 {
        rate * self.sensitivity
    }

    /// Rogan & Gladen (1978): the true rate behind a share of "wrong" labels, were errors exactly at their allowed most.
    pub fn corrected(&self, seen: f64) -> f64 {
        ((seen - self.false_alarm) / (self.sensitivity - self.false_alarm)).clamp(0.0, 1.0)
    }

    pub fn score_of(&self, rung: usize) -> f32 {
        let step = (self.settings.highest - self.settings.lowest) / (RUNGS - 1) as f32;
        self.settings.lowest + step * rung as f32
    }

    /// The highest rung at or under `score`. Computed against `score_of`, so that a hit at a threshold counts for it.
    pub fn rung_of(&self, score: f32) -> Option<usize> {
        let step = (self.settings.highest - self.settings.lowest) / (RUNGS - 1) as f32;
        let about = ((score - self.settings.lowest) / step) as usize + 1;
        let near = about.saturating_sub(2)..=about.min(RUNGS - 1);
        near.rev().find(|rung| self.score_of(*rung) <= score)
    }
}

fn evidence_needed(claim: f64, proof: f64) -> u32 {
    let mut purse = Purse::fresh();
    let mut labels = 0;
    while purse.total() < proof {
        purse.bet(claim, 1.0, false, f64::INFINITY);
        labels += 1;
    }
    labels
}

fn check(settings: &Settings) -> Result<(), Unfit> {
    let Settings {
        max_wrong_rate,
        confidence,
        lowest,
        highest,
        start,
        serving: _,
        audits,
        shadows,
        audit_error,
        basis: _,
    } = settings;
    let AuditShares { steady, learning, most, burst: _ } = audits;
    let share = |x: f32| x > 0.0 && x <= 1.0;
    if !(0.000_1..=0.2).contains(max_wrong_rate) {
        return Err(Unfit::Rate(*max_wrong_rate));
    }
    if !(0.5..=0.999).contains(confidence) {
        return Err(Unfit::Confidence(*confidence));
    }
    if !(*lowest >= 0.0 && lowest < highest && *highest <= 1.0) {
        return Err(Unfit::Range(*lowest, *highest));
    }
    if let Start::At(score) = start
        && !(*lowest..=1.0).contains(score)
    {
        return Err(Unfit::Start(*score, *lowest));
    }
    if !(share(*steady) && share(*learning) && share(*most) && share(*shadows) && steady <= learning) {
        return Err(Unfit::Shares);
    }
    if !(0.0..=0.4).contains(audit_error) {
        return Err(Unfit::Error(*audit_error));
    }
    Ok(())
}
