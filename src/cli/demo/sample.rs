//! The bundled questions: what is asked, and which questions share an answer.

use serde::Deserialize;
use std::fmt;

const ENGLISH: &str = include_str!("faq_en.toml");
const KOREAN: &str = include_str!("faq_ko.toml");

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Language {
    English,
    Korean,
}

impl Language {
    pub const ALL: [Language; 2] = [Language::English, Language::Korean];

    pub fn word(self) -> &'static str {
        match self {
            Language::English => "en",
            Language::Korean => "ko",
        }
    }

    /// What the application puts before every question.
    pub fn system_prompt(self) -> &'static str {
        match self {
            Language::English => {
                "You are the support assistant of an online shop that sells household goods and a membership with \
                 three plans. Answer in one or two friendly sentences. Name the menu to open or the next step. If \
                 the question is about a particular order, use its number. Never promise a date that is not known."
            }
            Language::Korean => {
                "당신은 생활용품과 세 가지 요금제의 멤버십을 판매하는 온라인 쇼핑몰의 상담원입니다. 한두 문장으로 \
                 친절하게 답하고, 눌러야 할 메뉴나 다음 단계를 알려 주세요. 특정 주문에 대한 질문이면 주문번호를 \
                 사용하고, 알 수 없는 날짜는 약속하지 마세요."
            }
        }
    }
}

/// Questions that share one answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Class {
    /// For instance `en/order_status 48213`.
    pub name: String,
    /// What this class differs in from its nearest neighbours, if that is all it differs in.
    pub trap: Option<String>,
    pub answer: String,
    pub say: Vec<String>,
}

/// One language's questions.
#[derive(Clone, Debug)]
pub struct Sample {
    pub language: Language,
    pub classes: Vec<Class>,
    pub once: Vec<String>,
    fresh: Vec<Template>,
}

/// The bundled file is broken: a defect of ours, which a unit test looks for.
#[derive(Debug, thiserror::Error)]
#[error("the bundled {} questions cannot be read: {source}", language.word())]
pub struct Broken {
    language: Language,
    source: Box<toml::de::Error>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    once: Vec<String>,
    intent: Vec<Intent>,
    template: Vec<Template>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Intent {
    class: String,
    trap: Option<String>,
    answer: String,
    say: Vec<String>,
}

/// `{0}` and `{1}` in its texts stand for the parts of a fill.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Template {
    class: String,
    trap: String,
    answer: String,
    fill: Vec<Vec<String>>,
    /// Whether it is also asked with numbers that come once.
    #[serde(default)]
    fresh: bool,
    say: Vec<String>,
}

impl Template {
    fn filled(&self, language: Language, fill: &[impl fmt::Display]) -> Class {
        let put = |text: &String| {
            fill.iter().enumerate().fold(text.clone(), |text, (place, part)| {
                text.replace(&format!("{{{place}}}"), &part.to_string())
            })
        };
        let parts: Vec<String> = fill.iter().map(ToString::to_string).collect();
        Class {
            name: format!("{}/{} {}", language.word(), self.class, parts.join(" > ")),
            trap: Some(self.trap.clone()),
            answer: put(&self.answer),
            say: self.say.iter().map(put).collect(),
        }
    }
}

impl Sample {
    pub fn read(language: Language) -> Result<Sample, Broken> {
        let text = match language {
            Language::English => ENGLISH,
            Language::Korean => KOREAN,
        };
        let file: File =
            toml::from_str(text).map_err(|source| Broken { language, source: Box::new(source) })?;
        let mut classes: Vec<Class> = file
            .intent
            .into_iter()
            .map(|intent| Class {
                name: format!("{}/{}", language.word(), intent.class),
                trap: intent.trap,
                answer: intent.answer,
                say: intent.say,
            })
            .collect();
        for template in &file.template {
            classes.extend(template.fill.iter().map(|fill| template.filled(language, fill)));
        }
        let fresh = file.template.into_iter().filter(|template| template.fresh).collect();
        Ok(Sample { language, classes, once: file.once, fresh })
    }

    /// A class of its own for `number`, of one of the templates that take fresh numbers.
    pub fn fresh(&self, choice: usize, number: u64) -> Option<Class> {
        let template = self.fresh.get(choice % self.fresh.len().max(1))?;
        Some(template.filled(self.language, &[number]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_class_has_three_phrasings_and_an_answer_of_its_own() {
        for language in Language::ALL {
            let sample = Sample::read(language).unwrap();
            let (mut names, mut answers) = (HashSet::new(), HashSet::new());
            for class in &sample.classes {
                assert!((3..=7).contains(&class.say.len()), "{}", class.name);
                assert!(names.insert(&class.name), "{} twice", class.name);
                assert!(answers.insert(&class.answer), "two classes answer: {}", class.answer);
            }
            assert!(sample.classes.len() >= 60, "{}", sample.classes.len());
        }
    }

    #[test]
    fn no_text_is_asked_by_two_classes_and_no_placeholder_is_left() {
        let mut texts = HashSet::new();
        for language in Language::ALL {
            let sample = Sample::read(language).unwrap();
            let said = sample.classes.iter().flat_map(|class| &class.say);
            for text in said.chain(&sample.once) {
                assert!(texts.insert(text.clone()), "twice: {text}");
                assert!(!text.contains(['{', '}']), "{text}");
            }
        }
    }

    #[test]
    fn every_kind_of_trap_is_set_with_at_least_two_classes() {
        for language in Language::ALL {
            let sample = Sample::read(language).unwrap();
            for trap in
                ["order-number", "amount", "date", "on-off", "before-after", "plan", "product", "direction"]
            {
                let set = sample.classes.iter().filter(|class| class.trap.as_deref() == Some(trap)).count();
                assert!(set >= 2, "{} has {set} of {trap}", language.word());
            }
            assert!(sample.fresh(1, 70_001).unwrap().say[0].contains("70001"));
        }
    }
}
