//! This module reads the settings of a program from its `--help`: names, defaults, which are required. It must not know a setting.

use std::{collections::BTreeMap, path::Path, process::Command};

use anyhow::{Context, Result, bail};

/// Settings of one role of a program.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProgramSettings {
    /// Default by name; `required` and `unset` as printed. A secret is also accepted as `<name>_FILE`.
    defaults: BTreeMap<String, String>,
    files: Vec<String>,
}

/// Settings by program and role.
pub type Roles = BTreeMap<(String, String), ProgramSettings>;

/// Arguments that print the settings of a role.
const ROLES: [(&str, &str, &[&str]); 10] = [
    ("exchange", "serve", &["serve", "--help"]),
    ("exchange", "worker", &["worker", "--help"]),
    ("exchange", "migrate", &["migrate", "--help"]),
    ("exchange", "probe", &["probe", "--help"]),
    ("exchange", "publish", &["publish", "--help"]),
    ("alertbot", "serve", &["serve", "--help"]),
    ("backup", "", &["--help"]),
    ("logship", "relay", &["--help"]),
    ("logship", "watch", &["--help"]),
    ("logship", "apply", &["--help"]),
];

/// Asks every program of a folder for its settings.
///
/// # Errors
/// Returns an error if a program is missing, fails, or prints no setting.
pub fn of_programs(folder: &Path) -> Result<Roles> {
    let mut roles = Roles::new();
    for (program, role, arguments) in ROLES {
        let path = folder.join(program);
        let output = Command::new(&path)
            .args(arguments)
            .output()
            .with_context(|| format!("{} does not run; build the programs with `make build`", path.display()))?;
        let settings = ProgramSettings::parse(&String::from_utf8_lossy(&output.stdout));
        if !output.status.success() || settings.defaults.is_empty() {
            bail!("`{program} {}` printed no settings", arguments.join(" "));
        }
        roles.insert((program.to_owned(), role.to_owned()), settings);
    }
    Ok(roles)
}

impl ProgramSettings {
    /// Reads the table of `--help`: name, default, explanation, with two or more spaces between them.
    pub fn parse(help: &str) -> Self {
        let mut settings = Self::default();
        for line in help.lines() {
            // Flags with a variable, as clap prints them.
            if let Some((name, _)) = line.split_once("[env: ").and_then(|(_, rest)| rest.split_once(['=', ']'])) {
                settings.defaults.insert(name.to_owned(), "unset".to_owned());
                continue;
            }
            let mut columns = line.trim().split("  ").filter(|column| !column.is_empty());
            let (Some(name), Some(default)) = (columns.next(), columns.next()) else { continue };
            let (name, file) = name.strip_suffix("[_FILE]").map_or((name, false), |name| (name, true));
            if !name.contains('_') || !name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
            {
                continue;
            }
            if file {
                settings.files.push(name.to_owned());
            }
            settings.defaults.insert(name.to_owned(), default.trim().to_owned());
        }
        settings
    }

    /// Whether the program reads a variable of this name.
    pub fn knows(&self, variable: &str) -> bool {
        let file = variable.strip_suffix("_FILE").is_some_and(|name| self.files.iter().any(|known| known == name));
        self.defaults.contains_key(variable) || file
    }

    /// Required settings that neither of their two variables sets.
    pub fn missing<'a>(&'a self, set: &'a [&str]) -> impl Iterator<Item = &'a str> {
        self.defaults
            .iter()
            .filter(|(_, default)| *default == "required")
            .map(|(name, _)| name.as_str())
            .filter(|name| !set.iter().any(|variable| variable == name || variable.strip_suffix("_FILE") == Some(name)))
    }

    /// The default of a setting.
    pub fn default_of(&self, name: &str) -> Option<&str> {
        self.defaults.get(name).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELP: &str = "Serves\n\nA_SETTING                 required     what\nA_SECRET[_FILE]           required     what\nOTHER_TIME                20s          x\n      --config <CONFIG>  File [env: A_FLAG=] [default: x]\nOptions:\n  -h, --help  Print help\n";

    #[test]
    fn the_table_of_help_is_read() {
        let settings = ProgramSettings::parse(HELP);
        assert!(settings.knows("A_SETTING") && settings.knows("A_SECRET_FILE") && !settings.knows("A_SETTING_FILE"));
        assert!(settings.knows("A_FLAG") && !settings.knows("A_SETING"));
        assert_eq!(settings.missing(&["A_SECRET_FILE"]).collect::<Vec<_>>(), ["A_SETTING"]);
        assert_eq!(settings.default_of("OTHER_TIME"), Some("20s"));
    }
}
