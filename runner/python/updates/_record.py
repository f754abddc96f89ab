"""Plain records with the manners of a dataclass, without the cost of importing `dataclasses`.

A subclass lists its fields as annotations; a class attribute of the same name is the default. Records are constructed
by position or keyword, compare by value, and are taken for dataclasses by the functions of `dataclasses`.
"""


class _LazyFields:
    """Stands for `__dataclass_fields__` and builds it when it is asked for, which `dataclasses.asdict` does."""

    def __get__(self, instance, owner):
        import dataclasses

        fields = []
        for name, kind in owner.__annotations__.items():
            has_default = name in owner.__dict__
            fields.append((name, kind, owner.__dict__[name]) if has_default else (name, kind))
        owner.__dataclass_fields__ = dataclasses.make_dataclass(owner.__name__, fields).__dataclass_fields__
        return owner.__dataclass_fields__


class Record:
    """Base of a record. Raises TypeError for missing, repeated or unknown fields, as a function call would."""

    __dataclass_fields__ = _LazyFields()
    __hash__ = None  # records can change, as dataclasses can

    def __init__(self, *values, **named):
        names = list(type(self).__annotations__)
        if len(values) > len(names):
            raise TypeError("%s takes %d fields, %d were given" % (type(self).__name__, len(names), len(values)))
        for name, value in zip(names, values):
            if name in named:
                raise TypeError("%s got %r twice" % (type(self).__name__, name))
            named[name] = value
        for name in names:
            if name in named:
                setattr(self, name, named.pop(name))
            elif name in type(self).__dict__:
                setattr(self, name, type(self).__dict__[name])
            else:
                raise TypeError("%s needs %r" % (type(self).__name__, name))
        if named:
            raise TypeError("%s has no field %s" % (type(self).__name__, ", ".join(sorted(named))))

    def __init_subclass__(cls):
        cls.__match_args__ = tuple(cls.__annotations__)
        cls.__dataclass_fields__ = _LazyFields()

    def __eq__(self, other):
        if type(other) is not type(self):
            return NotImplemented
        return self._values() == other._values()

    def __repr__(self):
        fields = zip(type(self).__annotations__, self._values())
        return "%s(%s)" % (type(self).__qualname__, ", ".join("%s=%r" % field for field in fields))

    def _values(self):
        return tuple(getattr(self, name) for name in type(self).__annotations__)
