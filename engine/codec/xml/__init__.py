"""XML in: live folder files, `scheduler.xml` and XML commands become kernel values.

Every reader reports what it finds wrong to a `Findings` collector and goes on, so that a file's
findings come all at once. A file with at least one error gives no object.
"""
