//! What a module tries, seen by init through ptrace(2): each call about a path or the network and each that was
//! refused, told to the runner once. For a person who asked; nothing here restricts anything.

mod address;
mod calls;
mod memory;
mod ptrace;
mod sink;
mod tracer;

pub use sink::{TraceReader, TraceWriter, trace};
pub use tracer::Tracer;
