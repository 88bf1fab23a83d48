"""Every error a user can meet. A message says what is wrong, where, and what to do.

    PotstillError           1  failed
    ├── UsageError          2  the command, the recipe or a setting is wrong
    │   └── ConfigError        an unknown key or a value out of range
    ├── RefusedError        3  a gate said no
    │   └── LockedError        another process works on the same folder
    ├── MissingError        4  something needed is not there
    │   ├── ModelMissing       no such model, or it needs a hub that cannot be reached
    │   ├── ExtraMissing       an optional dependency is not installed
    │   ├── DiskFull           no room left where the output goes
    │   ├── MemoryFull         not enough memory for what was asked
    │   └── DeviceMissing      the device asked for does not exist
    └── DamagedError        5  a file is cut short, altered, or newer than this version reads

Mistakes of our own are assertions and ordinary Python exceptions, and end with a traceback.
"""


class PotstillError(Exception):
    """Something the user can act on; `exit_code` is what the command ends with."""

    exit_code = 1


class UsageError(PotstillError):
    exit_code = 2


class ConfigError(UsageError):
    pass


class RefusedError(PotstillError):
    exit_code = 3


class LockedError(RefusedError):
    pass


class MissingError(PotstillError):
    exit_code = 4


class ModelMissing(MissingError):
    pass


class ExtraMissing(MissingError):
    pass


class DiskFull(MissingError):
    pass


class MemoryFull(MissingError):
    pass


class DeviceMissing(MissingError):
    pass


class DamagedError(PotstillError):
    exit_code = 5
