//! Why the cache stood aside.

/// The first group takes the whole request past the cache; the second only past comparison by
/// meaning: such a request is still looked up and stored by its exact key. The snake-case word is the
/// value of `x-reprise-reason` and of the metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bypass {
    // The whole cache.
    /// `x-reprise-cache: off`.
    ClientOff,
    /// `Cache-Control: no-store`: neither answered from the cache nor kept.
    ClientNoStore,
    /// `Cache-Control: no-cache`: asked upstream, and the answer kept.
    ClientNoCache,
    /// `cache.mode = "off"`, here or on the route.
    RouteOff,
    /// The body is no JSON of this dialect; the upstream shall say so.
    Unreadable,
    /// A dialect that is passed through for now.
    DialectUnread,
    /// An input that cannot be keyed, for instance an empty batch.
    NoInput,

    // Comparison by meaning only.
    /// `x-reprise-cache: exact`, or the mode of the route.
    ExactOnly,
    /// `semantic.mode = "off"`, or no model loaded.
    SemanticOff,
    HasTools,
    HasImage,
    HasAudio,
    HasFile,
    /// The last turn is not a user's, or has no text.
    NoQuestion,
    /// "yes", "go on": without content words of its own.
    Continuation,
    MultiTurn,
    Temperature,
    /// More than one choice is asked for, or several prompts at once.
    ManyChoices,
    /// Longer than the model's input window or the route's limit; never truncated.
    TooLong,
    /// Not a language that the embedding model covers.
    Language,
}

impl Bypass {
    pub fn word(self) -> &'static str {
        match self {
            Bypass::ClientOff => "client_off",
            Bypass::ClientNoStore => "client_no_store",
            Bypass::ClientNoCache => "client_no_cache",
            Bypass::RouteOff => "route_off",
            Bypass::Unreadable => "unreadable",
            Bypass::DialectUnread => "dialect_unread",
            Bypass::NoInput => "no_input",
            Bypass::ExactOnly => "exact_only",
            Bypass::SemanticOff => "semantic_off",
            Bypass::HasTools => "tools",
            Bypass::HasImage => "has_image",
            Bypass::HasAudio => "has_audio",
            Bypass::HasFile => "has_file",
            Bypass::NoQuestion => "no_question",
            Bypass::Continuation => "continuation",
            Bypass::MultiTurn => "multi_turn",
            Bypass::Temperature => "temperature",
            Bypass::ManyChoices => "many_choices",
            Bypass::TooLong => "too_long",
            Bypass::Language => "language",
        }
    }
}
