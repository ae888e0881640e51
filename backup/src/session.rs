//! This module defines the settings that every session pins before it reads or compares rows. The same rows then give the same
//! text on any server and for any role.

/// Settings of a session that reads rows, in the order in which they are set.
///
/// `row_security = off` turns a policy that would hide rows into an error. An empty search path makes names unambiguous. JIT
/// compilation of a statement that only copies takes longer than it saves.
pub const PINNED: &[(&str, &str)] = &[
    ("DateStyle", "ISO, YMD"),
    ("IntervalStyle", "postgres"),
    ("TimeZone", "UTC"),
    ("extra_float_digits", "3"),
    ("bytea_output", "hex"),
    ("xmloption", "content"),
    // If off, an array's NULL would be read as a text.
    ("array_nulls", "on"),
    ("quote_all_identifiers", "off"),
    ("search_path", ""),
    ("row_security", "off"),
    ("synchronize_seqscans", "off"),
    ("jit", "off"),
    ("statement_timeout", "0"),
    ("lock_timeout", "0"),
    ("idle_in_transaction_session_timeout", "0"),
    ("default_transaction_read_only", "off"),
    ("default_transaction_isolation", "read committed"),
    ("default_transaction_deferrable", "off"),
    // The server refuses some statements, as expected.
    ("exit_on_error", "off"),
];

/// Time limits that only newer servers have: `idle_session_timeout` since PostgreSQL 14, `transaction_timeout` since 17.
pub const NEWER_TIMEOUTS: &[(&str, u32)] = &[("idle_session_timeout", 140_000), ("transaction_timeout", 170_000)];

/// Statements for [`PINNED`], and for each limit of [`NEWER_TIMEOUTS`] that the server has.
pub fn pin() -> String {
    pin_with("SET client_encoding = 'UTF8';")
}

/// The same for a session of rows, in the encoding of its database. Names and rows pass unchanged, including bytes that are not
/// valid characters and encodings that the server cannot convert.
pub fn pin_rows() -> String {
    pin_with("SELECT pg_catalog.set_config('client_encoding', pg_catalog.getdatabaseencoding(), false);")
}

fn pin_with(encoding: &str) -> String {
    let pinned: String = PINNED.iter().map(|(name, value)| format!("SET {name} = '{value}';")).collect();
    let newer: Vec<_> = NEWER_TIMEOUTS.iter().map(|(name, _)| literal(name)).collect();
    let newer = format!(
        "SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings WHERE name IN ({})",
        newer.join(", ")
    );
    pinned + encoding + &newer
}

/// Prevents a relation from being replaced by a view during the backup (CVE-2024-7348). The statement fails on servers without
/// this setting, which is not an error.
pub const RESTRICT_KINDS: &str = "SET restrict_nonsystem_relation_kind = 'view, foreign-table'";

/// Quotes a name in a database's own encoding. In server encodings, the byte of a quote has no other meaning.
pub fn quoted_bytes(name: &[u8]) -> Vec<u8> {
    let mut quoted = vec![b'"'];
    name.iter().for_each(|byte| quoted.extend_from_slice(if *byte == b'"' { b"\"\"" } else { std::slice::from_ref(byte) }));
    quoted.push(b'"');
    quoted
}

/// A text in a database's own encoding as an SQL literal.
pub fn literal_bytes(text: &[u8]) -> Vec<u8> {
    let mut literal = b"E'".to_vec();
    for byte in text {
        match byte {
            b'\'' => literal.extend_from_slice(b"''"),
            b'\\' => literal.extend_from_slice(br"\\"),
            other => literal.push(*other),
        }
    }
    literal.push(b'\'');
    literal
}

/// Quotes a name for SQL, always.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as an SQL literal, for any value of `standard_conforming_strings`.
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
        assert_eq!(quoted_bytes(b"a\"\xff"), b"\"a\"\"\xff\"");
        assert_eq!(literal_bytes(b"a\\'\xff"), b"E'a\\\\''\xff'");
    }
}
