//! `reprise convert`: our config out of another gateway's.
//!
//! ```text
//! config.yaml ─ yaml (members with their lines) ─> litellm ─┬ Fleet ─ write ─> our TOML, on stdout
//!                                                           └ notes: what was not carried, on stderr
//! ```
//!
//! | file | has |
//! |---|---|
//! | `yaml` | members taken one by one, each with its line; what is left is noted |
//! | `litellm` | LiteLLM's `config.yaml`, section by section |
//! | `deployment` | one entry of its `model_list` |
//! | `provider` | what LiteLLM's providers are here |
//! | `write` | models and upstreams as TOML |

mod deployment;
mod litellm;
mod provider;
mod write;
mod yaml;

pub use yaml::Note;

use super::{Failure, say};
use std::fs;
use std::io::Write;
use std::path::PathBuf;

#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(subcommand)]
    from: From,
}

#[derive(clap::Subcommand, Debug)]
enum From {
    /// From LiteLLM's config.yaml: model_list, router_settings and fallbacks. What could not be carried is
    /// listed on stderr, with its line
    Litellm {
        /// LiteLLM's config.yaml
        file: PathBuf,
    },
}

/// Our config, and what is not in it.
#[derive(Debug)]
pub struct Converted {
    pub toml: String,
    /// By line.
    pub notes: Vec<Note>,
}

/// Converts the text of LiteLLM's `config.yaml`. No secret is ever in what comes back: a key that is
/// written out becomes the name of a variable, and a note.
///
/// # Errors
/// What is wrong with the text, with its line, where it is no YAML or has no `model_list`.
pub fn litellm(text: &str) -> Result<Converted, String> {
    litellm::convert(text)
}

/// Writes our config to `out`, and what was not carried to `notes`.
///
/// # Errors
/// A file that cannot be read or is no such config.
pub fn run(args: Args, out: &mut dyn Write, notes: &mut dyn Write) -> Result<(), Failure> {
    let From::Litellm { file } = args.from;
    let name = file.display();
    let text = fs::read_to_string(&file).map_err(|wrong| {
        Failure::other(format!("cannot read {name}: {wrong}; give LiteLLM's config.yaml"))
    })?;
    let converted = litellm(&text).map_err(|wrong| Failure::other(format!("{name}:{wrong}")))?;
    say(out, converted.toml.trim_end())?;
    if !converted.notes.is_empty() {
        say(notes, &format!("{name}: not carried, or to be looked at:"))?;
    }
    for note in &converted.notes {
        say(notes, &format!("  {note}"))?;
    }
    Ok(())
}
