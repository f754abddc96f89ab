"""What an update module may call: logging, progress, backups, permissions and versions.

The public modules are `updates.index` and `updates.utils`; every name with a leading underscore belongs to the host.
Nothing is imported here, because every module pays for it at each start.
"""
