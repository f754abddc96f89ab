"""The older import path of the SDK, `initialization.files.user_local_lib.updates`, kept for the modules that use it."""
