//! Configs of other gateways, as ours.

use super::golden;
use reprise::cli::convert::litellm;
use reprise::config::routing::Strategy;
use reprise::config::{Config, Flags, Source};

const LITELLM: &str = include_str!("../golden/kinds/litellm.yaml");

#[test]
fn litellms_config_becomes_ours_and_what_is_missing_is_told_with_its_line() {
    let _golden = golden();
    let converted = litellm(LITELLM).unwrap();
    let notes: Vec<String> = converted.notes.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!("litellm.toml", converted.toml);
    insta::assert_snapshot!("litellm.notes", notes.join("\n"));
}

#[test]
fn what_comes_out_reads_cleanly_once_its_one_note_of_an_address_is_heeded() {
    let toml = litellm(LITELLM).unwrap().toml;
    let keys =
        ["AZURE_EU_KEY", "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "ODD_KEY", "OTHER_KEY"];
    let environment = keys.map(|name| (name.to_owned(), "sk-x".to_owned()));
    let read =
        |text: &str| Config::read_text(&Source::new(None, environment.clone(), Flags::default()), text);
    let problems = read(&toml).unwrap_err().list;
    let places: Vec<&str> = problems.iter().map(|problem| problem.key.as_str()).collect();
    // The second follows from the first.
    assert_eq!(places, ["upstream.url", "model.deployment.upstream"], "{problems:?}");

    let config = read(&toml.replace("os.environ/OTHER_BASE", "http://10.0.0.6")).unwrap();
    assert_eq!(config.router.strategy, Strategy::Latency);
    let model = config.models.iter().find(|model| model.name == "gpt-4o").unwrap();
    let weights: Vec<(u32, u32)> = model.deployments.iter().map(|one| (one.weight, one.priority)).collect();
    assert_eq!(weights, [(600, 1), (300, 2), (100, 3)]);
    assert_eq!(model.deployments[0].context_window, Some(128_000));
    assert!(model.answers_to("gpt-4"));
}

#[test]
fn no_secret_comes_out() {
    let converted = litellm(LITELLM).unwrap();
    let all = format!("{}{:?}", converted.toml, converted.notes);
    assert!(!all.contains("must-not-come-out"), "{all}");
}

#[test]
fn what_is_no_config_is_told_with_its_line() {
    for (text, told) in [
        ("a: b\n c: [", "2: is not YAML"),
        ("a: 1\na: 2", "2: is not YAML: duplicated key"),
        ("[1]", "1: is no mapping"),
        ("", "1: is no mapping"),
        ("router_settings: {}", "1: has no model_list"),
    ] {
        let wrong = litellm(text).unwrap_err();
        assert!(wrong.starts_with(told), "{text:?}: {wrong}");
    }
}

#[test]
fn values_of_the_wrong_kind_are_noted_and_left_out() {
    let text = "
model_list:
  - model_name: a
    litellm_params: {model: openai/b, rpm: many, tpm: -5, weight: 0, api_base: [1]}
  - just text
  - litellm_params: {model: openai/c}
";
    let notes: Vec<String> = litellm(text).unwrap().notes.iter().map(ToString::to_string).collect();
    let lines: Vec<&str> = notes.iter().filter_map(|note| note.split(':').next()).collect();
    assert_eq!(lines, ["4", "5", "6"], "{notes:?}");
}

#[test]
fn the_command_writes_the_config_and_lists_what_is_missing_apart() {
    use clap::Parser;
    use std::process::{Command, Stdio};
    // Its arguments are read as the binary reads them.
    assert!(reprise::cli::Cli::try_parse_from(["reprise", "convert", "litellm", "x.yaml"]).is_ok());
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("config.yaml");
    std::fs::write(&file, LITELLM).unwrap();
    let run = Command::new(env!("CARGO_BIN_EXE_reprise"))
        .args(["convert", "litellm"])
        .arg(&file)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(run.status.success());
    let (out, notes) = (String::from_utf8(run.stdout).unwrap(), String::from_utf8(run.stderr).unwrap());
    assert_eq!(out.trim_end(), litellm(LITELLM).unwrap().toml.trim_end());
    assert!(notes.contains("not carried") && notes.contains("bedrock"), "{notes}");
}
