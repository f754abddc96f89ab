//! What a profile allows on purpose, each with its reason. Whoever adds a line here loosens the sandbox: the reason has
//! to stand in the profile as well, and in the page on what the sandbox does and does not protect from.

/// Row, profile, reason.
pub const ALLOWED: &[(&str, &str, &str)] = &[
    ("66a", "network", NETWORK),
    ("66b", "network", NETWORK),
    ("66c", "network", NETWORK),
    ("66d", "network", NETWORK),
    ("66e", "network", NETWORK),
    ("67", "network", "names are resolved over UDP"),
    ("68b", "network", NETWORK),
    ("73b", "network", "clients talk to services over sockets that are files; one that the module sees it can talk to"),
    ("70a", "network", "the C library asks by it which addresses the machine has before it resolves a name"),
];

const NETWORK: &str = "the profile shares the machine's network, its loopback services among it";

/// Rows that can't be tried under a profile: as user 0 there is no becoming user 0, and without IPv6 nothing to reach by it.
pub const NOT_APPLICABLE: &[(&str, &str)] = &[
    ("64b", "default"),
    ("64b", "network"),
    ("64d", "default"),
    ("64d", "network"),
    ("66b", "strict"),
    ("66b", "default"),
    ("66b", "network"),
];
