//! Which configuration file a command uses.

use std::path::{Path, PathBuf};

use super::Failure;
use crate::config::{self, Config};

/// Where a configuration is looked for when none is named, in this order.
const SEARCHED: [&str; 2] = ["vestibule.toml", "/etc/vestibule/vestibule.toml"];

/// `--config`, shared by all commands that read the configuration.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct ConfigFile {
    /// Configuration file [default: ./vestibule.toml, then /etc/vestibule/vestibule.toml]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl ConfigFile {
    /// The file named, or the first that is there.
    pub(crate) fn find(&self) -> Result<PathBuf, Failure> {
        if let Some(named) = &self.config {
            return Ok(named.clone());
        }
        let found = SEARCHED.iter().map(Path::new).find(|path| path.exists());
        found.map(Path::to_path_buf).ok_or_else(|| {
            Failure::invalid(format!(
                "no configuration: neither ./{} nor {} is there; name one with --config FILE",
                SEARCHED[0], SEARCHED[1]
            ))
        })
    }

    /// Reads it; its mistakes are shown as a report with the lines they stand in.
    pub(crate) fn load(&self) -> Result<Config, Failure> {
        let path = self.find()?;
        config::load(&path).map_err(|errors| Failure::Invalid(errors.render(colored()).trim_end().to_owned()))
    }

    /// Whether a file was named.
    pub(crate) fn is_named(&self) -> bool {
        self.config.is_some()
    }
}

/// Whether standard error takes colours: a terminal, and nobody said `NO_COLOR` (no-color.org).
pub(crate) fn colored() -> bool {
    use std::io::IsTerminal;
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_file_is_taken_as_it_is() {
        let file = ConfigFile { config: Some("there/is/none.toml".into()) };
        assert_eq!(file.find().unwrap(), PathBuf::from("there/is/none.toml"));
        assert!(file.is_named());
    }
}
