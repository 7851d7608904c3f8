//! The process: its exit code, its standard error, and the two things that are global: the allocator and the TLS
//! provider.

use clap::Parser;
use reprise::cli::Cli;
use std::io::Write;
use std::process::ExitCode;

/// A request makes and drops some eighty small things; the C library's allocator takes a twentieth of a miss's CPU
/// more for that.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    // An error means that one is installed already, which serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match cli.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Nowhere is left to tell that standard error is closed.
            let _ = writeln!(std::io::stderr().lock(), "{failure}");
            ExitCode::FAILURE
        }
    }
}
