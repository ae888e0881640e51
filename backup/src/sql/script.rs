//! This module splits a script of pg_dumpall into its statements. It is pure.

use super::statement::{SqlToken, Tokens, unquoted};

/// Every statement, without its semicolon, comments and psql's commands (`\restrict`).
pub fn statements(script: &str) -> Vec<String> {
    let (mut found, mut current) = (Vec::new(), String::new());
    let mut rest = script;
    let mut line_begins = true;
    while !rest.is_empty() {
        if rest.starts_with("--") || line_begins && rest.starts_with('\\') {
            rest = rest.find('\n').map_or("", |end| &rest[end..]);
            continue;
        }
        let mut tokens = Tokens(rest);
        let text = match tokens.next() {
            Some(SqlToken::Word(text) | SqlToken::QuotedName(text) | SqlToken::Text(text) | SqlToken::Other(text)) => text,
            None => break,
        };
        rest = tokens.0;
        line_begins = text == "\n";
        if text == ";" {
            found.push(std::mem::take(&mut current));
        } else {
            current += text;
        }
    }
    found.push(current);
    found.iter().map(|statement| statement.trim().to_owned()).filter(|statement| !statement.is_empty()).collect()
}

/// The first words and names of a statement, names without their quotes.
pub fn words(statement: &str, count: usize) -> Vec<String> {
    let named = Tokens(statement).filter_map(|token| match token {
        SqlToken::Word(text) => Some(text.to_owned()),
        SqlToken::QuotedName(text) => Some(unquoted(text)),
        SqlToken::Text(_) | SqlToken::Other(_) => None,
    });
    named.take(count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_end_at_semicolons_outside_quotes() {
        let script = "--\n-- it's a \"comment;\n--\n\\restrict abc\n\nCREATE ROLE \"a;b\";\nALTER ROLE \"a;b\" WITH PASSWORD 'x;''y';\n\
                      COMMENT ON ROLE c IS 'two\n\\lines -- not a comment';\n\\unrestrict abc\n";
        assert_eq!(
            statements(script),
            [
                "CREATE ROLE \"a;b\"",
                "ALTER ROLE \"a;b\" WITH PASSWORD 'x;''y'",
                "COMMENT ON ROLE c IS 'two\n\\lines -- not a comment'"
            ]
        );
        assert!(statements("").is_empty());
    }

    #[test]
    fn the_first_words_of_a_statement_are_its_subject() {
        assert_eq!(words("ALTER ROLE \"a \"\" b\" WITH LOGIN", 3), ["ALTER", "ROLE", "a \" b"]);
    }
}
