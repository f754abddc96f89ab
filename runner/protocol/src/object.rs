//! Reading fields of a JSON object one by one, so that each error names the field and what was found there instead.

use serde_json::{Map, Value};

/// A field of a JSON document that has the wrong shape.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct FieldError {
    /// Where, as dotted path: `metadata.schema_version`, `configuration.backup_paths[2]`.
    pub field: String,
    /// What is wrong, for a person.
    pub problem: String,
}

/// One object of the document, with the dotted path that leads to it.
#[derive(Debug)]
pub struct Object<'a> {
    path: String,
    map: Option<&'a Map<String, Value>>,
}

impl<'a> Object<'a> {
    /// The document itself.
    pub fn root(map: &'a Map<String, Value>) -> Self {
        Self { path: String::new(), map: Some(map) }
    }

    /// The object at `key`; absent and null read as an empty one.
    pub fn object(&self, key: &str) -> Result<Object<'a>, FieldError> {
        let path = self.field(key);
        match self.get(key) {
            None => Ok(Object { path, map: None }),
            Some(Value::Object(map)) => Ok(Object { path, map: Some(map) }),
            Some(other) => Err(wrong(path, "an object", other)),
        }
    }

    /// Whether the document has this object.
    pub fn exists(&self) -> bool {
        self.map.is_some()
    }

    /// Its keys, in the order of the document.
    pub fn keys(&self) -> impl Iterator<Item = &'a str> {
        self.map.into_iter().flat_map(|map| map.keys().map(String::as_str))
    }

    /// The value at `key`; null reads as absent.
    pub fn get(&self, key: &str) -> Option<&'a Value> {
        self.map.and_then(|map| map.get(key)).filter(|value| !value.is_null())
    }

    /// The dotted path of `key`.
    pub fn field(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// An error about `key`.
    pub fn error(&self, key: &str, problem: impl Into<String>) -> FieldError {
        FieldError { field: self.field(key), problem: problem.into() }
    }

    /// The text at `key`.
    pub fn string(&self, key: &str) -> Result<Option<&'a str>, FieldError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(wrong(self.field(key), "a string", other)),
        }
    }

    /// The truth value at `key`.
    pub fn boolean(&self, key: &str) -> Result<Option<bool>, FieldError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(*value)),
            Some(other) => Err(wrong(self.field(key), "true or false", other)),
        }
    }

    /// An integer within `range`.
    pub fn integer(&self, key: &str, range: std::ops::RangeInclusive<i64>) -> Result<Option<i64>, FieldError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let number = value.as_i64().ok_or_else(|| wrong(self.field(key), "a whole number", value))?;
        if range.contains(&number) {
            Ok(Some(number))
        } else {
            Err(self.error(key, format!("{number} is outside {} to {}", range.start(), range.end())))
        }
    }

    /// An unsigned integer within `range`.
    pub fn unsigned(&self, key: &str, range: std::ops::RangeInclusive<i64>) -> Result<Option<u64>, FieldError> {
        Ok(self.integer(key, range)?.map(i64::unsigned_abs))
    }

    /// A share of one processor in percent, 1 to 100,000: a number, or systemd's `"150%"`.
    pub fn percent(&self, key: &str) -> Result<Option<u64>, FieldError> {
        let Some(Value::String(text)) = self.get(key) else { return self.unsigned(key, 1..=100_000) };
        match text.strip_suffix('%').and_then(|digits| digits.parse().ok()) {
            Some(percent) if (1..=100_000).contains(&percent) => Ok(Some(percent)),
            _ => Err(self.error(key, format!("{text:?} is no share of a processor; write 50 or \"50%\""))),
        }
    }

    /// The list of port numbers at `key`, 1 to 65,535 each; an empty one is a list too.
    pub fn ports(&self, key: &str) -> Result<Option<Vec<u16>>, FieldError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let Value::Array(items) = value else { return Err(wrong(self.field(key), "a list of port numbers", value)) };
        if items.len() > 1000 {
            return Err(self.error(key, format!("has {} elements, more than 1000", items.len())));
        }
        let port = |(index, item): (usize, &Value)| match item.as_u64().and_then(|port| u16::try_from(port).ok()) {
            Some(port) if port != 0 => Ok(port),
            _ => Err(wrong(format!("{}[{index}]", self.field(key)), "a port number, 1 to 65535", item)),
        };
        items.iter().enumerate().map(port).collect::<Result<_, _>>().map(Some)
    }

    /// A name, or a number written as such or as a name.
    pub fn name_or_number(&self, key: &str) -> Result<Option<String>, FieldError> {
        match self.get(key) {
            Some(Value::Number(number)) => Ok(Some(number.to_string())),
            _ => Ok(self.string(key)?.map(str::to_owned)),
        }
    }

    /// A size in bytes: a number, or a string with the suffix K, M, G or T (powers of 1024), as systemd writes sizes.
    pub fn bytes(&self, key: &str) -> Result<Option<u64>, FieldError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let size = match value {
            Value::Number(number) => number.as_u64(),
            Value::String(text) => parse_size(text),
            _ => None,
        };
        match size {
            Some(size) => Ok(Some(size)),
            None => Err(wrong(self.field(key), "a size such as 268435456 or \"256M\"", value)),
        }
    }

    /// The list at `key`, each element a string turned by `parse`; absent reads as empty. At most `limit` elements.
    pub fn list<T, E: std::fmt::Display>(
        &self,
        key: &str,
        limit: usize,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Result<Vec<T>, FieldError> {
        let Some(value) = self.get(key) else { return Ok(Vec::new()) };
        let Value::Array(items) = value else { return Err(wrong(self.field(key), "a list of strings", value)) };
        if items.len() > limit {
            return Err(self.error(key, format!("has {} elements, more than {limit}", items.len())));
        }
        let mut parsed = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let field = format!("{}[{index}]", self.field(key));
            let Value::String(text) = item else { return Err(wrong(field, "a string", item)) };
            match parse(text) {
                Ok(value) => parsed.push(value),
                Err(problem) => return Err(FieldError { field, problem: format!("{text:?} {problem}") }),
            }
        }
        Ok(parsed)
    }
}

fn wrong(field: String, expected: &str, found: &Value) -> FieldError {
    FieldError { field, problem: format!("expected {expected}, found {}", describe(found)) }
}

/// What a value is, in words short enough for a message.
pub(crate) fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => format!("{value}"),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) if text.chars().count() <= 40 => format!("the string {text:?}"),
        Value::String(_) => "a long string".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

fn parse_size(text: &str) -> Option<u64> {
    let (digits, factor) = match text.trim().char_indices().last()? {
        (at, 'K') => (&text.trim()[..at], 1 << 10),
        (at, 'M') => (&text.trim()[..at], 1 << 20),
        (at, 'G') => (&text.trim()[..at], 1 << 30),
        (at, 'T') => (&text.trim()[..at], 1u64 << 40),
        _ => (text.trim(), 1),
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

/// The known key nearest to `given`, when it is near enough to be a slip of the hand.
pub fn nearest<'k>(given: &str, known: &[&'k str]) -> Option<&'k str> {
    known
        .iter()
        .map(|key| (strsim::damerau_levenshtein(given, key), *key))
        .filter(|(distance, key)| *distance <= 2.max(key.len() / 3))
        .min()
        .map(|(_, key)| key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_take_systemd_suffixes() {
        assert_eq!(parse_size("256M"), Some(256 << 20));
        assert_eq!(parse_size("1T"), Some(1 << 40));
        assert_eq!(parse_size("4096"), Some(4096));
        for bad in ["", "M", "-1", "1.5G", "99999999999T", "1KB"] {
            assert_eq!(parse_size(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_slip_finds_its_key_and_a_stranger_finds_none() {
        let known = ["schema_version", "enabled", "priority"];
        assert_eq!(nearest("schemaversion", &known), Some("schema_version"));
        assert_eq!(nearest("priorty", &known), Some("priority"));
        assert_eq!(nearest("colour", &known), None);
    }
}
