//! This module parses `COPY … FROM stdin;` into relation and columns. The columns do not include generated columns.

use std::collections::HashMap;

use super::{ArchiveError, Contents, DumpText, Entry};
use crate::session::quoted_bytes;

/// The relation and columns that receive an entry's rows, in the encoding of the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyTarget {
    /// Qualified and quoted as in pg_dump's output. For a partition that pg_dump loads through the root of its tree: that root.
    pub relation: Vec<u8>,
    /// In parentheses, quoted; empty for a table without columns.
    pub columns: Vec<u8>,
}

impl CopyTarget {
    /// Selects the rows of `relations`, such as `ONLY public.t`, in the target's columns, for `COPY … TO`.
    pub fn select_from(&self, relations: &[u8], condition: &str) -> Vec<u8> {
        let columns = self.columns.strip_prefix(b"(").and_then(|rest| rest.strip_suffix(b")")).unwrap_or_default();
        let space = if condition.is_empty() { "" } else { " " };
        [b"SELECT ", columns, b" FROM ", relations, space.as_bytes(), condition.as_bytes()].concat()
    }

    /// `COPY … FROM STDIN` with options such as `FREEZE`.
    pub fn copy_in(&self, options: &str) -> Vec<u8> {
        let with = if options.is_empty() { String::new() } else { format!(" WITH ({options})") };
        [b"COPY ", self.relation.as_slice(), b" ", &self.columns, b" FROM STDIN", with.as_bytes()].concat()
    }

    /// Whether the rows of that table go to another table. pg_dump (15.3 and newer) loads partitions through the root of their
    /// tree if a key's hash can differ between servers.
    pub fn is_root_of(&self, entry: &Entry) -> bool {
        let ways = |name: &[u8]| [name.to_vec(), quoted_bytes(name)];
        let tables = ways(entry.tag.bytes());
        !ways(entry.namespace.bytes())
            .iter()
            .any(|schema| tables.iter().any(|table| self.relation == [schema.as_slice(), b".", table].concat()))
    }
}

impl Entry {
    /// The entry's own relation, qualified and quoted.
    pub fn own_relation(&self) -> Vec<u8> {
        [quoted_bytes(self.namespace.bytes()), b".".to_vec(), quoted_bytes(self.tag.bytes())].concat()
    }

    /// Parses the COPY statement of an entry with a table's rows.
    ///
    /// # Errors
    /// Returns an error if the statement does not have the form that pg_dump writes.
    pub fn copy_target(&self) -> Result<CopyTarget, ArchiveError> {
        let wrong = |what: &str| ArchiveError::Malformed(format!("the COPY statement of {} {what}", self.display_name()));
        let body = self.copy_statement.bytes().strip_prefix(b"COPY ");
        let body = body.and_then(|rest| rest.trim_ascii_end().strip_suffix(b"FROM stdin;"));
        let body = body.ok_or_else(|| wrong("is not COPY … FROM stdin"))?.trim_ascii_end();
        let mut quoted = false;
        let end = body.iter().position(|byte| {
            quoted ^= *byte == b'"';
            !quoted && *byte == b' '
        });
        let (relation, columns) = body.split_at(end.unwrap_or(body.len()));
        let columns = columns.trim_ascii();
        if relation.is_empty() || !(columns.is_empty() || columns.starts_with(b"(") && columns.ends_with(b")")) {
            return Err(wrong("names no relation and columns"));
        }
        Ok(CopyTarget { relation: relation.to_vec(), columns: columns.to_vec() })
    }
}

impl Contents {
    /// Loads these partitions through the root of their tree, as pg_dump does for keys that it knows to be unstable. `roots`
    /// contains the qualified root by the oid of a partition. Returns whether anything changed.
    ///
    /// # Errors
    /// Returns an error if a statement does not have the form that pg_dump writes.
    pub fn load_through_roots(&mut self, roots: &HashMap<Vec<u8>, Vec<u8>>) -> Result<bool, ArchiveError> {
        let mut changed = false;
        for entry in self.entries.iter_mut().filter(|entry| entry.is_table_data()) {
            let Some(root) = roots.get(entry.oid.bytes()) else { continue };
            let target = entry.copy_target()?;
            if !target.is_root_of(entry) {
                entry.copy_statement = copy_statement(root, &target.columns);
                changed = true;
            }
        }
        Ok(changed)
    }

    /// Gives partitions that are loaded through the same root the same order of columns, and returns whether anything changed.
    /// The rows of all partitions can then be compared with those of the root. It is unknown which partition contains a row after
    /// a restore.
    ///
    /// # Errors
    /// Returns an error if a statement does not have the form that pg_dump writes.
    pub fn align_columns(&mut self) -> Result<bool, ArchiveError> {
        let mut first: HashMap<Vec<u8>, Vec<u8>> = HashMap::new();
        let mut changed = false;
        for entry in self.entries.iter_mut().filter(|entry| entry.is_table_data()) {
            let target = entry.copy_target()?;
            if !target.is_root_of(entry) {
                continue;
            }
            let columns = first.entry(target.relation.clone()).or_insert_with(|| target.columns.clone());
            if *columns != target.columns {
                entry.copy_statement = copy_statement(&target.relation, columns);
                changed = true;
            }
        }
        Ok(changed)
    }
}

fn copy_statement(relation: &[u8], columns: &[u8]) -> DumpText {
    DumpText(Some([b"COPY ", relation, b" ", columns, b" FROM stdin;\n"].concat().into()))
}

#[cfg(test)]
mod tests {
    use super::{super::tests::entry, *};

    fn target(statement: &str) -> Option<(String, String)> {
        let mut entry = entry(1, "TABLE DATA");
        entry.copy_statement = statement.into();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        entry.copy_target().ok().map(|target| (text(target.relation), text(target.columns)))
    }

    #[test]
    fn a_partition_loaded_through_its_root_is_detected() {
        for (statement, through_root) in [
            ("COPY public.t (a) FROM stdin;\n", false),
            ("COPY public.\"t\" (a) FROM stdin;\n", false),
            ("COPY public.root (a) FROM stdin;\n", true),
            ("COPY other.t (a) FROM stdin;\n", true),
        ] {
            let entry = Entry { copy_statement: statement.into(), ..entry(1, "TABLE DATA") };
            assert_eq!(entry.copy_target().unwrap().is_root_of(&entry), through_root, "{statement}");
        }
    }

    #[test]
    fn partitions_of_one_root_get_one_order_of_columns() {
        let rows = |id: i32, statement: &[u8]| Entry {
            copy_statement: DumpText(Some(statement.into())),
            tag: format!("t{id}").as_str().into(),
            ..entry(id, "TABLE DATA")
        };
        let header = super::super::tests::header();
        let entries = vec![
            rows(1, b"COPY public.root (a, \"\xff\") FROM stdin;\n"),
            rows(2, b"COPY public.root (\"\xff\", a) FROM stdin;\n"),
            rows(3, b"COPY public.t3 (b, a) FROM stdin;\n"),
        ];
        let mut contents = Contents { header, entries };
        assert!(contents.align_columns().unwrap());
        let columns: Vec<_> = contents.entries.iter().map(|entry| entry.copy_target().unwrap().columns).collect();
        assert_eq!(columns, [b"(a, \"\xff\")".to_vec(), b"(a, \"\xff\")".to_vec(), b"(b, a)".to_vec()]);
        assert!(!contents.align_columns().unwrap());
    }

    #[test]
    fn partitions_with_an_unstable_key_are_loaded_through_their_root() {
        let rows = |id: i32, statement: &str| Entry {
            oid: id.to_string().as_str().into(),
            copy_statement: statement.into(),
            tag: format!("t{id}").as_str().into(),
            ..entry(id, "TABLE DATA")
        };
        let entries = vec![rows(1, "COPY public.t1 (b, a) FROM stdin;\n"), rows(2, "COPY public.t2 (a) FROM stdin;\n")];
        let mut contents = Contents { header: super::super::tests::header(), entries };
        let roots = HashMap::from([(b"1".to_vec(), b"public.\"Root\"".to_vec())]);
        assert!(contents.load_through_roots(&roots).unwrap());
        let statements: Vec<_> = contents.entries.iter().map(|entry| entry.copy_statement.to_string()).collect();
        assert_eq!(statements, ["COPY public.\"Root\" (b, a) FROM stdin;\n", "COPY public.t2 (a) FROM stdin;\n"]);
        assert!(!contents.load_through_roots(&roots).unwrap());
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
