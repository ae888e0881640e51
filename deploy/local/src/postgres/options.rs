//! This module holds the options of a server for a test or `make run`.

use std::path::PathBuf;

/// How a server is set up. The default is durable: `fsync` and `synchronous_commit` on.
#[derive(Debug, Clone, Default)]
pub struct PostgresOptions {
    /// Where data and log live; a throwaway folder when absent.
    pub folder: Option<PathBuf>,
    /// A free one when absent.
    pub port: Option<u16>,
    /// Configuration parameters, such as `("max_connections", "300")`. Later ones win.
    pub settings: Vec<(String, String)>,
    /// Environment of the server, such as the folder of its locales.
    pub environment: Vec<(String, String)>,
    /// The server detects damaged pages.
    pub checksums: bool,
}

impl PostgresOptions {
    /// For data that may be lost with the machine, not with the process: commits do not wait for the disk, which is
    /// several times faster where many tests commit. A killed server still recovers every commit.
    pub fn throwaway() -> Self {
        Self::default().set("fsync", "off").set("full_page_writes", "off")
    }

    /// Adds a configuration parameter.
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds a variable to the environment of the server.
    pub fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn with_checksums(mut self) -> Self {
        self.checksums = true;
        self
    }

    pub fn in_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    pub fn on_port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    pub(super) fn is_durable(&self) -> bool {
        !self.settings.iter().any(|(name, value)| name == "fsync" && value == "off")
    }
}
