//! Names and texts as PostgreSQL's grammar takes them, whatever they hold; see its manual, "Lexical Structure" and
//! "Connection Strings".

/// `"name"`.
pub(super) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// `E'text'`, which means the same whatever `standard_conforming_strings` says.
pub(super) fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// A connection string for one database. A bare name that holds `=` would be read as a connection string itself.
pub(super) fn connection_string(database: &str) -> String {
    format!("dbname='{}'", database.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// The elements of a list setting as it is stored: names between commas, quoted where they need it.
pub(super) fn list(stored: &str) -> Vec<String> {
    let mut elements = Vec::new();
    let mut element = String::new();
    let mut quoted = false;
    let mut characters = stored.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                element.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => elements.push(std::mem::take(&mut element)),
            ' ' | '\t' | '\n' if !quoted => {}
            other => element.push(other),
        }
    }
    if !stored.is_empty() {
        elements.push(element);
    }
    elements
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_backslashes_end_nothing() {
        assert_eq!(identifier(r#"we"ird name"#), r#""we""ird name""#);
        assert_eq!(literal(r"it's \ here"), r"E'it''s \\ here'");
        assert_eq!(connection_string(r"a=b 'c\"), r"dbname='a=b \'c\\'");
    }

    #[test]
    fn a_stored_list_is_taken_apart() {
        assert_eq!(list(r#""$user", public, "a ""b"", c""#), ["$user", "public", r#"a "b", c"#]);
        assert_eq!(list(r#""""#), [r#""#]);
        assert!(list("").is_empty());
    }
}
