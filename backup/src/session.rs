//! The settings that every session pins before it reads or compares rows: the same rows give the same text, on any
//! server, for any role.

/// Settings of a session that reads rows, in the order in which they are made.
///
/// `row_security = off` turns a policy that would hide rows into an error. An empty search path leaves no name to chance.
/// Compiling a statement that only copies costs more than it saves.
pub const PINNED: &[(&str, &str)] = &[
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
    ("default_transaction_isolation", "read committed"),
    ("default_transaction_deferrable", "off"),
];

/// Limits of time that only newer servers have: `idle_session_timeout` since PostgreSQL 14, `transaction_timeout` since 17.
pub const NEWER_TIMEOUTS: &[(&str, u32)] = &[("idle_session_timeout", 140_000), ("transaction_timeout", 170_000)];

/// [`PINNED`] as one text of statements, and each limit of [`NEWER_TIMEOUTS`] that the server has.
pub fn pin() -> String {
    pin_with("SET client_encoding = 'UTF8';")
}

/// The same for a session of rows. It speaks its database's own encoding: names and rows pass unchanged, also bytes that stand
/// for no character, and encodings that the server cannot convert.
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

/// The statement that keeps a relation from turning into a view under our hands (CVE-2024-7348), on servers that know it: it
/// fails elsewhere, which is no error.
pub const RESTRICT_KINDS: &str = "SET restrict_nonsystem_relation_kind = 'view, foreign-table'";

/// A name in a database's own encoding, as SQL takes it. No encoding of a server uses the byte of a quote otherwise.
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
        assert_eq!(quoted_bytes(b"a\"\xff"), b"\"a\"\"\xff\"");
        assert_eq!(literal_bytes(b"a\\'\xff"), b"E'a\\\\''\xff'");
    }
}
