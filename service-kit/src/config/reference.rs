//! This module prints the settings of a program as a table.

/// One setting that a program asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    pub name: String,
    /// `None` when the setting is required.
    pub default: Option<String>,
    pub help: String,
    /// A secret may also come from the file that `<name>_FILE` names.
    pub secret: bool,
}

impl Setting {
    /// The variables that hold this setting.
    pub fn variables(&self) -> impl Iterator<Item = String> + use<> {
        [Some(self.name.clone()), self.secret.then(|| format!("{}_FILE", self.name))].into_iter().flatten()
    }
}

pub(super) fn table(settings: &[Setting]) -> String {
    let name = |setting: &Setting| if setting.secret { format!("{}[_FILE]", setting.name) } else { setting.name.clone() };
    let default = |setting: &Setting| setting.default.clone().unwrap_or_else(|| "required".into());
    let names = settings.iter().map(|setting| name(setting).len()).max().unwrap_or(0);
    let defaults = settings.iter().map(|setting| default(setting).len()).max().unwrap_or(0);
    settings
        .iter()
        .map(|setting| format!("{:names$}  {:defaults$}  {}\n", name(setting), default(setting), setting.help))
        .collect()
}
