//! The catalog: installed modules, their local settings, and the swap that replaces one with a newer version.
