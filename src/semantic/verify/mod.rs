//! Whether one answer serves both questions.

/// Why a near neighbour was refused. The word is the value of `x-reprise-reason` on a miss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// Numbers, amounts, dates, codes or ids differ.
    Numbers,
    /// Quoted text or code differs.
    Quoted,
}

impl Rule {
    pub fn word(self) -> &'static str {
        match self {
            Rule::Numbers => "numbers_differ",
            Rule::Quoted => "quoted_differs",
        }
    }
}

/// The verifier's word on one pair.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Judgement {
    Same,
    Different(Rule),
}
