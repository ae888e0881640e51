//! The settings that every session pins before it reads or compares rows: the same rows give the same text, on any
//! server, for any role.

/// Settings of a session that reads rows, in the order in which they are made.
///
/// `row_security = off` turns a policy that would hide rows into an error. An empty search path leaves no name to chance.
/// Compiling a statement that only copies costs more than it saves.
pub const PINNED: &[(&str, &str)] = &[
    ("client_encoding", "UTF8"),
    ("DateStyle", "ISO, YMD"),
    ("IntervalStyle", "postgres"),
    ("TimeZone", "UTC"),
    ("extra_float_digits", "3"),
    ("bytea_output", "hex"),
    ("xmloption", "content"),
    ("quote_all_identifiers", "off"),
    ("search_path", ""),
    ("row_security", "off"),
    ("synchronize_seqscans", "off"),
    ("jit", "off"),
    ("statement_timeout", "0"),
    ("lock_timeout", "0"),
    ("idle_in_transaction_session_timeout", "0"),
    ("default_transaction_read_only", "off"),
];

/// [`PINNED`] as one text of statements.
pub fn pin() -> String {
    PINNED.iter().map(|(name, value)| format!("SET {name} = '{value}';")).collect()
}

/// The statement that keeps a relation from turning into a view under our hands (CVE-2024-7348), on servers that know it: it
/// fails elsewhere, which is no error.
pub const RESTRICT_KINDS: &str = "SET restrict_nonsystem_relation_kind = 'view, foreign-table'";

/// A name as SQL takes it, always quoted.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as an SQL literal, whatever `standard_conforming_strings` says.
pub fn literal(text: &str) -> String {
    if text.contains('\\') {
        format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_texts_are_quoted() {
        assert_eq!(quoted(r#"a"b"#), r#""a""b""#);
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal(r"a\'b"), r"E'a\\''b'");
    }
}
