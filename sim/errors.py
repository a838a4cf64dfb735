"""Errors that are told to the user in one line, and one that is not his."""

__all__ = ["DeadlockError", "RunFailedError", "UserError"]


class UserError(Exception):
    """Something the user can put right. The text says what is wrong, where, and what to do; exit status 2."""


class RunFailedError(Exception):
    """A run that started did not end well. The text says what happened and where more is; exit status 1."""


class DeadlockError(RuntimeError):
    """The main coroutine waits for something that can no longer happen."""
