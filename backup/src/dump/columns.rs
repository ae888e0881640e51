//! This module parses the column names in the parentheses of a COPY statement.

/// `(a, b ""c", d)` -> the three names; an empty list for a table without columns.
pub(super) fn names(columns: &str) -> Vec<String> {
    let inner = columns.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).unwrap_or_default();
    let mut names = Vec::new();
    let (mut name, mut quoted) = (String::new(), false);
    let mut characters = inner.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                name.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => {
                names.push(std::mem::take(&mut name));
                if characters.peek() == Some(&' ') {
                    characters.next();
                }
            }
            _ => name.push(character),
        }
    }
    if !inner.is_empty() {
        names.push(name);
    }
    names
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn quoted_names_are_parsed_with_their_content() {
        assert_eq!(names(r#"(a, "b "", (c", d)"#), ["a", r#"b ", (c"#, "d"]);
        assert_eq!(names(r#"(" lead", "")"#), [" lead", ""]);
        assert!(names("").is_empty());
    }
}
