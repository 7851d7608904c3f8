//! Names of the public contract that this version does not serve. They are refused with a sentence,
//! because a setting must never silently do nothing. Whoever serves one deletes its line here.

/// Section, key (or `key = value`), and what to say.
const UNSERVED: &[(&str, &str, &str)] = &[(
    "router",
    "cascade",
    "a cascade is one model's; write [model.cascade] below its [[model]], with `to`",
)];

/// Why this version refuses a name that the contract knows; `None` where it does not.
pub fn reason(section: &str, key: &str) -> Option<&'static str> {
    UNSERVED.iter().find(|(of, name, _)| *of == section && *name == key).map(|(_, _, reason)| *reason)
}
