//! Bytes in JSON without loss: text where they are UTF-8, and `{"hex":"…"}` where they are not.
//!
//! File names, link targets and extended attributes are bytes to Linux; most of them are text to people.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes that are written as text where that loses nothing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize(&self.0, serializer)
    }
}

fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    match std::str::from_utf8(bytes) {
        Ok(text) => serializer.serialize_str(text),
        Err(_) => {
            let mut map = serializer.serialize_map(Some(1))?;
            map.serialize_entry("hex", &crate::fs::hexadecimal(bytes))?;
            map.end()
        }
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrHex;
        impl<'de> Visitor<'de> for TextOrHex {
            type Value = Bytes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text, or an object with the key \"hex\"")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Bytes, E> {
                Ok(Bytes(text.as_bytes().to_vec()))
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Bytes, M::Error> {
                match map.next_entry::<String, String>()? {
                    Some((key, digits)) if key == "hex" => from_hexadecimal(&digits)
                        .map(Bytes)
                        .ok_or_else(|| M::Error::custom("\"hex\" must hold pairs of hexadecimal digits")),
                    _ => Err(M::Error::custom("expected the key \"hex\"")),
                }
            }
        }
        deserializer.deserialize_any(TextOrHex)
    }
}

fn from_hexadecimal(digits: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| (byte as char).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| Some(digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?)).collect()
}

/// For `#[serde(with)]` on a [`PathBuf`].
pub(super) mod path {
    use super::{Bytes, Deserialize, Deserializer, OsStrExt, OsString, OsStringExt, PathBuf, Serializer};

    pub fn serialize<S: Serializer>(path: &std::path::Path, serializer: S) -> Result<S::Ok, S::Error> {
        super::serialize(path.as_os_str().as_bytes(), serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
        Bytes::deserialize(deserializer).map(|bytes| PathBuf::from(OsString::from_vec(bytes.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_come_back_and_text_stays_readable() {
        for (bytes, written) in
            [(&b"a\nb"[..], r#""a\nb""#), (b"\xff\x00", r#"{"hex":"ff00"}"#), ("ä".as_bytes(), "\"ä\"")]
        {
            let bytes = Bytes(bytes.to_vec());
            assert_eq!(serde_json::to_string(&bytes).unwrap(), written);
            assert_eq!(serde_json::from_str::<Bytes>(written).unwrap(), bytes);
        }
        assert!(serde_json::from_str::<Bytes>(r#"{"hex":"f"}"#).is_err());
    }
}
