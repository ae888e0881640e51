//! This module rewrites statements about one database for another one. It replaces the name only where it names the database. It
//! is pure, and supports only pg_dump's forms: `… DATABASE <name> …` and `… datname = '<name>'`.

use crate::session::{literal, quoted};

/// The database's old and new names.
#[derive(Debug, Clone, Copy)]
pub struct Renaming<'a> {
    pub from: &'a str,
    pub to: &'a str,
}

/// A token of SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SqlToken<'a> {
    Word(&'a str),
    QuotedName(&'a str),
    Text(&'a str),
    Other(&'a str),
}

/// Rewrites every statement of `sql` for the other database.
pub fn rename_database(sql: &str, renaming: &Renaming<'_>) -> String {
    let mut result = String::with_capacity(sql.len());
    // The last word, and whether `=` followed it.
    let mut before: (&str, bool) = ("", false);
    for token in Tokens(sql) {
        let (word, equals) = before;
        match token {
            SqlToken::Other(text) => {
                before.1 |= text.contains('=');
                if !text.trim().is_empty() && !text.contains('=') {
                    before = ("", false);
                }
                result += text;
                continue;
            }
            SqlToken::Word(text) | SqlToken::QuotedName(text)
                if word.eq_ignore_ascii_case("DATABASE") && unquoted(text) == renaming.from =>
            {
                result += &quoted(renaming.to);
            }
            SqlToken::Text(text) if word == "datname" && equals && text == literal(renaming.from) => {
                result += &literal(renaming.to)
            }
            SqlToken::Word(text) | SqlToken::QuotedName(text) | SqlToken::Text(text) => result += text,
        }
        before = match token {
            SqlToken::Word(text) => (text, false),
            _ => ("", false),
        };
    }
    result
}

pub(super) fn unquoted(name: &str) -> String {
    match name.strip_prefix('"').and_then(|name| name.strip_suffix('"')) {
        Some(inner) => inner.replace("\"\"", "\""),
        None => name.to_owned(),
    }
}

pub(super) struct Tokens<'a>(pub(super) &'a str);

impl<'a> Iterator for Tokens<'a> {
    type Item = SqlToken<'a>;

    fn next(&mut self) -> Option<SqlToken<'a>> {
        let first = self.0.chars().next()?;
        let word = |character: char| character.is_alphanumeric() || character == '_' || character == '$';
        let escaped = first == 'E' && self.0[1..].starts_with('\'');
        let (length, token): (usize, fn(&'a str) -> SqlToken<'a>) = match first {
            '"' => (closing(self.0, 0, '"', false), SqlToken::QuotedName),
            '\'' => (closing(self.0, 0, '\'', false), SqlToken::Text),
            _ if escaped => (closing(self.0, 1, '\'', true), SqlToken::Text),
            _ if word(first) => (self.0.find(|character| !word(character)).unwrap_or(self.0.len()), SqlToken::Word),
            _ => (first.len_utf8(), SqlToken::Other),
        };
        let (text, rest) = self.0.split_at(length);
        self.0 = rest;
        Some(token(text))
    }
}

/// End of a quoted text that begins at `start`; a doubled quote is part of it.
fn closing(text: &str, start: usize, quote: char, backslashes: bool) -> usize {
    let mut characters = text[start + 1..].char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        if backslashes && character == '\\' {
            characters.next();
        } else if character == quote {
            if characters.peek().is_some_and(|(_, next)| *next == quote) {
                characters.next();
            } else {
                return start + 1 + at + quote.len_utf8();
            }
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_name_of_the_database_is_replaced() {
        let rows = [
            ("CREATE DATABASE shop WITH TEMPLATE = template0;", "CREATE DATABASE \"new\" WITH TEMPLATE = template0;"),
            ("ALTER DATABASE shop SET shop.mode TO 'shop';", "ALTER DATABASE \"new\" SET shop.mode TO 'shop';"),
            (
                "ALTER ROLE shop IN DATABASE shop SET a TO 'DATABASE shop';",
                "ALTER ROLE shop IN DATABASE \"new\" SET a TO 'DATABASE shop';",
            ),
            ("COMMENT ON DATABASE shop IS 'it''s DATABASE shop';", "COMMENT ON DATABASE \"new\" IS 'it''s DATABASE shop';"),
            ("GRANT ALL ON DATABASE shop TO shop;", "GRANT ALL ON DATABASE \"new\" TO shop;"),
            ("COMMENT ON DATABASE shop IS E'a\\'b DATABASE shop';", "COMMENT ON DATABASE \"new\" IS E'a\\'b DATABASE shop';"),
            (
                "UPDATE pg_catalog.pg_database SET datistemplate = 't' WHERE datname = 'shop';",
                "UPDATE pg_catalog.pg_database SET datistemplate = 't' WHERE datname = 'new';",
            ),
            ("ALTER DATABASE shop2 SET a TO 1;", "ALTER DATABASE shop2 SET a TO 1;"),
        ];
        for (sql, expected) in rows {
            assert_eq!(rename_database(sql, &Renaming { from: "shop", to: "new" }), expected);
        }
    }

    #[test]
    fn odd_names() {
        let sql = "ALTER DATABASE \"a\"\"b; DROP DATABASE x\" SET a TO 'x';";
        let renamed = rename_database(sql, &Renaming { from: "a\"b; DROP DATABASE x", to: "ü \"" });
        assert_eq!(renamed, "ALTER DATABASE \"ü \"\"\" SET a TO 'x';");
        // A truncated name: no text is lost, and the loop ends.
        assert_eq!(rename_database("DATABASE \"ab", &Renaming { from: "ab", to: "c" }), "DATABASE \"ab");
    }
}
