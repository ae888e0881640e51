//! `COPY … FROM stdin;` taken apart: which relation, which columns. Generated columns are not among them.

use super::{ArchiveError, Entry};

/// Where the rows of an entry go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyTarget {
    /// Qualified and quoted as pg_dump did it.
    pub relation: String,
    /// In parentheses, quoted; empty for a table without columns.
    pub columns: String,
}

impl CopyTarget {
    /// For `COPY … TO`: the rows of the relation itself, not of its children.
    pub fn select(&self, condition: &str) -> String {
        let columns = self.columns.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).unwrap_or_default();
        format!("SELECT {columns} FROM ONLY {}{}{condition}", self.relation, if condition.is_empty() { "" } else { " " })
    }

    /// `COPY … FROM STDIN` with options, as `FREEZE`.
    pub fn copy_in(&self, options: &str) -> String {
        let with = if options.is_empty() { String::new() } else { format!(" WITH ({options})") };
        format!("COPY {} {} FROM STDIN{with}", self.relation, self.columns)
    }
}

impl Entry {
    /// Of an entry with rows of a table.
    ///
    /// # Errors
    /// When the statement is not UTF-8 or not what pg_dump writes.
    pub fn copy_target(&self) -> Result<CopyTarget, ArchiveError> {
        let wrong = |what: &str| ArchiveError::Malformed(format!("the COPY statement of {} {what}", self.display_name()));
        let statement = self
            .copy_statement
            .utf8()
            .ok_or_else(|| wrong("is not UTF-8 (a database in SQL_ASCII): rename the table or its columns"))?;
        let body = statement.strip_prefix("COPY ").and_then(|rest| rest.trim_end().strip_suffix("FROM stdin;"));
        let body = body.ok_or_else(|| wrong("is not COPY … FROM stdin"))?.trim_end();
        let mut quoted = false;
        let end = body.find(|character| {
            quoted ^= character == '"';
            !quoted && character == ' '
        });
        let (relation, columns) = body.split_at(end.unwrap_or(body.len()));
        let columns = columns.trim();
        if relation.is_empty() || !(columns.is_empty() || columns.starts_with('(') && columns.ends_with(')')) {
            return Err(wrong("names no relation and columns"));
        }
        Ok(CopyTarget { relation: relation.to_owned(), columns: columns.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::entry;

    fn target(statement: &str) -> Option<(String, String)> {
        let mut entry = entry(1, "TABLE DATA");
        entry.copy_statement = statement.into();
        entry.copy_target().ok().map(|target| (target.relation, target.columns))
    }

    #[test]
    fn relation_and_columns_with_odd_names() {
        let rows = [
            ("COPY public.t (a, b) FROM stdin;\n", "public.t", "(a, b)"),
            ("COPY \"a b\".\"t \"\"(x) FROM\" (\"c d\", \"(\") FROM stdin;\n", "\"a b\".\"t \"\"(x) FROM\"", "(\"c d\", \"(\")"),
            ("COPY public.nothing  FROM stdin;\n", "public.nothing", ""),
            ("COPY \"ü\".\"面\" (\"é\") FROM stdin;\n", "\"ü\".\"面\"", "(\"é\")"),
        ];
        for (statement, relation, columns) in rows {
            assert_eq!(target(statement), Some((relation.to_owned(), columns.to_owned())), "{statement}");
        }
        for wrong in ["", "COPY ", "SELECT 1;", "COPY t (a FROM stdin;", "COPY t FROM '/etc/passwd';"] {
            assert_eq!(target(wrong), None, "{wrong}");
        }
    }
}
