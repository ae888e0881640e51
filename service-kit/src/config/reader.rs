//! This module holds the getters: one variable in, one value or one fault out.

use std::{collections::BTreeMap, ffi::OsString, fmt::Display, fs, ops::RangeInclusive, str::FromStr, time::Duration};

use super::{ConfigFaults, Fault, Secret, SecretBytes, Setting, duration, fault, service_link::is_service_link};

/// Reads settings from a fixed set of variables and collects their faults.
#[derive(Debug)]
pub struct SettingsReader {
    prefix: String,
    variables: BTreeMap<String, OsString>,
    settings: Vec<Setting>,
    known: Vec<String>,
    faults: Vec<Fault>,
}

impl SettingsReader {
    pub(super) fn new<Name: Into<OsString>, Value: Into<OsString>>(
        prefix: &str,
        variables: impl IntoIterator<Item = (Name, Value)>,
    ) -> Self {
        // Programs ask for ASCII names only, so a name that is not UTF-8 belongs to another program.
        let variables =
            variables.into_iter().filter_map(|(name, value)| Some((name.into().into_string().ok()?, value.into()))).collect();
        Self { prefix: format!("{prefix}_"), variables, settings: Vec::new(), known: Vec::new(), faults: Vec::new() }
    }

    /// A setting without a default. If it is faulty, returns `T::default()`, which [`super::load`] then discards.
    pub fn required<T: FromStr<Err: Display> + Default>(&mut self, name: &str, help: &str) -> T {
        self.declare(name, None, help, false);
        match self.text(name) {
            Some(text) => self.parse(name, &text).unwrap_or_default(),
            None => {
                self.fault_unless_reported(name, "is missing", &format!("set it: {help}"));
                T::default()
            }
        }
    }

    /// A setting with a default.
    pub fn or<T: FromStr<Err: Display> + Display>(&mut self, name: &str, default: T, help: &str) -> T {
        self.declare(name, Some(default.to_string()), help, false);
        match self.text(name) {
            Some(text) => self.parse(name, &text).unwrap_or(default),
            None => default,
        }
    }

    /// A setting with a default and bounds, both inclusive.
    pub fn or_within<T>(&mut self, name: &str, default: T, bounds: RangeInclusive<T>, help: &str) -> T
    where
        T: FromStr<Err: Display> + Display + PartialOrd + Copy,
    {
        let value = self.or(name, default, help);
        if bounds.contains(&value) {
            return value;
        }
        let wrong = format!("is {value}, outside {} to {}", bounds.start(), bounds.end());
        self.push(name, &wrong, "choose a value within the bounds");
        default
    }

    /// A setting that may be absent. `help` states the effect of `None`.
    pub fn optional<T: FromStr<Err: Display>>(&mut self, name: &str, help: &str) -> Option<T> {
        self.declare(name, Some("unset".into()), help, false);
        let text = self.text(name)?;
        self.parse(name, &text)
    }

    /// A comma-separated list. Spaces around the items are ignored, and an absent variable is an empty list. An empty or repeated
    /// item is a fault: `a,,b` may lack a name, and `,` must not mean "all".
    pub fn list<T: FromStr<Err: Display>>(&mut self, name: &str, help: &str) -> Vec<T> {
        self.declare(name, Some("empty".into()), help, false);
        let Some(text) = self.text(name) else { return Vec::new() };
        let items: Vec<&str> = text.split(',').map(str::trim).collect();
        if items.contains(&"") {
            let wrong = format!("is {text:?}, which contains an empty item");
            self.push(name, &wrong, "write items separated by single commas; remove the variable for an empty list");
            return Vec::new();
        }
        if let Some((_, twice)) = items.iter().enumerate().find(|(place, item)| items[..*place].contains(item)) {
            self.push(name, &format!("contains {twice:?} twice"), "remove one of them");
            return Vec::new();
        }
        items.into_iter().filter_map(|item| self.parse(name, item)).collect()
    }

    /// A span of time, written as `250ms`, `3s`, `5m` or `2h`.
    pub fn duration(&mut self, name: &str, default: Duration, help: &str) -> Duration {
        self.declare(name, Some(duration::text(default)), help, false);
        let Some(text) = self.text(name) else { return default };
        duration::parse_duration(&text).unwrap_or_else(|| {
            self.push(name, &format!("is {text:?}, not a span of time"), "write it as 250ms, 3s, 5m or 2h");
            default
        })
    }

    /// A span of time with bounds, both inclusive: a limit of zero would refuse everything.
    pub fn duration_within(&mut self, name: &str, default: Duration, bounds: RangeInclusive<Duration>, help: &str) -> Duration {
        let value = self.duration(name, default, help);
        if bounds.contains(&value) {
            return value;
        }
        let [value, least, most] = [value, *bounds.start(), *bounds.end()].map(duration::text);
        self.push(name, &format!("is {value}, outside {least} to {most}"), "choose a value within the bounds");
        default
    }

    /// A secret: the value in `name`, or a path in `<name>_FILE`, but not both. One line end after the value in a
    /// file is removed. No fault ever shows the value.
    pub fn secret(&mut self, name: &str, help: &str) -> Secret {
        self.declare(name, None, help, true);
        self.secret_value(name).unwrap_or_else(|| {
            let remedy = format!("set it, or {name}_FILE to the path of a file that holds it: {help}");
            self.fault_unless_reported(name, "is missing", &remedy);
            Secret::default()
        })
    }

    /// A secret that may be absent.
    pub fn optional_secret(&mut self, name: &str, help: &str) -> Option<Secret> {
        self.declare(name, Some("unset".into()), help, true);
        self.secret_value(name)
    }

    /// A secret of exactly `N` bytes, written as `2 * N` hexadecimal digits.
    pub fn secret_bytes<const N: usize>(&mut self, name: &str, help: &str) -> SecretBytes<N> {
        let text = self.secret(name, help);
        if self.is_faulty(name) {
            return SecretBytes::default();
        }
        SecretBytes::from_hex(&text).unwrap_or_else(|| {
            let wrong = format!("is not {} hexadecimal digits", 2 * N);
            self.push(name, &wrong, &format!("make one with: openssl rand -hex {N}"));
            SecretBytes::default()
        })
    }

    /// Records a fault that only the program can see, such as two settings that contradict each other.
    ///
    /// Does nothing if `name` has a fault already: a rule about an unreadable value adds no information.
    pub fn fault(&mut self, name: &str, wrong: &str, remedy: &str) {
        self.fault_unless_reported(name, wrong, remedy);
    }

    /// Declares that `name` is a setting of another role of this program, so that it is not reported as unknown.
    pub fn known(&mut self, name: &str) {
        self.known.push(name.to_owned());
    }

    /// The variables with the program's prefix that Kubernetes sets for a service, except those already asked for.
    /// The program ignores them; telemetry logs a warning that names them.
    pub fn service_links(&self) -> Vec<String> {
        let asked: Vec<String> = self.asked().collect();
        let links = self.variables.iter().filter(|(name, value)| !asked.contains(name) && self.is_service_link(name, value));
        links.map(|(name, _)| name.clone()).collect()
    }

    fn is_service_link(&self, name: &str, value: &OsString) -> bool {
        name.strip_prefix(&self.prefix).is_some_and(|rest| is_service_link(rest, value))
    }

    fn asked(&self) -> impl Iterator<Item = String> {
        self.settings.iter().flat_map(Setting::variables).chain(self.known.iter().cloned())
    }

    pub(super) fn into_settings(self) -> Vec<Setting> {
        self.settings
    }

    pub(super) fn finish(mut self) -> Result<(), ConfigFaults> {
        let unknown: Vec<_> = self
            .variables
            .iter()
            .filter(|(name, _)| name.starts_with(&self.prefix) && !self.asked().any(|known| known == **name))
            .filter(|(name, value)| !self.is_service_link(name, value))
            .map(|(name, _)| fault::unknown(name, self.asked()))
            .collect();
        self.faults.extend(unknown);
        if self.faults.is_empty() { Ok(()) } else { Err(ConfigFaults::new(self.faults)) }
    }

    fn declare(&mut self, name: &str, default: Option<String>, help: &str, secret: bool) {
        self.settings.push(Setting { name: name.to_owned(), default, help: help.to_owned(), secret });
    }

    fn text(&mut self, name: &str) -> Option<String> {
        let value = self.variables.get(name)?.clone();
        match value.into_string() {
            Err(_) => self.push(name, "is not UTF-8", "remove the bytes that are not text"),
            Ok(text) if text.trim().is_empty() => self.push(name, "is empty", "set a value, or remove the variable"),
            Ok(text) => return Some(text),
        }
        None
    }

    fn parse<T: FromStr<Err: Display>>(&mut self, name: &str, text: &str) -> Option<T> {
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.push(name, &format!("is {text:?}, expected {}: {error}", expected::<T>()), "correct the value");
                None
            }
        }
    }

    fn secret_value(&mut self, name: &str) -> Option<Secret> {
        let file_name = format!("{name}_FILE");
        if !self.variables.contains_key(&file_name) {
            return self.text(name).map(Secret::from);
        }
        if self.variables.contains_key(name) {
            self.push(name, &format!("and {file_name} are both set"), "remove one of them");
            return None;
        }
        let path = self.text(&file_name)?;
        match fs::read_to_string(&path) {
            Err(error) => self.push(
                &file_name,
                &format!("names {path}, which cannot be read: {error}"),
                "correct the path or its permissions",
            ),
            Ok(text) => {
                let text = text.strip_suffix('\n').map_or(text.as_str(), |rest| rest.strip_suffix('\r').unwrap_or(rest));
                if !text.is_empty() {
                    return Some(Secret::from(text.to_owned()));
                }
                self.push(&file_name, &format!("names {path}, which is empty"), "write the secret into the file");
            }
        }
        None
    }

    fn is_faulty(&self, name: &str) -> bool {
        let file_name = format!("{name}_FILE");
        self.faults.iter().any(|fault| fault.name == name || fault.name == file_name)
    }

    fn fault_unless_reported(&mut self, name: &str, wrong: &str, remedy: &str) {
        if !self.is_faulty(name) {
            self.push(name, wrong, remedy);
        }
    }

    fn push(&mut self, name: &str, wrong: &str, remedy: &str) {
        self.faults.push(Fault { name: name.to_owned(), wrong: wrong.to_owned(), remedy: remedy.to_owned() });
    }
}

/// The type of a setting in words, for a reader who does not know Rust. Types without words appear by their name.
fn expected<T>() -> String {
    match std::any::type_name::<T>().rsplit("::").next().unwrap_or_default() {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number".to_owned(),
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number, negative or not".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "bool" => "true or false".to_owned(),
        "IpAddr" => "an IP address".to_owned(),
        "IpNet" => "an IP network such as 10.0.0.0/8".to_owned(),
        "SocketAddr" => "an address and port such as 127.0.0.1:8080".to_owned(),
        other => other.to_owned(),
    }
}
