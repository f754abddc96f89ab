//! Repositories to fetch from, written object by object, so that trees no git program would make can be had too.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use git2::{ObjectType, Oid, Repository, Signature, Time};

/// An entry of a tree.
#[derive(Clone)]
pub struct Node {
    name: Vec<u8>,
    content: Content,
}

#[derive(Clone)]
enum Content {
    File(Vec<u8>, &'static str),
    Folder(Vec<Node>),
    Submodule,
    Repeated(usize, Vec<u8>),
}

pub fn file(name: &str, text: &str) -> Node {
    Node { name: name.into(), content: Content::File(text.into(), "100644") }
}

pub fn link(name: &str, target: &str) -> Node {
    Node { name: name.into(), content: Content::File(target.into(), "120000") }
}

pub fn dir(name: &str, nodes: Vec<Node>) -> Node {
    Node::named(name.as_bytes(), nodes)
}

/// A module that would run, below its own `modules/`; [`Origin::commit`] joins those.
pub fn module(name: &str, version: &str) -> Node {
    let index = format!("{{\"metadata\": {{\"schema_version\": \"{version}\", \"name\": \"{name}\"}}}}");
    dir(
        "modules",
        vec![dir(name, vec![file("index.json", &index), file("index.py", "def main(args):\n    return True\n")])],
    )
}

pub fn bytes(name: &[u8]) -> &OsStr {
    OsStr::from_bytes(name)
}

impl Node {
    pub fn named(name: &[u8], nodes: Vec<Node>) -> Self {
        Self { name: name.to_vec(), content: Content::Folder(nodes) }
    }

    pub fn executable(name: &str, text: &str) -> Self {
        Self { name: name.into(), content: Content::File(text.into(), "100755") }
    }

    pub fn submodule(name: &str) -> Self {
        Self { name: name.into(), content: Content::Submodule }
    }

    /// As many files of this content, in a folder called `many`.
    pub fn repeated(count: usize, text: &str) -> Self {
        Self { name: "many".into(), content: Content::Repeated(count, text.into()) }
    }

    fn write(&self, repository: &Repository) -> (&'static str, Oid) {
        let odb = repository.odb().unwrap();
        match &self.content {
            Content::File(text, mode) => (mode, odb.write(ObjectType::Blob, text).unwrap()),
            Content::Folder(nodes) => ("40000", write_tree(repository, nodes)),
            Content::Repeated(count, text) => {
                let blob = odb.write(ObjectType::Blob, text).unwrap();
                let mut tree = Vec::new();
                for index in 0..*count {
                    entry(&mut tree, "100644", format!("f{index:05}").as_bytes(), blob);
                }
                ("40000", odb.write(ObjectType::Tree, &tree).unwrap())
            }
            Content::Submodule => ("160000", Oid::from_bytes(&[7; 20]).unwrap()),
        }
    }
}

fn write_tree(repository: &Repository, nodes: &[Node]) -> Oid {
    let mut sorted: Vec<&Node> = nodes.iter().collect();
    // git sorts folders as if their names ended in a slash.
    sorted.sort_by_key(|node| {
        let mut key = node.name.clone();
        if matches!(node.content, Content::Folder(_) | Content::Repeated(..)) {
            key.push(b'/');
        }
        key
    });
    let mut tree = Vec::new();
    for node in sorted {
        let (mode, id) = node.write(repository);
        entry(&mut tree, mode, &node.name, id);
    }
    repository.odb().unwrap().write(ObjectType::Tree, &tree).unwrap()
}

fn entry(tree: &mut Vec<u8>, mode: &str, name: &[u8], id: Oid) {
    tree.extend_from_slice(mode.as_bytes());
    tree.push(b' ');
    tree.extend_from_slice(name);
    tree.push(0);
    tree.extend_from_slice(id.as_bytes());
}

/// A bare repository.
pub struct Origin {
    path: PathBuf,
}

impl Origin {
    pub fn new(path: &Path) -> Self {
        Repository::init_bare(path).unwrap();
        Self { path: path.to_owned() }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    fn open(&self) -> Repository {
        Repository::open_ext(&self.path, git2::RepositoryOpenFlags::NO_SEARCH, None::<&Path>).unwrap()
    }

    pub fn commit(&self, branch: &str, nodes: &[Node]) {
        let repository = self.open();
        let parent = repository.refname_to_id(&format!("refs/heads/{branch}")).ok();
        write_commit(&repository, branch, parent, nodes);
    }

    pub fn force(&self, branch: &str, nodes: &[Node]) {
        write_commit(&self.open(), branch, None, nodes);
    }

    pub fn tag(&self, name: &str, branch: &str) {
        let repository = self.open();
        let commit = repository.refname_to_id(&format!("refs/heads/{branch}")).unwrap();
        let object = repository.find_object(commit, None).unwrap();
        repository.tag(name, &object, &signature(), "a tag", false).unwrap();
    }

    pub fn remove_reference(&self, name: &str) {
        self.open().find_reference(name).unwrap().delete().unwrap();
    }
}

fn signature() -> Signature<'static> {
    Signature::new("A", "a@example.org", &Time::new(1_700_000_000, 0)).unwrap()
}

fn write_commit(repository: &Repository, branch: &str, parent: Option<Oid>, nodes: &[Node]) {
    let mut joined: Vec<Node> = Vec::new();
    for node in nodes {
        match (joined.iter_mut().find(|known| known.name == node.name), &node.content) {
            (Some(Node { content: Content::Folder(known), .. }), Content::Folder(more)) => known.extend(more.clone()),
            _ => joined.push(node.clone()),
        }
    }
    let tree = write_tree(repository, &joined);
    let parent = parent.map_or(String::new(), |id| format!("parent {id}\n"));
    let who = "A <a@example.org> 1700000000 +0000";
    let text = format!("tree {tree}\n{parent}author {who}\ncommitter {who}\n\ncommit on {branch}\n");
    let commit = repository.odb().unwrap().write(ObjectType::Commit, text.as_bytes()).unwrap();
    repository.reference(&format!("refs/heads/{branch}"), commit, true, "test").unwrap();
}
