//! Names and texts as MySQL's and MariaDB's grammar takes them, whatever they hold and whatever `sql_mode` says.

/// `` `name` ``.
pub(super) fn identifier(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// A text as hexadecimal digits, which no setting reads otherwise.
pub(super) fn literal(text: &str) -> String {
    if text.is_empty() {
        return "''".to_owned();
    }
    format!("CONVERT(X'{}' USING utf8mb4)", crate::fs::hexadecimal(text.as_bytes()))
}

/// Names that were asked for as `HEX(name)`, one a line.
pub(super) fn names(answer: &str) -> Option<Vec<String>> {
    let name = |line: &str| {
        let digits: Option<Vec<u8>> =
            (0..line.len()).step_by(2).map(|at| u8::from_str_radix(line.get(at..at + 2)?, 16).ok()).collect();
        String::from_utf8(digits?).ok()
    };
    answer.lines().filter(|line| !line.is_empty()).map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_end_nothing_and_names_come_back() {
        assert_eq!(identifier("a`b"), "`a``b`");
        assert_eq!(literal("a'"), "CONVERT(X'6127' USING utf8mb4)");
        assert_eq!(names("6127\n0A\n"), Some(vec!["a'".to_owned(), "\n".to_owned()]));
        assert_eq!(names("zz"), None);
    }
}
