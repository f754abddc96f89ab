//! OpenPGP keys as gpgv reads them: binary ones as they are, armored ones (RFC 9580, 6.2) decoded.

const BEGIN: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";
const END: &str = "-----END PGP PUBLIC KEY BLOCK-----";

/// The binary keys of a keyring, or what is wrong with it.
pub(super) fn keys(content: Vec<u8>) -> Result<Vec<u8>, &'static str> {
    let first = content.first().copied().ok_or("is empty; export keys into it: gpg --export KEY")?;
    if first & 0x80 != 0 || is_keybox(&content) {
        return Ok(content);
    }
    let text = std::str::from_utf8(&content).map_err(|_| "holds no OpenPGP keys")?;
    let mut keys = Vec::new();
    let mut lines = text.lines().map(str::trim);
    while lines.any(|line| line == BEGIN) {
        // Headers end with an empty line; the checksum begins with '='.
        let body: String = lines
            .by_ref()
            .skip_while(|line| !line.is_empty())
            .skip(1)
            .take_while(|line| *line != END)
            .filter(|line| !line.starts_with('='))
            .collect();
        let block = openssl::base64::decode_block(&body).map_err(|_| "holds a damaged block of OpenPGP keys")?;
        keys.extend(block);
    }
    if keys.is_empty() { Err("holds no OpenPGP keys; export them: gpg --export KEY") } else { Ok(keys) }
}

// GnuPG's own format of pubring.kbx: a first blob of type 1, and "KBXf" at its eighth byte.
fn is_keybox(content: &[u8]) -> bool {
    content.get(8..12) == Some(b"KBXf")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn armored_blocks_are_decoded_and_joined() {
        let block = |data: &str| format!("{BEGIN}\nComment: x\n\n{data}\n=abcd\n{END}\n");
        let text = format!("words\n{}\n{}", block("YWJj"), block("ZGVm"));
        assert_eq!(keys(text.into_bytes()), Ok(b"abcdef".to_vec()));
        assert_eq!(keys(vec![0x99, 1, 2]), Ok(vec![0x99, 1, 2]));
        for bad in ["", "words", &block("%%%"), "-----BEGIN PGP PUBLIC KEY BLOCK-----\n"] {
            assert!(keys(bad.as_bytes().to_vec()).is_err(), "{bad:?}");
        }
    }
}
