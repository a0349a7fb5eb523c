//! Writes the man pages of all commands: `cargo run --example man -- FOLDER`. Kept out of the daemon, which never needs them.

use std::{env, fs, io, path::Path, process::ExitCode};

use clap::CommandFactory as _;
use vestibule::cli::Cli;

fn main() -> ExitCode {
    let Some(folder) = env::args_os().nth(1) else {
        eprintln!("name the folder for the pages: cargo run --example man -- target/man");
        return ExitCode::from(2);
    };
    match pages(Path::new(&folder)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", Path::new(&folder).display());
            ExitCode::FAILURE
        }
    }
}

/// One page for each command: `vestibule.1`, `vestibule-held-release.1`.
pub(crate) fn pages(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    clap_mangen::generate_to(Cli::command(), folder)
}
