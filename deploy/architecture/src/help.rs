//! This module compares a program's `--help` with its README. A program's own test runs it, since only that test has the program.
//!
//! - Every subcommand states its exit statuses, and its settings if the program has some.
//! - The README names every subcommand, and no setting or flag that no `--help` lists.

use std::{collections::BTreeSet, process::Command};

/// What to compare.
pub struct ProgramHelp<'a> {
    pub name: &'a str,
    /// Start of its settings' names, such as `SHOP_`; empty if it has no settings.
    pub prefix: &'a str,
    pub readme: &'a str,
    /// Prints the help of the subcommand with these names.
    pub help: &'a dyn Fn(&[&str]) -> String,
    /// Names and flags in the README that belong to other programs or to a user's file.
    pub of_others: &'a [&'a str],
}

/// Runs the program with `--help`, without variables.
///
/// # Panics
///
/// Panics if the program does not start or does not exit with 0.
pub fn printed_by(program: &str) -> impl Fn(&[&str]) -> String {
    move |of| {
        let output = Command::new(program).args(of).arg("--help").env_clear().output().expect("the program starts");
        assert!(output.status.success(), "`{program} {} --help`: {}", of.join(" "), output.status);
        String::from_utf8(output.stdout).expect("help is UTF-8")
    }
}

/// The names below `Commands:`, except `help`.
fn subcommands(help: &str) -> Vec<String> {
    let listed = help.split_once("Commands:\n").map_or("", |(_, rest)| rest).split("\n\n").next().unwrap_or_default();
    let names = listed.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    names.filter(|name| !matches!(*name, "" | "help")).map(str::to_owned).collect()
}

/// Words of `text` that begin with `start` and consist of parts after it.
fn words<'a>(text: &'a str, start: &str, is_part: fn(char) -> bool) -> BTreeSet<&'a str> {
    let begins = text.match_indices(start).map(|(at, _)| at);
    begins
        .filter(|at| !text[..*at].chars().next_back().is_some_and(|before| is_part(before) || before == '-'))
        .map(|at| text[at..].split(|character| !is_part(character)).next().unwrap_or_default())
        .filter(|word| word.len() > start.len() && !word.ends_with(['_', '-']))
        .collect()
}

fn flags(text: &str) -> BTreeSet<&str> {
    words(text, "--", |character| character.is_ascii_lowercase() || character == '-')
}

impl ProgramHelp<'_> {
    fn settings<'t>(&self, text: &'t str) -> BTreeSet<&'t str> {
        if self.prefix.is_empty() {
            return BTreeSet::new();
        }
        words(text, self.prefix, |character| character.is_ascii_uppercase() || character.is_ascii_digit() || character == '_')
    }

    /// Help texts of the program and of every subcommand, by name.
    fn texts(&self, of: &[&str], texts: &mut Vec<(String, String)>) {
        let text = (self.help)(of);
        for name in subcommands(&text) {
            let below: Vec<_> = of.iter().copied().chain([name.as_str()]).collect();
            self.texts(&below, texts);
        }
        texts.push((of.join(" "), text));
    }

    /// Every way in which README and help disagree, a sentence each.
    pub fn contradictions(&self) -> Vec<String> {
        let mut texts = Vec::new();
        self.texts(&[], &mut texts);
        let mut found = Vec::new();
        let alone = texts.len() == 1;
        for (name, text) in texts.iter().filter(|(name, _)| alone || !name.is_empty()) {
            if !text.contains("Exit status:") {
                found.push(format!("`{} {name} --help` states no exit status", self.name));
            }
            if !self.prefix.is_empty() && self.settings(text).is_empty() {
                found.push(format!("`{} {name} --help` lists no setting", self.name));
            }
            let is_first = !name.is_empty() && !name.contains(' ');
            if is_first && !["`", " "].iter().any(|before| self.readme.contains(&format!("{before}{} {name}", self.name))) {
                found.push(format!("the README does not name `{} {name}`", self.name));
            }
        }
        let whole: String = texts.into_iter().map(|(_, text)| text).collect();
        let listed = self.settings(&whole);
        for name in self.settings(self.readme) {
            let secret = name.strip_suffix("_FILE").unwrap_or(name);
            if !listed.contains(secret) && !self.of_others.contains(&name) {
                found.push(format!("the README names {name}, which no --help lists"));
            }
        }
        let listed = flags(&whole);
        for flag in flags(self.readme) {
            if !listed.contains(flag) && !self.of_others.contains(&flag) {
                found.push(format!("the README names {flag}, which no --help lists"));
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELP: &str = "Sell\n\nCommands:\n  serve  Serve\n  help   Print this\n\nOptions:\n      --quiet";
    const SERVE: &str = "Options:\n      --port <PORT>\n\nSHOP_NAME  name\nExit status: 0 success";

    fn found(readme: &str, serve: &str) -> Vec<String> {
        let help = |of: &[&str]| if of.is_empty() { HELP.to_owned() } else { serve.to_owned() };
        ProgramHelp { name: "shop", prefix: "SHOP_", readme, help: &help, of_others: &["--release"] }.contradictions()
    }

    #[test]
    fn agreement_is_accepted() {
        let readme = "Run `shop serve --port 1`, or `cargo run --release`; `SHOP_NAME_FILE` and `SHOP_*` are settings.";
        assert_eq!(found(readme, SERVE), Vec::<String>::new());
    }

    #[test]
    fn each_contradiction_is_found() {
        assert_eq!(found("shop", SERVE), ["the README does not name `shop serve`"]);
        assert_eq!(found("`shop serve` SHOP_NAMES", SERVE), ["the README names SHOP_NAMES, which no --help lists"]);
        assert_eq!(found("`shop serve --ports`", SERVE), ["the README names --ports, which no --help lists"]);
        assert_eq!(found("`shop serve`", "SHOP_NAME"), ["`shop serve --help` states no exit status"]);
        assert_eq!(found("`shop serve`", "Exit status: 0"), ["`shop serve --help` lists no setting"]);
    }
}
