//! This module reports the result of a restore and the duration of each stage.

use std::{
    fmt,
    future::Future,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Chosen, NotCreated, schedule::WrittenBy, selection::PartOf};
use crate::{
    layout::BackupId,
    manifest::{Manifest, ManifestDatabase},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RestoreStage {
    /// Schemas, types, functions, empty tables.
    Objects,
    /// Rows, large objects, and during this also indexes and statistics of large tables.
    Rows,
    /// All other objects that depend on rows, and privileges.
    After,
    /// Statistics of the remaining tables.
    Analyze,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RestoreReport {
    pub backup: BackupId,
    /// Name in the backup.
    pub database: String,
    /// Final name.
    pub target: String,
    /// Time of the restored state: everything committed before it.
    pub snapshot_at: Timestamp,
    pub tables: u64,
    pub rows: u64,
    pub raw_bytes: u64,
    pub seconds: f64,
    pub stages: Vec<(RestoreStage, f64)>,
    /// Objects that refer to the selected tables and were left out.
    pub omitted: Vec<String>,
    /// Objects that the server refused, if the restore was to continue.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<NotCreated>,
    /// Details of a partial restore; `None`: the whole database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<PartOf>,
}

/// Maximum number of names of a list in the text. JSON output contains all of them.
const SHOWN: usize = 40;

impl RestoreReport {
    pub(super) fn new(manifest: &Manifest, database: &ManifestDatabase, target: &str) -> Self {
        Self {
            backup: manifest.id.clone(),
            database: database.name.clone(),
            target: target.to_owned(),
            snapshot_at: database.snapshot_at,
            tables: 0,
            rows: 0,
            raw_bytes: 0,
            seconds: 0.0,
            stages: Vec::new(),
            omitted: Vec::new(),
            refused: Vec::new(),
            part: None,
        }
    }

    pub(super) async fn timed<Done>(&mut self, stage: RestoreStage, work: impl Future<Output = Done>) -> Done {
        let begun = Instant::now();
        let done = work.await;
        self.stages.push((stage, begun.elapsed().as_secs_f64()));
        done
    }

    pub(super) fn finish(self, written: WrittenBy, raw_bytes: u64, took: Duration, chosen: Chosen) -> Self {
        let (omitted, part) = (chosen.omitted, chosen.part);
        Self { tables: written.tables, rows: written.rows, raw_bytes, seconds: took.as_secs_f64(), omitted, part, ..self }
    }
}

impl fmt::Display for RestoreReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MEBIBYTE: f64 = (1 << 20) as f64;
        writeln!(formatter, "{} is restored from {} as of {}", self.target, self.backup, self.snapshot_at)?;
        write!(
            formatter,
            "  {} tables, {} rows, {:.1} MiB in {:.1} s (",
            self.tables,
            self.rows,
            self.raw_bytes as f64 / MEBIBYTE,
            self.seconds
        )?;
        for (number, (stage, seconds)) in self.stages.iter().enumerate() {
            let name = match stage {
                RestoreStage::Objects => "objects",
                RestoreStage::Rows => "rows",
                RestoreStage::After => "indexes, constraints, privileges",
                RestoreStage::Analyze => "statistics",
            };
            write!(formatter, "{}{name} {seconds:.1} s", if number == 0 { "" } else { ", " })?;
        }
        write!(formatter, ")")?;
        if !self.refused.is_empty() {
            write!(formatter, "\n  NOT restored, because the server refused it:")?;
            self.refused.iter().try_for_each(|NotCreated { object, reason }| write!(formatter, "\n    {object}: {reason}"))?;
        }
        match &self.part {
            Some(part) => write!(formatter, "{}", Partial { part, omitted: &self.omitted }),
            None => Ok(()),
        }
    }
}

/// A part of a database: its objects, and those left out.
#[derive(Debug, Serialize)]
pub struct Partial<'a> {
    pub part: &'a PartOf,
    pub omitted: &'a [String],
}

impl fmt::Display for Partial<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { part, omitted } = self;
        list(formatter, "selected", &part.selected)?;
        list(
            formatter,
            "also restored because the selection needs it, but empty (a table without rows and indexes)",
            &part.brought,
        )?;
        list(
            formatter,
            "left out although it refers to the selection, because it is or needs an object that is not selected",
            omitted,
        )?;
        if !part.left.is_empty() {
            let kinds = part.left.iter().map(|(kind, count)| format!("{count} {kind}")).collect::<Vec<_>>();
            write!(formatter, "\n  also left out, unrelated to the selection: {}", kinds.join(", "))?;
        }
        Ok(())
    }
}

fn list(formatter: &mut fmt::Formatter<'_>, what: &str, names: &[String]) -> fmt::Result {
    if names.is_empty() {
        return Ok(());
    }
    write!(formatter, "\n  {what}:")?;
    names.iter().take(SHOWN).try_for_each(|name| write!(formatter, "\n    {name}"))?;
    match names.len().checked_sub(SHOWN) {
        None | Some(0) => Ok(()),
        Some(more) => write!(formatter, "\n    and {more} more (listed by --output json)"),
    }
}
