"""The parts of tests/vm/power-cuts: what the guest is given, how it is booted, and what a cut leaves of its disk."""
