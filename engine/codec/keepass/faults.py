"""Why a database cannot be used, in words for the person who set the job up."""


class StoreFault(ValueError):
    """The database cannot be opened or does not have what is asked for."""


class StoreDamaged(StoreFault):
    """The file is not what its writer wrote."""


class StoreLocked(StoreFault):
    """The password or the key file is not the right one."""
