//! What of a commit or a tag was signed, and with what: the bytes exactly as git signs them.
//!
//! See gitformat-signature(5). A tag's fields are read from the bytes that its signature covers, and from nothing else.

use git2::{ObjectType, Oid, Repository};

/// The largest commit or tag that is verified, in bytes.
const LARGEST: usize = 1 << 20;

/// Signed bytes and their signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Signed {
    pub payload: Vec<u8>,
    pub signature: Vec<u8>,
}

/// A tag object: what it points to, its own name, and its signature where it has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TagObject {
    pub target: Oid,
    pub kind: ObjectType,
    pub name: Vec<u8>,
    pub signed: Option<Signed>,
}

/// The signed bytes of a commit; `None` when it has no signature.
pub(super) fn commit(repository: &Repository, commit: Oid) -> Result<Option<Signed>, String> {
    let words = |error: git2::Error| error.message().to_owned();
    bounded(repository, commit, ObjectType::Commit)?;
    let object = repository.odb().and_then(|database| database.read(commit).map(|object| object.data().to_vec()));
    of_headers(&object.map_err(words)?)
}

// libgit2's own extraction goes on into the message, and drops the beginning of any line that starts with `gpgsig`: the
// one signature would then speak for several commits, of which git takes but one for signed.
fn of_headers(data: &[u8]) -> Result<Option<Signed>, String> {
    let headers = data.windows(2).position(|pair| pair == b"\n\n").map_or(data.len(), |at| at + 1);
    let (mut payload, mut signature, mut inside) = (Vec::with_capacity(data.len()), None, false);
    for line in data[..headers].split_inclusive(|byte| *byte == b'\n') {
        if let (true, Some(more), Some(signature)) = (inside, line.strip_prefix(b" "), signature.as_mut()) {
            Vec::extend_from_slice(signature, more);
            continue;
        }
        inside = false;
        if let Some(begin) = line.strip_prefix(b"gpgsig ") {
            if signature.replace(begin.to_vec()).is_some() {
                return Err("it has several signatures, and one is expected".to_owned());
            }
            inside = true;
        } else if line.starts_with(b"gpgsig") {
            return Err("it has a signature that is not verified here (a header that begins with gpgsig)".to_owned());
        } else {
            payload.extend_from_slice(line);
        }
    }
    payload.extend_from_slice(&data[headers..]);
    Ok(signature.map(|signature| Signed { payload, signature }))
}

/// Reads a tag object; `None` when the object is something else.
pub(super) fn tag(repository: &Repository, tag: Oid) -> Result<Option<TagObject>, String> {
    let words = |error: git2::Error| error.message().to_owned();
    let database = repository.odb().map_err(words)?;
    if database.read_header(tag).map_err(words)?.1 != ObjectType::Tag {
        return Ok(None);
    }
    bounded(repository, tag, ObjectType::Tag)?;
    let object = database.read(tag).map_err(words)?;
    parse(object.data()).map(Some).ok_or_else(|| "it is no tag as git writes them".to_owned())
}

// Asks for size and kind before anything is read.
fn bounded(repository: &Repository, object: Oid, kind: ObjectType) -> Result<(), String> {
    let header = repository.odb().and_then(|database| database.read_header(object));
    let (size, found) = header.map_err(|error| error.message().to_owned())?;
    if found != kind {
        return Err(format!("it is a {}, not a {}", found.str(), kind.str()));
    }
    if size > LARGEST {
        return Err(format!("it has {size} bytes; the largest that is verified is {LARGEST}"));
    }
    Ok(())
}

fn parse(data: &[u8]) -> Option<TagObject> {
    let header = data.windows(2).position(|pair| pair == b"\n\n")?;
    let mut lines = data[..header].split(|byte| *byte == b'\n');
    let target = lines.next()?.strip_prefix(b"object ")?;
    let kind = lines.next()?.strip_prefix(b"type ")?;
    let name = lines.next()?.strip_prefix(b"tag ")?.to_vec();
    let target = Oid::from_str(std::str::from_utf8(target).ok().filter(|id| id.len() == 40)?).ok()?;
    let kind = ObjectType::from_str(std::str::from_utf8(kind).ok()?)?;
    // Like git, the last line that begins a signature: a message may quote one.
    let mut start = None;
    let mut at = header + 2;
    for line in data[at..].split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b"-----BEGIN ") && super::signature::Kind::of(line).is_some() {
            start = Some(at);
        }
        at += line.len();
    }
    let signed = start.map(|at| Signed { payload: data[..at].to_vec(), signature: data[at..].to_vec() });
    Some(TagObject { target, kind, name, signed })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str =
        "object 1111111111111111111111111111111111111111\ntype commit\ntag v1\ntagger A <a@x> 1 +0000\n\n";

    #[test]
    fn a_tag_s_signature_is_the_last_one_and_covers_all_before_it() {
        let quoted = format!("{HEAD}text\n-----BEGIN PGP SIGNATURE-----\nquoted\n");
        let whole = format!("{quoted}-----BEGIN SSH SIGNATURE-----\nreal\n");
        let tag = parse(whole.as_bytes()).unwrap();
        assert_eq!(tag.name, b"v1");
        let signed = tag.signed.unwrap();
        assert_eq!(signed.payload, quoted.as_bytes());
        assert_eq!(signed.signature, b"-----BEGIN SSH SIGNATURE-----\nreal\n");
    }

    #[test]
    fn a_commit_s_signature_is_one_header_and_covers_everything_else() {
        let (tree, end) = ("tree 1\nauthor A\n", "encoding x\n\nwords\n\ngpgsig quoted\n more\n");
        let commit = format!("{tree}gpgsig -----BEGIN\n \n a\n b\n{end}");
        let signed = of_headers(commit.as_bytes()).unwrap().unwrap();
        assert_eq!(signed.signature, b"-----BEGIN\n\na\nb\n");
        assert_eq!(signed.payload, format!("{tree}{end}").as_bytes());
        for unsigned in [format!("{tree}{end}"), format!("{tree}\ngpgsig x\n"), tree.to_owned(), String::new()] {
            assert_eq!(of_headers(unsigned.as_bytes()), Ok(None), "{unsigned}");
        }
        // A line of another header's value is no header.
        let quoted = format!("{tree}mergetag object 1\n gpgsig x\n\nwords\n");
        assert_eq!(of_headers(quoted.as_bytes()), Ok(None));
        for bad in
            ["gpgsig a\ngpgsig b\n", "gpgsig a\n b\nencoding x\ngpgsig c\n", "gpgsig-sha256 a\n", "gpgsigtree 2\n"]
        {
            assert!(of_headers(format!("{tree}{bad}\nwords\n").as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_only_looks_like_a_signature_is_none_and_other_headers_are_refused() {
        assert_eq!(parse(format!("{HEAD}see -----BEGIN SSH SIGNATURE-----\n").as_bytes()).unwrap().signed, None);
        assert_eq!(parse(HEAD.replace("tag v1\n", "").as_bytes()), None);
        assert_eq!(parse(HEAD.replace("type commit", "typ commit").as_bytes()), None);
        assert_eq!(parse(b"object 11\n"), None);
    }
}
