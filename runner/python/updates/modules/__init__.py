"""`updates.modules.<name>` is `modules.<name>`: the hosted module, under the name of the place it is installed in."""

from updates import _alias

_alias.install("updates.modules", "modules")
