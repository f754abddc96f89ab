//! One runner process: spawn, converse, deadline, outcome.
