//! Names of the public contract that this version does not serve. They are refused with a sentence,
//! because a setting must never silently do nothing. Whoever serves one deletes its line here.

/// Section, key (or `key = value`), and what to say.
const UNSERVED: &[(&str, &str, &str)] = &[
    ("", "redis", "answers are not shared through Redis in this version; remove [redis]"),
    ("", "key", "virtual keys are not served in this version; clients use their own, remove [[key]]"),
    ("", "model", "models are not mapped to deployments in this version; remove [[model]]"),
    ("route.match", "key", "virtual keys are not served in this version; match by `header` instead"),
    (
        "cache",
        "scope = team",
        "\"team\" comes with virtual keys, not served in this version; expected \"key\" or \"global\"",
    ),
];

/// Why this version refuses a name that the contract knows; `None` where it does not.
pub fn reason(section: &str, key: &str) -> Option<&'static str> {
    UNSERVED.iter().find(|(of, name, _)| *of == section && *name == key).map(|(_, _, reason)| *reason)
}
