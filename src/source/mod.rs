//! The source: a git repository of modules, mirrored without a work tree and read from the object store.
