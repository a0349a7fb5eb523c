//! Flags, command, exit code.

use std::process::ExitCode;

use clap::Parser as _;
use tikv_jemallocator::Jemalloc;
use vestibule::cli::{self, Cli};

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    // Before any TLS is spoken: rustls takes no side by itself when several providers are compiled in.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        eprintln!("vestibule: a TLS provider was installed before main; going on with that one");
    }
    match cli::run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let text = failure.to_string();
            if !text.is_empty() {
                eprintln!("{text}");
            }
            failure.exit_code()
        }
    }
}
