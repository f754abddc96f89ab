"""The SDK under its older name. Every module below is the very module of `updates`, so classes are the same classes."""

from updates import _alias

_alias.install(__name__, "updates")
