"""The one error a user is meant to read."""


class UserError(Exception):
    """Bad input. Its text is one line: where (file, key or line), what was found, what is allowed or what to do."""
