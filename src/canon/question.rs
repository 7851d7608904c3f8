//! Which text is compared by meaning, and when it may be.

/// The last user turn's text, as the client wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Question(pub String);
