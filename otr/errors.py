"""The one error a user is meant to read."""


class UserError(Exception):
    """Bad input. Its text is one line: where (file, key or line), what was found, what is allowed or what to do."""


class TemporaryError(UserError):
    """One that may be gone next time with nothing changed: the network, another process at the same files."""


def first_line(error: BaseException) -> str:
    """An error in one line: the first of its message, or its type where it has none."""
    return (str(error).splitlines() or [type(error).__name__])[0]
