"""KeePass databases (KDBX 3.1 and 4), read only: where jobs keep their credentials.

Written from the format's description, since the usual library is under a licence that does not fit.
"""
