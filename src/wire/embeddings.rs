//! A batch of `/v1/embeddings` taken apart and put together, so that each input is cached by itself.
//!
//! Vectors and the client's other fields are never read: they are carried as the JSON text they came
//! in, so that a float keeps every digit and base64 stays base64.

use super::request::{EmbeddingRequest, Unreadable};
use super::usage::Usage;
use bytes::Bytes;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use std::fmt;

/// One input of a batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Input<'a> {
    Text(&'a str),
    /// Token ids.
    Tokens(&'a [Value]),
}

impl Input<'_> {
    /// What its share of the usage is measured by: characters, or tokens.
    pub fn length(&self) -> usize {
        match self {
            Input::Text(text) => text.chars().count(),
            Input::Tokens(tokens) => tokens.len(),
        }
    }
}

/// The inputs in order: `"a"` is one, as `["a"]` is; so is a list of token ids. None for `[]`.
pub fn inputs(request: &EmbeddingRequest) -> Vec<Input<'_>> {
    let Value::Array(items) = &request.input else {
        return request.input.as_str().map(Input::Text).into_iter().collect();
    };
    if items.first().is_some_and(Value::is_number) {
        return vec![Input::Tokens(items)];
    }
    items.iter().filter_map(input_of).collect()
}

fn input_of(item: &Value) -> Option<Input<'_>> {
    match item {
        Value::String(text) => Some(Input::Text(text)),
        Value::Array(tokens) => Some(Input::Tokens(tokens)),
        _ => None,
    }
}

/// The request `raw` for some of its inputs, `keep` being their places. Every other field keeps its
/// JSON text and its place. Fails where `raw` is no embedding request or has no such input.
pub fn rewrite(raw: &[u8], keep: &[usize]) -> Result<Bytes, Unreadable> {
    let unreadable = |error: serde_json::Error| Unreadable(error.to_string());
    let mut members = serde_json::from_slice::<Members<'_>>(raw).map_err(unreadable)?;
    let input = members.get("input").ok_or_else(|| Unreadable("`input` is absent".to_owned()))?.get();
    let mut all: Vec<&RawValue> = match input.starts_with('[') {
        true => serde_json::from_str(input).map_err(unreadable)?,
        false => Vec::new(),
    };
    let single = match all.first() {
        Some(first) => !first.get().starts_with(['"', '[']),
        None => !input.starts_with('['),
    };
    if single {
        all = vec![serde_json::from_str(input).map_err(unreadable)?];
    }
    let mut list = String::from("[");
    for (at, place) in keep.iter().enumerate() {
        let one = all.get(*place).ok_or_else(|| Unreadable(format!("there is no input {place}")))?;
        list.push_str(if at == 0 { "" } else { "," });
        list.push_str(one.get());
    }
    list.push(']');
    let list: &RawValue = serde_json::from_str(&list).map_err(unreadable)?;
    members.set("input", list);
    Ok(Bytes::from(members.to_string()))
}

/// The embedding of one input: the members of its object but for `index`, as JSON text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item(pub Bytes);

/// What an answer says besides its embeddings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    pub model: Option<String>,
    /// Name and JSON text of every other member but `data` and `usage`, in order; `object` is one.
    pub rest: Vec<(String, String)>,
}

/// An answer taken apart: one item for each input, in the order of the inputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub items: Vec<Item>,
    pub usage: Option<Usage>,
    pub frame: Frame,
}

/// An answer that cannot be taken apart without doubt; nothing of it is to be kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an answer to this batch: {0}")]
pub struct Strange(pub String);

/// Reads the answer to a request with `inputs` inputs. Fails where it is not an object with `data`,
/// holds an error, or where an index is missing, repeated or out of range.
pub fn read_answer(body: &[u8], inputs: usize) -> Result<Answer, Strange> {
    let strange = |error: serde_json::Error| Strange(error.to_string());
    let members = serde_json::from_slice::<Members<'_>>(body).map_err(strange)?;
    if members.get("error").is_some_and(|error| error.get() != "null") {
        return Err(Strange("it holds an error".to_owned()));
    }
    let data = members.get("data").ok_or_else(|| Strange("it has no `data`".to_owned()))?;
    let data: Vec<Members<'_>> = serde_json::from_str(data.get()).map_err(strange)?;
    let mut items: Vec<Option<Item>> = vec![None; inputs];
    for object in &data {
        let index = object.get("index").and_then(|index| index.get().parse::<usize>().ok());
        let place = index.and_then(|index| items.get_mut(index));
        match (place, object.get("embedding")) {
            (Some(place @ None), Some(_)) => *place = Some(object.item()),
            _ => return Err(Strange("an embedding is missing, out of range or there twice".to_owned())),
        }
    }
    let items = items.into_iter().collect::<Option<Vec<Item>>>();
    let items = items.ok_or_else(|| Strange(format!("{} of {inputs} embeddings came", data.len())))?;
    let tree = |name| members.get(name).and_then(|raw| serde_json::from_str::<Value>(raw.get()).ok());
    let rest = members.0.iter().filter(|(name, _)| !matches!(name.as_str(), "data" | "usage" | "model"));
    Ok(Answer {
        items,
        usage: tree("usage").as_ref().and_then(Usage::read),
        frame: Frame {
            model: tree("model").and_then(|model| model.as_str().map(str::to_owned)),
            rest: rest.map(|(name, raw)| (name.clone(), raw.get().to_owned())).collect(),
        },
    })
}

/// An answer body with `items` in order, their indexes anew, and `usage` for all of them together.
pub fn merge(items: &[&Item], frame: &Frame, usage: Option<Usage>) -> Bytes {
    let room: usize = items.iter().map(|item| item.0.len() + 16).sum();
    let mut body = Vec::with_capacity(room + 256);
    body.push(b'{');
    for (name, raw) in &frame.rest {
        body.extend_from_slice(quoted(name).as_bytes());
        body.push(b':');
        body.extend_from_slice(raw.as_bytes());
        body.push(b',');
    }
    body.extend_from_slice(b"\"data\":[");
    for (index, item) in items.iter().enumerate() {
        body.extend_from_slice(if index == 0 { b"{" } else { b",{" });
        body.extend_from_slice(&item.0);
        body.extend_from_slice(format!(",\"index\":{index}}}").as_bytes());
    }
    body.push(b']');
    if let Some(model) = &frame.model {
        body.extend_from_slice(format!(",\"model\":{}", quoted(model)).as_bytes());
    }
    if let Some(Usage { prompt, completion, .. }) = usage {
        let total = prompt.saturating_add(completion);
        let counts = format!(",\"usage\":{{\"prompt_tokens\":{prompt},\"total_tokens\":{total}}}");
        body.extend_from_slice(counts.as_bytes());
    }
    body.push(b'}');
    Bytes::from(body)
}

/// Shares `usage` out over inputs of the given lengths, in proportion; the shares sum to it exactly.
/// By largest remainder (Hamilton's method), ties to the earlier input; equal parts where all
/// lengths are zero. Empty for no inputs.
pub fn apportion(usage: Usage, lengths: &[usize]) -> Vec<Usage> {
    let Usage { prompt, completion, cached, reasoning, cache_write } = usage;
    let [prompt, completion, cached, reasoning, cache_write] =
        [prompt, completion, cached, reasoning, cache_write].map(|total| shares(total, lengths));
    (0..lengths.len())
        .map(|at| Usage {
            prompt: prompt[at],
            completion: completion[at],
            cached: cached[at],
            reasoning: reasoning[at],
            cache_write: cache_write[at],
        })
        .collect()
}

fn shares(total: u64, lengths: &[usize]) -> Vec<u64> {
    let sum: u128 = lengths.iter().map(|length| *length as u128).sum();
    let weight = |length: usize| if sum == 0 { 1 } else { length as u128 };
    let sum = if sum == 0 { lengths.len() as u128 } else { sum };
    let mut shares = Vec::with_capacity(lengths.len());
    let mut remainders = Vec::with_capacity(lengths.len());
    for (at, length) in lengths.iter().enumerate() {
        let exact = u128::from(total) * weight(*length);
        // At most `total`, as a weight is at most the sum.
        shares.push(u64::try_from(exact / sum).unwrap_or(total));
        remainders.push((exact % sum, at));
    }
    let left = total - shares.iter().sum::<u64>();
    remainders.sort_by_key(|(remainder, at)| (std::cmp::Reverse(*remainder), *at));
    for (_, at) in remainders.iter().take(usize::try_from(left).unwrap_or(usize::MAX)) {
        shares[*at] += 1;
    }
    shares
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// The members of an object in order, their values unread. A name that comes twice is refused.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Members<'a> {
    fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, raw)| *raw)
    }

    fn set(&mut self, name: &str, value: &'a RawValue) {
        if let Some(member) = self.0.iter_mut().find(|(own, _)| own == name) {
            member.1 = value;
        }
    }

    fn item(&self) -> Item {
        let kept = self.0.iter().filter(|(name, _)| name != "index");
        let text: Vec<String> = kept.map(|(name, raw)| format!("{}:{}", quoted(name), raw.get())).collect();
        Item(Bytes::from(text.join(",")))
    }
}

impl fmt::Display for Members<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (at, (name, raw)) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma}{}:{}", quoted(name), raw.get())?;
        }
        f.write_str("}")
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members: Vec<(String, &'de RawValue)> = Vec::new();
                while let Some(member) = map.next_entry::<String, &'de RawValue>()? {
                    members.push(member);
                }
                let mut names: Vec<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
                names.sort_unstable();
                match names.windows(2).any(|pair| pair[0] == pair[1]) {
                    true => Err(A::Error::custom("an object names a key twice")),
                    false => Ok(Members(members)),
                }
            }
        }
        input.deserialize_map(Collect)
    }
}
