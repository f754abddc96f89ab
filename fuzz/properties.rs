//! What must hold for whatever bytes come from outside: parsers end without a panic, and what they accept means the same
//! when it is printed and read again. Shared by the fuzz targets and by the ordinary test that walks their corpora.

use serde_json::{Map, Value, json};
use updates::catalog::merge as merged;
use updates_protocol::{Frame, FrameReader, Manifest, ModuleName, parse_module_line, parse_runner_line};

/// A stream, cut into lines however it arrives, and each line read as either side would.
pub fn frames(bytes: &[u8]) {
    const LIMIT: usize = 200;
    let whole = cut(bytes, bytes.len().max(1), LIMIT);
    let step = usize::from(bytes.first().copied().unwrap_or(0)) % 17 + 1;
    let pieces = cut(bytes, step, LIMIT);
    assert_eq!(whole, pieces, "the lines depend on how the stream arrives");
    let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    let expected = lines.len() - usize::from(lines.last().is_some_and(|last| last.is_empty()));
    assert_eq!(whole.len(), expected);
    for (found, line) in whole.iter().zip(&lines) {
        match found {
            Ok(found) => assert!(found == line && line.len() <= LIMIT),
            Err(length) => assert!(*length == line.len() && line.len() > LIMIT),
        }
    }
    for line in lines {
        again(line, parse_runner_line);
        again(line, parse_module_line);
    }
}

fn cut(bytes: &[u8], step: usize, limit: usize) -> Vec<Result<Vec<u8>, usize>> {
    let mut reader = FrameReader::new(limit);
    let mut found = Vec::new();
    let mut take = |reader: &mut FrameReader| {
        while let Some(frame) = reader.next_frame() {
            found.push(match frame {
                Frame::Line(line) => Ok(line.to_vec()),
                Frame::TooLong(length) => Err(length),
            });
        }
    };
    for mut piece in bytes.chunks(step) {
        // A read that finds nothing would mean the end of the stream.
        while !piece.is_empty() {
            reader.fill(&mut piece).expect("memory can be read");
            take(&mut reader);
        }
    }
    let mut end: &[u8] = &[];
    reader.fill(&mut end).expect("memory can be read");
    take(&mut reader);
    found
}

fn again<T: serde::Serialize, E>(line: &[u8], parse: impl Fn(&[u8]) -> Result<Option<T>, E>) {
    let Ok(Some(message)) = parse(line) else { return };
    let printed = serde_json::to_string(&message).expect("a message is printed for the other side");
    let Ok(Some(second)) = parse(printed.as_bytes()) else { panic!("{printed} is not read again") };
    let printed_again = serde_json::to_string(&second).expect("a message is printed for the other side");
    // Numbers with a fraction may lose their last bit on the way.
    if !has_fraction(&printed) {
        assert_eq!(printed, printed_again);
    }
}

fn has_fraction(printed: &str) -> bool {
    fn of(value: &Value) -> bool {
        match value {
            Value::Number(number) => number.is_f64(),
            Value::Array(items) => items.iter().any(of),
            Value::Object(map) => map.values().any(of),
            _ => false,
        }
    }
    serde_json::from_str(printed).is_ok_and(|value| of(&value))
}

/// A manifest that is accepted is accepted again in its own words, with the same meaning.
pub fn manifest(bytes: &[u8]) {
    let folder = folder(bytes);
    let Ok((manifest, warnings)) = Manifest::parse(bytes, &folder) else { return };
    let printed = serde_json::to_vec(&manifest.raw).expect("a map has text keys");
    // What is printed may be longer than what was read, by its escapes, and is then refused, rightly. Numbers with a
    // fraction may lose their last bit on the way.
    if printed.len() > updates_protocol::MAX_MANIFEST || has_fraction(&String::from_utf8_lossy(&printed)) {
        return;
    }
    let (second, second_warnings) = Manifest::parse(&printed, &folder).expect("its own words");
    assert_eq!(format!("{manifest:?}"), format!("{second:?}"));
    assert_eq!(format!("{warnings:?}"), format!("{second_warnings:?}"));
}

// A manifest names the folder that it lies in.
fn folder(bytes: &[u8]) -> ModuleName {
    let document: Value = serde_json::from_slice(bytes).unwrap_or_default();
    let named = document["metadata"]["name"].as_str().and_then(|name| name.parse().ok());
    named.unwrap_or_else(|| "m".parse().expect("a letter is a name"))
}

/// A profile file is a profile or a mistake that names the file.
pub fn profile(bytes: &[u8]) {
    match updates::profile::parse(bytes) {
        Ok(profile) => {
            assert!(profile.umask <= 0o777);
            for path in profile.writable_paths() {
                let path = path.as_path();
                assert!(path.is_absolute() && !path.components().any(|part| part.as_os_str() == ".."), "{path:?}");
            }
        }
        Err(error) => assert!(error.to_string().contains("profile.json"), "{error}"),
    }
}

/// The laws of the three-way merge.
pub fn merge(bytes: &[u8]) {
    let Ok(documents) = serde_json::from_slice::<[Map<String, Value>; 3]>(bytes) else { return };
    let [base, local, new] = documents.map(with_metadata);
    for known in [Some(&base), None] {
        let once = merged(known, &local, &new).document;
        assert_eq!(merged(Some(&new), &once, &new).document, once, "merging again changes something");
        assert_eq!(merged(known, &local, &local).document, local, "the same on both sides is not taken");
    }
    assert_eq!(merged(Some(&base), &base, &new).document, new, "an unchanged document is not updated");
    assert_eq!(merged(Some(&base), &local, &base).document, local, "a local change is lost");
}

// As every module has it; the version, name and description are the code's, and the laws are about the rest.
fn with_metadata(mut document: Map<String, Value>) -> Map<String, Value> {
    let mut metadata = match document.remove("metadata") {
        Some(Value::Object(metadata)) => metadata,
        _ => Map::new(),
    };
    metadata.retain(|key, _| !["name", "description"].contains(&key.as_str()));
    metadata.insert("schema_version".to_owned(), json!("1"));
    document.insert("metadata".to_owned(), Value::Object(metadata));
    document
}
