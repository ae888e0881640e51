//! The runbooks: their sections and the commands in them.

use crate::{files, read, stem};

/// The sections of every runbook, in this order.
pub const SECTIONS: &[&str] = &["Meaning", "Impact", "Diagnosis", "Mitigation", "Prevention"];

/// Runbooks of what no alert says by itself: those of alerts lead there. Their names begin as those of alerts do.
pub const WITHOUT_ALERT: &[&str] = &["BackupDatabaseLost", "RestoreFromShippedJournal"];

#[derive(Debug)]
pub struct Runbook {
    /// Or what [`WITHOUT_ALERT`] calls it.
    pub alert: String,
    pub text: String,
}

/// Every runbook.
pub fn runbooks() -> Vec<Runbook> {
    files("runbooks", "md").iter().map(|file| Runbook { alert: stem(file).to_owned(), text: read(file) }).collect()
}

impl Runbook {
    /// Headings of its sections.
    pub fn sections(&self) -> Vec<&str> {
        self.text.lines().filter_map(|line| line.strip_prefix("## ")).collect()
    }

    /// Lines of its shell blocks.
    pub fn commands(&self) -> Vec<&str> {
        let mut inside = false;
        let mut found = Vec::new();
        for line in self.text.lines().map(str::trim) {
            if line.starts_with("```") {
                inside = line == "```sh";
            } else if inside {
                found.push(line);
            }
        }
        found
    }

    /// What its commands look for in the log, alternatives apart.
    pub fn words_of_the_log(&self) -> Vec<&str> {
        let looked = self.commands().into_iter().filter_map(|command| {
            let pattern = command.strip_prefix("grep ")?.split_once(" \"$LOGS\"")?.0;
            let pattern =
                ["-h ", "-E "].into_iter().fold(pattern, |pattern, option| pattern.strip_prefix(option).unwrap_or(pattern));
            Some(pattern.trim_matches(['"', '\'']))
        });
        // Levels and other fields are no words of a program's.
        looked
            .filter(|pattern| !pattern.contains("\":\""))
            .flat_map(|pattern| pattern.split('|'))
            .map(|word| word.trim_end_matches('\\'))
            .collect()
    }

    /// SQL that its commands give to psql.
    pub fn statements(&self) -> Vec<String> {
        let statement = |command: &&str| {
            let (_, rest) = command.split_once("psql ")?;
            let (_, sql) = rest.split_once("c \"")?;
            sql.rsplit_once('"').map(|(sql, _)| sql.to_owned())
        };
        self.commands().iter().filter_map(statement).collect()
    }
}
