//! This module reads the environment into one struct and reports every fault at once.
//!
//! A program writes one function that builds its configuration from a [`SettingsReader`]. If a variable is missing or
//! malformed, the getter records a fault and returns a placeholder (`Default`), so the function always runs to its end.
//! [`load`] then returns either the struct or the whole list of faults. It must never return a struct with a placeholder.
//!
//! ```
//! use service_kit::config::{self, SettingsReader, Secret};
//!
//! struct Config { listen: String, queue_limit: u32, token: Secret }
//!
//! fn read(env: &mut SettingsReader) -> Config {
//!     Config {
//!         listen: env.required("SHOP_LISTEN", "host:port of the API"),
//!         queue_limit: env.or("SHOP_QUEUE_LIMIT", 4096, "commands waiting before new ones are refused"),
//!         token: env.secret("SHOP_TOKEN", "shared by the replicas"),
//!     }
//! }
//!
//! let faults = config::load("SHOP", [("SHOP_LISTN", "127.0.0.1:80")], read).err().unwrap();
//! assert_eq!(faults.len(), 3); // SHOP_LISTEN and SHOP_TOKEN are missing, SHOP_LISTN is unknown
//! ```

mod duration;
mod fault;
mod reader;
mod reference;
mod secret;
mod service_link;

#[cfg(test)]
mod tests;

use std::ffi::OsString;

pub use fault::{ConfigFaults, Fault, nearest};
pub use reader::SettingsReader;
pub use reference::Setting;
pub use secret::{Secret, SecretBytes};

/// Builds a configuration from `variables` (a program passes `std::env::vars_os()`).
///
/// `prefix` belongs to the program (`SHOP` for `SHOP_*`). A variable with this prefix that `read` did not ask for is a
/// fault, since it is most often a misspelt name. Variables of a Kubernetes service link are ignored, see
/// [`SettingsReader::service_links`].
///
/// # Errors
/// Returns every fault. The caller prints them and exits with [`crate::EXIT_CONFIG`].
pub fn load<Name, Value, Config>(
    prefix: &str,
    variables: impl IntoIterator<Item = (Name, Value)>,
    read: impl FnOnce(&mut SettingsReader) -> Config,
) -> Result<Config, ConfigFaults>
where
    Name: Into<OsString>,
    Value: Into<OsString>,
{
    let mut reader = SettingsReader::new(prefix, variables);
    let config = read(&mut reader);
    reader.finish()?;
    Ok(config)
}

/// Lists the settings that `read` asks for, in the same order, without reading a variable. For `--help` and manuals.
pub fn settings<Config>(prefix: &str, read: impl FnOnce(&mut SettingsReader) -> Config) -> Vec<Setting> {
    let mut reader = SettingsReader::new(prefix, std::iter::empty::<(OsString, OsString)>());
    read(&mut reader);
    reader.into_settings()
}

/// [`settings`] as an aligned table of name, default and help.
pub fn reference<Config>(prefix: &str, read: impl FnOnce(&mut SettingsReader) -> Config) -> String {
    reference::table(&settings(prefix, read))
}
