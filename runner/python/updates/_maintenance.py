"""Finds and runs the maintenance class of a module's maintenance.py.

It is the class, defined in that file, whose name ends in `Maintenance`. Where there are several, those that others of
them derive from are left out and the last one in the file is run, with a warning that names the choice.
"""

from updates import _channel


def run(module):
    """Construct the class with the whole manifest and return what its `run_maintenance()` returns."""
    found = _candidates(module)
    if not found:
        return _failure("%s defines no class whose name ends in Maintenance" % module.__file__)
    if len(found) > 1:
        from updates.index import log_message

        names = ", ".join(each.__name__ for each in found)
        log_message("maintenance.py defines several classes (%s): the last one is run" % names, "WARNING")
    chosen = found[-1]
    if not callable(getattr(chosen, "run_maintenance", None)):
        return _failure("%s in %s has no method run_maintenance()" % (chosen.__name__, module.__file__))
    try:
        manifest = _channel.current.request("invocation", {})["manifest"]
    except (_channel.ChannelError, _channel.RequestError, LookupError, TypeError) as error:
        return _failure("the module's manifest could not be had from the runner: %s" % error)
    return chosen(manifest).run_maintenance()


def _candidates(module):
    classes = {
        value: None
        for value in vars(module).values()
        if isinstance(value, type) and value.__name__.endswith("Maintenance") and value.__module__ == module.__name__
    }
    # A class that is redefined keeps its first place in the namespace, so the order is that of the source lines of
    # the names' first definitions.
    return [each for each in classes if not any(other is not each and issubclass(other, each) for other in classes)]


def _failure(reason):
    return {"success": False, "error": reason}
