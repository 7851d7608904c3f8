//! Reads one value: its type, its range, and what to write instead. No message repeats a value that
//! may hold a credential (URLs, secrets).

use super::reader::{Given, word};
use crate::base::secret::Secret;
use bytesize::ByteSize;
use http::{HeaderName, HeaderValue};
use std::io::Read as _;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;
use toml::de::DeValue;
use url::Url;

type Read<T> = Result<T, String>;

/// The text of a value. Empty text is refused: leaving the key out is how a default is had.
pub fn text(given: Given<'_>) -> Read<String> {
    let text = match given {
        Given::File(DeValue::String(text)) => text.as_ref(),
        Given::File(other) => return Err(format!("expected text in quotes, found {}", word(other))),
        Given::Variable(text) => text,
    };
    if text.trim().is_empty() {
        return Err("is empty; leave it out for the default".to_owned());
    }
    Ok(text.trim().to_owned())
}

/// A list of texts. In the environment: separated by commas.
pub fn texts(given: Given<'_>) -> Read<Vec<String>> {
    match given {
        Given::File(DeValue::Array(items)) => {
            items.iter().map(|item| text(Given::File(item.get_ref()))).collect()
        }
        Given::File(other) => Err(format!("expected a list of texts, found {}", word(other))),
        Given::Variable(list) => {
            let items = list.split(',').filter(|item| !item.trim().is_empty());
            items.map(|item| text(Given::Variable(item))).collect()
        }
    }
}

pub fn boolean(given: Given<'_>) -> Read<bool> {
    match given {
        Given::File(DeValue::Boolean(value)) => Ok(*value),
        Given::File(other) => Err(format!("expected true or false, found {}", word(other))),
        Given::Variable("true") => Ok(true),
        Given::Variable("false") => Ok(false),
        Given::Variable(_) => Err("expected true or false".to_owned()),
    }
}

/// A whole number in `range`.
pub fn count(given: Given<'_>, range: RangeInclusive<usize>) -> Read<usize> {
    let wanted = format!("expected a whole number from {} to {}", range.start(), range.end());
    let (shown, value) = match given {
        Given::File(DeValue::Integer(number)) => {
            (number.to_string(), i128::from_str_radix(number.as_str(), number.radix()).ok())
        }
        Given::File(other) => return Err(format!("{wanted}, found {}", word(other))),
        Given::Variable(text) => (text.to_owned(), text.trim().parse().ok()),
    };
    match value.and_then(|value: i128| usize::try_from(value).ok()) {
        Some(value) if range.contains(&value) => Ok(value),
        _ => Err(format!("{shown} is out of range; {wanted}")),
    }
}

/// A number in `range`; `noun` is what it would have been, for instance `a similarity`.
pub fn number(given: Given<'_>, noun: &str, range: RangeInclusive<f64>) -> Read<f64> {
    let wanted = format!("expected {:?} to {:?}", range.start(), range.end());
    let (shown, value) = match given {
        Given::File(DeValue::Float(number)) => (number.to_string(), number.as_str().parse::<f64>().ok()),
        Given::File(DeValue::Integer(number)) => {
            let whole = i64::from_str_radix(number.as_str(), number.radix()).ok();
            (number.to_string(), whole.map(|whole| whole as f64))
        }
        Given::File(other) => return Err(format!("{} is not {noun}; {wanted}", word(other))),
        Given::Variable(text) => (text.to_owned(), text.trim().parse().ok()),
    };
    match value {
        Some(value) if range.contains(&value) => Ok(value),
        _ => Err(format!("{shown} is not {noun}; {wanted}")),
    }
}

/// One of several words, for instance a mode.
pub fn one_of<T: Copy>(given: Given<'_>, words: &[(&str, T)]) -> Read<T> {
    let quoted: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
    let wanted = quoted.join(", ");
    let text = text(given).map_err(|message| format!("{message}; expected one of {wanted}"))?;
    let exact = words.iter().find(|(word, _)| *word == text);
    exact.map(|(_, value)| *value).ok_or_else(|| match closest(&text, words.iter().map(|(word, _)| *word)) {
        Some(near) => format!("\"{text}\" is none of {wanted}; did you mean \"{near}\"?"),
        None => format!("\"{text}\" is none of {wanted}"),
    })
}

/// A list of words, each once; an empty list is refused.
pub fn some_of<T: Copy + PartialEq>(given: Given<'_>, words: &[(&str, T)]) -> Read<Vec<T>> {
    let mut all = Vec::new();
    for text in texts(given)? {
        let one = one_of(Given::Variable(&text), words)?;
        if all.contains(&one) {
            return Err(format!("has \"{text}\" twice; write it once"));
        }
        all.push(one);
    }
    match all.is_empty() {
        true => Err("is empty; leave it out for the default".to_owned()),
        false => Ok(all),
    }
}

/// The word that `text` was probably meant to be: one slip, or one more for each four letters.
pub fn closest<'w>(text: &str, words: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    let near = words.map(|word| (strsim::damerau_levenshtein(word, &text.to_lowercase()), word)).min();
    near.filter(|(distance, word)| *distance <= 1 + word.len() / 4).map(|(_, word)| word)
}

const UNIT_REMEDY: &str = "for instance \"250ms\", \"90s\", \"5m\" or \"1h\"";

/// A span of time in `range`, with its unit: a bare number is refused, because it is read as seconds
/// by some and as milliseconds by others.
pub fn duration(given: Given<'_>, range: RangeInclusive<Duration>) -> Read<Duration> {
    let text = match given {
        Given::File(DeValue::Integer(number)) => return Err(without_unit(&number.to_string())),
        Given::File(DeValue::Float(number)) => return Err(without_unit(&number.to_string())),
        Given::File(DeValue::String(_)) | Given::Variable(_) => text(given)?,
        Given::File(other) => {
            return Err(format!("expected a duration, {UNIT_REMEDY}, found {}", word(other)));
        }
    };
    if text.parse::<f64>().is_ok() {
        return Err(without_unit(&text));
    }
    let span = humantime::parse_duration(&text)
        .map_err(|_| format!("\"{text}\" is not a duration; write {UNIT_REMEDY}"))?;
    if range.contains(&span) {
        return Ok(span);
    }
    let [least, most] = [range.start(), range.end()].map(|end| humantime::format_duration(*end));
    Err(format!("\"{text}\" is out of range; expected {least} to {most}"))
}

fn without_unit(number: &str) -> String {
    format!("{number} has no unit; write \"{number}s\" for seconds or \"{number}ms\" for milliseconds")
}

/// Bytes in `range`, with their unit.
pub fn size(given: Given<'_>, range: RangeInclusive<u64>) -> Read<u64> {
    let text = match given {
        Given::File(DeValue::Integer(number)) => number.to_string(),
        Given::File(DeValue::String(_)) | Given::Variable(_) => text(given)?,
        Given::File(other) => {
            return Err(format!("expected a size such as \"256MiB\", found {}", word(other)));
        }
    };
    if text.parse::<f64>().is_ok() {
        return Err(format!(
            "{text} has no unit; write \"{text}B\" for bytes or \"{text}MiB\" for mebibytes"
        ));
    }
    let size: ByteSize = text.parse().map_err(|_| {
        format!("\"{text}\" is not a size; write for instance \"64KiB\", \"256MiB\" or \"2GiB\"")
    })?;
    if range.contains(&size.as_u64()) {
        return Ok(size.as_u64());
    }
    let [least, most] = [range.start(), range.end()].map(|end| ByteSize::b(*end).display().iec().to_string());
    Err(format!("\"{text}\" is out of range; expected {least} to {most}"))
}

pub fn address(given: Given<'_>) -> Read<SocketAddr> {
    let text = text(given)?;
    text.parse().map_err(|_| {
        let host = text.rsplit_once(':').map_or(text.as_str(), |(host, _)| host);
        if host.eq_ignore_ascii_case("localhost") {
            return "\"localhost\" is a name; write its address, \"127.0.0.1:PORT\" or \"[::1]:PORT\""
                .to_owned();
        }
        if text.parse::<std::net::IpAddr>().is_ok() {
            return format!("\"{text}\" has no port; write for instance \"127.0.0.1:8080\"");
        }
        format!("\"{text}\" is not an address; write for instance \"127.0.0.1:8080\" or \"[::1]:8080\"")
    })
}

/// An upstream's base URL, without a trailing slash, and its host and port.
pub fn upstream_url(given: Given<'_>) -> Read<(String, String)> {
    let text = text(given)?;
    let example = "write for instance \"https://api.openai.com\"";
    if !text.contains("://") {
        return Err(format!("has no scheme; {example}"));
    }
    let url = Url::parse(&text).map_err(|wrong| format!("is not a URL ({wrong}); {example}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("has the scheme {}; expected http or https", url.scheme()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            "holds a credential; take it out and set `key` to \"env:NAME\" or \"file:PATH\"".to_owned()
        );
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("has a query or a fragment; keep only scheme, host, port and path".to_owned());
    }
    let Some(host) = url.host_str() else {
        return Err(format!("has no host; {example}"));
    };
    let path = url.path().trim_end_matches('/');
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let name = match url.port_or_known_default() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    Ok((format!("{}://{host}{port}{path}", url.scheme()), name))
}

/// `env:NAME` or `file:PATH`. A literal is refused: a config file is copied, shown and committed.
pub fn secret(given: Given<'_>, variable: &dyn Fn(&str) -> Option<String>) -> Read<Secret> {
    let text = text(given)?;
    let (found, whence) = if let Some(name) = text.strip_prefix("env:") {
        if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Err(
                "what follows env: is not a variable's name; write for instance \"env:API_KEY\"".to_owned()
            );
        }
        let missing = || format!("the variable {name} is not set; set it, or name another");
        (variable(name).ok_or_else(missing)?, format!("the variable {name}"))
    } else if let Some(path) = text.strip_prefix("file:") {
        let unread = |wrong: std::io::Error| format!("cannot read the file {path}: {}", plain(&wrong));
        (read_secret_file(path).map_err(unread)?, format!("the file {path}"))
    } else {
        let remedy = "write \"env:NAME\" for a variable or \"file:PATH\" for a file";
        return Err(format!("a secret is not written here itself; {remedy}"));
    };
    let found = found.trim();
    if found.is_empty() {
        return Err(format!("{whence} is empty; put the secret into it"));
    }
    if !found.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!("{whence} holds white space or characters that no header can carry"));
    }
    Ok(Secret::new(found.to_owned()))
}

/// At most 64 KiB, so that a wrong path (a device, a log) cannot fill the memory.
fn read_secret_file(path: &str) -> std::io::Result<String> {
    let mut found = String::new();
    std::fs::File::open(path)?.take(65_536).read_to_string(&mut found)?;
    Ok(found)
}

/// An I/O error without its number: "no such file or directory".
pub fn plain(wrong: &std::io::Error) -> String {
    let text = wrong.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut letters = text.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

/// A path that must be there; `what` says as what, for the message.
pub fn existing(given: Given<'_>, what: &str, is: impl Fn(&std::path::Path) -> bool) -> Read<PathBuf> {
    let path = PathBuf::from(text(given)?);
    if is(&path) { Ok(path) } else { Err(format!("there is no {what} {}", path.display())) }
}

/// A path; an empty text is none.
pub fn path_or_none(given: Given<'_>) -> Read<Option<PathBuf>> {
    match given {
        Given::File(DeValue::String(path)) if path.is_empty() => Ok(None),
        Given::Variable("") => Ok(None),
        given => text(given).map(|path| Some(PathBuf::from(path))),
    }
}

/// Names of headers, lower case, sorted, each once. In the environment: separated by commas.
pub fn header_names(given: Given<'_>) -> Read<Vec<String>> {
    let mut names = Vec::new();
    match given {
        Given::File(DeValue::Array(items)) => {
            for item in items {
                names.push(header_name(Given::File(item.get_ref()))?);
            }
        }
        Given::File(other) => return Err(format!("expected a list of header names, found {}", word(other))),
        Given::Variable(list) => {
            for name in list.split(',').filter(|name| !name.trim().is_empty()) {
                names.push(header_name(Given::Variable(name))?);
            }
        }
    }
    if let Some(name) = names.iter().find(|name| CREDENTIALS.contains(&name.as_str())) {
        return Err(format!("`{name}` is a credential; `scope` decides who shares answers, leave it out"));
    }
    names.sort();
    names.dedup();
    Ok(names)
}

/// Headers that carry a credential, for a provider or for the gateways that stand before one.
const CREDENTIALS: &[&str] = &[
    "api-key",
    "authorization",
    "cf-aig-authorization",
    "cookie",
    "helicone-auth",
    "proxy-authorization",
    "x-api-key",
    "x-bf-vk",
    "x-goog-api-key",
    "x-litellm-api-key",
    "x-portkey-api-key",
];

pub fn header_name(given: Given<'_>) -> Read<String> {
    let text = text(given)?;
    let name = HeaderName::try_from(text.as_str()).map_err(|_| format!("\"{text}\" is not a header name"))?;
    Ok(name.as_str().to_owned())
}

pub fn header_value(given: Given<'_>) -> Read<String> {
    let text = text(given)?;
    match HeaderValue::try_from(text.as_str()).map(|value| value.to_str().is_ok()) {
        Ok(true) => Ok(text),
        _ => Err("holds characters that no header can carry".to_owned()),
    }
}

/// Exact text, or a prefix that ends in `*`.
pub fn pattern(given: Given<'_>) -> Read<String> {
    let text = text(given)?;
    match text.find('*') {
        Some(star) if star + 1 < text.len() => Err("only its end may be `*`".to_owned()),
        _ => Ok(text),
    }
}
