//! Batches of embeddings taken apart and put together.

use proptest::prelude::*;
use reprise::wire::Dialect;
use reprise::wire::embeddings::{Input, apportion, inputs, merge, read_answer, rewrite};
use reprise::wire::request::{EmbeddingRequest, Request, read};
use reprise::wire::usage::Usage;

fn embedding(body: &str) -> EmbeddingRequest {
    match read(Dialect::Embeddings, body.as_bytes()).unwrap() {
        Request::Embedding(request) => request,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_batch_is_asked_for_in_part_with_all_else_as_it_was() {
    let raw = r#"{ "z":1.10, "input": ["a" , "b\u0041", "c"], "model":"e", "big":18446744073709551617 }"#;
    assert_eq!(inputs(&embedding(raw)), [Input::Text("a"), Input::Text("bA"), Input::Text("c")]);
    assert_eq!(
        rewrite(raw.as_bytes(), &[1, 2]).unwrap(),
        r#"{"z":1.10,"input":["b\u0041","c"],"model":"e","big":18446744073709551617}"#
    );
    assert!(rewrite(raw.as_bytes(), &[3]).is_err());
    for (input, count) in [("\"a\"", 1), ("[1,2]", 1), ("[[1,2],[3]]", 2), ("[]", 0)] {
        let raw = format!(r#"{{"model":"e","input":{input}}}"#);
        assert_eq!(inputs(&embedding(&raw)).len(), count, "{input}");
        assert_eq!(rewrite(raw.as_bytes(), &[0]).is_ok(), count > 0, "{input}");
    }
    assert_eq!(rewrite(br#"{"model":"e","input":[1,2]}"#, &[0]).unwrap(), r#"{"model":"e","input":[[1,2]]}"#);
}

#[test]
fn an_answer_is_taken_apart_and_put_together_digit_for_digit() {
    let body = r#"{"object":"list","data":[{"object":"embedding","index":1,"embedding":"AACAPw=="},
        {"object":"embedding","index":0,"embedding":[0.10000000149011612,-2e-10]}],"model":"e","usage":{"prompt_tokens":7,"total_tokens":7}}"#;
    let answer = read_answer(body.as_bytes(), 2).unwrap();
    assert_eq!(answer.usage.map(|usage| usage.prompt), Some(7));
    let [first, second] = answer.items.as_slice() else { panic!("two items") };
    let merged = merge(&[second, first, second], &answer.frame, answer.usage);
    assert_eq!(
        merged,
        r#"{"object":"list","data":[{"object":"embedding","embedding":"AACAPw==","index":0},{"object":"embedding","embedding":[0.10000000149011612,-2e-10],"index":1},{"object":"embedding","embedding":"AACAPw==","index":2}],"model":"e","usage":{"prompt_tokens":7,"total_tokens":7}}"#
    );
    assert_eq!(read_answer(&merged, 3).unwrap().items[1], *first);
}

#[test]
fn an_answer_that_does_not_fit_its_batch_is_refused() {
    let item = |index: &str| format!(r#"{{"index":{index},"embedding":[1]}}"#);
    let body = |items: &[String]| format!(r#"{{"data":[{}]}}"#, items.join(","));
    assert!(read_answer(body(&[item("0"), item("1")]).as_bytes(), 2).is_ok());
    let bad = [
        body(&[item("0")]),
        body(&[item("0"), item("0")]),
        body(&[item("0"), item("2")]),
        body(&[item("0"), item("-1")]),
        body(&[item("0"), item("1"), item("1")]),
        body(&[item("0"), r#"{"index":1}"#.to_owned()]),
        body(&[item("0"), r#"{"embedding":[1]}"#.to_owned()]),
        r#"{"error":{"message":"x"},"data":[]}"#.to_owned(),
        r#"{"data":{}}"#.to_owned(),
        "<html>".to_owned(),
    ];
    for body in bad {
        assert!(read_answer(body.as_bytes(), 2).is_err(), "{body}");
    }
}

proptest! {
    #[test]
    fn shares_of_the_usage_sum_to_it(prompt in any::<u64>(), cached in 0..1_000u64, lengths in prop::collection::vec(0..5_000usize, 1..20)) {
        let usage = Usage { prompt, cached, ..Usage::default() };
        let shares = apportion(usage, &lengths);
        prop_assert_eq!(shares.iter().map(|share| u128::from(share.prompt)).sum::<u128>(), u128::from(prompt));
        prop_assert_eq!(shares.iter().map(|share| share.cached).sum::<u64>(), cached);
        let total: usize = lengths.iter().sum();
        for (share, length) in shares.iter().zip(&lengths).filter(|_| total > 0) {
            let exact = prompt as f64 * *length as f64 / total as f64;
            prop_assert!((share.prompt as f64 - exact).abs() <= 1.0 + exact * 1e-9);
        }
    }
}

#[test]
fn nothing_is_shared_out_over_no_inputs() {
    assert!(apportion(Usage { prompt: 5, ..Usage::default() }, &[]).is_empty());
}
