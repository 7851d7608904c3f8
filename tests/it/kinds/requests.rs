//! Requests on their way out.

use super::{
    Adapter, Api, CHAT, Credential, Dialect, Kind, Reading, Wrong, golden, laid_out, outgoing, prepare, sent,
    translated, tree,
};
use proptest::prelude::*;
use serde_json::{Value, json};

const REQUESTS: [(&str, &str); 4] = [
    ("plain", include_str!("../golden/kinds/plain.request.json")),
    ("tools", include_str!("../golden/kinds/tools.request.json")),
    ("images", include_str!("../golden/kinds/images.request.json")),
    ("structured", include_str!("../golden/kinds/structured.request.json")),
];

#[test]
fn each_provider_is_asked_in_its_own_dialect() {
    let _golden = golden();
    for (name, request) in REQUESTS {
        for (kind, model) in [
            (Kind::Anthropic, "claude-test-1"),
            (Kind::Gemini, "gemini-2.5-test"),
            (Kind::AzureOpenAi, "my gpt"),
        ] {
            let request = request.replace("\"fast\"", &format!("\"{model}\""));
            let (outgoing, _) = prepare(kind, &request).unwrap();
            let body = laid_out(std::str::from_utf8(sent(&outgoing)).unwrap());
            let text = format!("POST {}\n{body}", outgoing.target);
            insta::assert_snapshot!(format!("{name}.{}", kind.word()), text);
        }
    }
}

#[test]
fn a_schema_keeps_the_order_of_its_properties() {
    let (_, request) = REQUESTS[3];
    for kind in [Kind::Anthropic, Kind::Gemini] {
        let (outgoing, _) = prepare(kind, request).unwrap();
        let text = std::str::from_utf8(sent(&outgoing)).unwrap();
        let (name, age) = (text.find("\"name\": {").unwrap(), text.find("\"age\": {").unwrap());
        assert!(name < age, "{text}");
    }
}

#[test]
fn headers_are_those_of_the_provider() {
    let (_, request) = REQUESTS[0];
    let sent = [
        ("authorization", "Bearer sk-client"),
        ("accept-encoding", "gzip"),
        ("content-length", "900"),
        ("openai-organization", "org-1"),
        ("x-trace", "t-1"),
    ];
    let ours = Credential::of("sk-ours").unwrap();
    for (kind, name) in [(Kind::Anthropic, "x-api-key"), (Kind::Gemini, "x-goog-api-key")] {
        let (outgoing, _) =
            Adapter::new(kind).prepare(outgoing(CHAT, &sent, request.as_bytes()), Some(&ours)).unwrap();
        let header = |name: &str| outgoing.headers.get(name).map(|value| value.to_str().unwrap());
        assert_eq!(header(name), Some("sk-ours"));
        assert_eq!(header("authorization"), None);
        assert_eq!(header("openai-organization"), None);
        assert_eq!(header("content-length"), None);
        assert_eq!(header("accept-encoding"), Some("identity"), "it has to be read here");
        assert_eq!(header("x-trace"), Some("t-1"));
        assert_eq!(header("anthropic-version").is_some(), kind == Kind::Anthropic);
    }
}

#[test]
fn one_dialect_on_both_sides_passes_byte_for_byte() {
    let odd = b"{ \"model\" : \"m\",  \"messages\":[], \"n\": 1.0 }\n";
    for (kind, target) in [
        (Kind::OpenAi, CHAT),
        (Kind::OpenAi, "/v1/messages"),
        (Kind::Anthropic, "/v1/messages?beta=true"),
        (Kind::Anthropic, "/v1/messages/count_tokens"),
        (Kind::Gemini, "/v1beta/models/g:generateContent"),
    ] {
        let (outgoing, reading) = Adapter::new(kind).prepare(outgoing(target, &[], odd), None).unwrap();
        assert_eq!((sent(&outgoing), outgoing.target.as_str()), (&odd[..], target));
        assert_eq!(reading, Reading::AsIs);
    }
}

#[test]
fn azure_has_a_path_for_each_operation() {
    let body = br#"{"model": "gpt 4", "input": "x"}"#;
    let api = Api { kind: Kind::AzureOpenAi, ..Api::default() };
    let bare = Adapter::of(api.clone());
    let versioned = Adapter::of(Api { api_version: Some("2024-10-21".into()), ..api });
    for (adapter, asked, target) in [
        (&versioned, CHAT, "/openai/deployments/gpt%204/chat/completions?api-version=2024-10-21"),
        (&versioned, "/v1/embeddings", "/openai/deployments/gpt%204/embeddings?api-version=2024-10-21"),
        (&versioned, "/v1/responses", "/openai/responses?api-version=2024-10-21"),
        (&versioned, "/openai/models?x=1", "/openai/models?x=1"),
        (&bare, CHAT, "/openai/v1/chat/completions"),
    ] {
        let (outgoing, reading) = adapter.prepare(outgoing(asked, &[], body), None).unwrap();
        assert_eq!(outgoing.target.as_str(), target);
        assert_eq!(sent(&outgoing), body);
        assert_eq!(reading, Reading::AsIs);
    }
    assert!(bare.prepare(outgoing("/v1/messages", &[], body), None).is_err());
    assert!(versioned.prepare(outgoing(CHAT, &[], b"{}"), None).is_err(), "no deployment is named");
}

/// What is refused, by the field that the fault names.
#[test]
fn what_has_no_counterpart_is_refused_by_name() {
    let both = [Kind::Anthropic, Kind::Gemini];
    let cases: [(&[Kind], Value, &str); 24] = [
        (&both, json!({"logprobs": true}), "`logprobs`"),
        (&both, json!({"logit_bias": {"5": 1}}), "`logit_bias`"),
        (&both, json!({"modalities": ["text", "audio"]}), "`modalities`"),
        (&both, json!({"functions": [{"name": "f"}]}), "`functions`"),
        (&both, json!({"web_search_options": {}}), "`web_search_options`"),
        (&both, json!({"verbosity": "high"}), "`verbosity`"),
        (&both, json!({"tools": [{"type": "custom", "custom": {"name": "f"}}]}), "`tools[0].type`"),
        (&both, json!({"tool_choice": {"type": "allowed_tools"}}), "`tool_choice.type`"),
        (&both, json!({"response_format": {"type": "grammar"}}), "`response_format.type`"),
        (
            &both,
            json!({"messages": [{"role": "function", "name": "f", "content": "x"}]}),
            "`messages[0].role`",
        ),
        (&both, json!({"messages": [{"role": "user", "name": "Ann", "content": "x"}]}), "`messages[0].name`"),
        (
            &both,
            json!({"messages": [{"role": "user", "content": [{"type": "video"}]}]}),
            "`messages[0].content[0].type`",
        ),
        (
            &both,
            json!({"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]}),
            "`messages[0].content[0].file.file_id`",
        ),
        (
            &both,
            json!({"messages": [{"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "[1"}}]}]}),
            "`messages[0].tool_calls[0].function.arguments`",
        ),
        (&both, json!({"messages": []}), "`messages`"),
        (&both, json!({"model": 5}), "`model`"),
        (&[Kind::Anthropic], json!({"n": 2}), "`n`"),
        (&[Kind::Anthropic], json!({"temperature": 1.5}), "`temperature`"),
        (&[Kind::Anthropic], json!({"presence_penalty": 0.5}), "`presence_penalty`"),
        (&[Kind::Anthropic], json!({"response_format": {"type": "json_object"}}), "`response_format.type`"),
        (
            &[Kind::Anthropic],
            json!({"reasoning_effort": "none", "thinking": {"type": "enabled", "budget_tokens": 2048}}),
            "`thinking`",
        ),
        (
            &[Kind::Gemini],
            json!({"tools": [{"type": "function", "function": {"name": "f"}}], "parallel_tool_calls": false}),
            "`parallel_tool_calls`",
        ),
        (
            &[Kind::Gemini],
            json!({"temperature": 1, "generationConfig": {"temperature": 2}}),
            "`generationConfig.temperature`",
        ),
        (
            &[Kind::Gemini],
            json!({"messages": [{"role": "tool", "tool_call_id": "c", "content": "x"}]}),
            "`messages[0].tool_call_id`",
        ),
    ];
    for (kinds, more, named) in cases {
        for kind in kinds {
            let mut request =
                json!({"model": "m", "messages": [{"role": "user", "content": "secret words"}]});
            for (name, value) in more.as_object().unwrap() {
                request[name] = value.clone();
            }
            let Err(fault) = prepare(*kind, &request.to_string()) else { panic!("{more} was taken") };
            assert_eq!(fault.kind, Wrong::InvalidRequest);
            assert!(fault.message.contains(named), "{kind:?} {more}: {fault}");
            assert!(!fault.message.contains("secret"), "{fault}");
        }
    }
}

#[test]
fn a_dialect_without_counterpart_is_refused() {
    for kind in [Kind::Anthropic, Kind::Gemini] {
        for path in ["/v1/embeddings", "/v1/completions", "/v1/responses"] {
            let Err(fault) = Adapter::new(kind).prepare(outgoing(path, &[], b"{}"), None) else {
                panic!("{path} was taken");
            };
            assert!(fault.message.contains(Dialect::of_path(path).unwrap().word()), "{fault}");
        }
    }
}

#[test]
fn what_openai_does_not_name_goes_where_the_provider_has_a_place() {
    let request = json!({
        "model": "m", "top_k": 40, "thinking": {"type": "enabled", "budget_tokens": 1024},
        "safetySettings": [{"category": "x"}], "generationConfig": {"topK": 3},
        "messages": [{"role": "user", "content": [{"type": "text", "text": "a", "citations": {"enabled": true}}]}],
        "tools": [{"type": "function", "cache_control": {"type": "ephemeral"}, "function": {"name": "f", "x": 1}}],
    });
    let theirs = translated(Kind::Anthropic, &request);
    assert_eq!(theirs["top_k"], 40);
    assert_eq!(theirs["thinking"]["budget_tokens"], 1024);
    assert_eq!(theirs["messages"][0]["content"][0]["citations"]["enabled"], true);
    assert_eq!(theirs["tools"][0]["cache_control"]["type"], "ephemeral");
    assert_eq!(theirs["tools"][0]["x"], 1);
    let theirs = translated(Kind::Gemini, &request);
    assert_eq!(theirs["safetySettings"][0]["category"], "x");
    assert_eq!(theirs["generationConfig"]["topK"], 3);
    assert_eq!(theirs["tools"][0]["functionDeclarations"][0].get("cache_control"), None);
}

#[test]
fn thinking_and_its_signatures_come_back_to_whom_they_are_from() {
    let request = |model: &str, extra: &str| {
        json!({"model": model, "messages": [
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": "b", "reasoning_content": "dropped",
             "thinking_blocks": [{"type": "thinking", "thinking": "t", "signature": "s"}],
             "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"},
                "extra_content": {"google": {extra: "g"}}}]},
            {"role": "tool", "tool_call_id": "c", "content": "d"},
        ]})
    };
    let said =
        translated(Kind::Anthropic, &request("m", "thought_signature"))["messages"][1]["content"].clone();
    assert_eq!(said[0], json!({"type": "thinking", "thinking": "t", "signature": "s"}));
    assert_eq!(said[1]["text"], "b");
    let signature = |model: &str, extra: &str| {
        let request = translated(Kind::Gemini, &request(model, extra));
        request["contents"][1]["parts"][1]["thoughtSignature"].clone()
    };
    assert_eq!(signature("gemini-3-pro", "thought_signature"), "g");
    assert_eq!(signature("gemini-3-pro", "none"), "skip_thought_signature_validator");
    assert_eq!(signature("gemini-2.5-pro", "none"), Value::Null);
}

#[test]
fn reasoning_effort_follows_the_generation_of_the_model() {
    let config = |model: &str, effort: &str| {
        let request = json!({"model": model, "messages": [{"role": "user", "content": "a"}], "reasoning_effort": effort});
        translated(Kind::Gemini, &request)["generationConfig"]["thinkingConfig"].clone()
    };
    assert_eq!(config("gemini-2.5-flash", "low"), json!({"thinkingBudget": 1024}));
    assert_eq!(config("gemini-2.5-flash", "high"), json!({"thinkingBudget": 24576}));
    assert_eq!(config("models/gemini-2.5-pro", "none"), json!({"thinkingBudget": 0}));
    assert_eq!(config("gemini-3.1-pro", "medium"), json!({"thinkingLevel": "medium"}));
    assert_eq!(config("gemini-flash-latest", "low"), json!({"thinkingLevel": "low"}));
}

#[test]
fn a_limit_is_sent_to_anthropic_in_any_case() {
    let adapter = Adapter::of(Api { kind: Kind::Anthropic, max_tokens: 777, ..Api::default() });
    for (given, expected) in
        [("", 777), (",\"max_tokens\":5", 5), (",\"max_tokens\":5,\"max_completion_tokens\":6", 6)]
    {
        let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"a"}}]{given}}}"#);
        let (outgoing, _) = adapter.prepare(outgoing(CHAT, &[], body.as_bytes()), None).unwrap();
        let sent = tree(std::str::from_utf8(sent(&outgoing)).unwrap());
        assert_eq!((&sent["max_tokens"], &sent["model"]), (&json!(expected), &json!("m")));
    }
}

proptest! {
    /// Text in any place arrives as it was sent, to every provider.
    #[test]
    fn text_is_never_altered(system in "\\PC{1,20}", question in "\\PC{1,40}", result in "[^{]\\PC{0,20}") {
        let request = json!({"model": "m", "messages": [
            {"role": "system", "content": system}, {"role": "user", "content": question},
            {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": json!({"q": question}).to_string()}}]},
            {"role": "tool", "tool_call_id": "c", "content": result},
        ]});
        let theirs = translated(Kind::Anthropic, &request);
        prop_assert_eq!(&theirs["system"][0]["text"], &json!(system));
        prop_assert_eq!(&theirs["messages"][0]["content"][0]["text"], &json!(question));
        prop_assert_eq!(&theirs["messages"][1]["content"][0]["input"]["q"], &json!(question));
        prop_assert_eq!(&theirs["messages"][2]["content"][0]["content"][0]["text"], &json!(result));
        let theirs = translated(Kind::Gemini, &request);
        prop_assert_eq!(&theirs["systemInstruction"]["parts"][0]["text"], &json!(system));
        prop_assert_eq!(&theirs["contents"][0]["parts"][0]["text"], &json!(question));
        prop_assert_eq!(&theirs["contents"][1]["parts"][0]["functionCall"]["args"]["q"], &json!(question));
        prop_assert_eq!(&theirs["contents"][2]["parts"][0]["functionResponse"]["response"]["output"], &json!(result));
    }
}
