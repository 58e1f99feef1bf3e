"""Every error `guard` raises on purpose, and whose fault each one is.

GuardError                      the root: catch this to catch all of them
  ConfigError                   *your* configuration: a policy, guard.yaml, a command-line value
    PolicyError                 a supervision policy that cannot be loaded or contradicts itself
    UnknownPlugin               a check, backend or exporter that nothing provides
    MissingExtra                a feature whose optional packages are not installed
  RequestError                  *the client's* request: answered with its status and an OpenAI error body
  UpstreamError                 *their* failure: the policy model's server, with its status where it sent one
    UpstreamTimeout             it did not answer in time
    UpstreamDisconnected        it stopped in the middle of an answer
  SupervisorError               a supervisor model answered, and not with what it was asked for
  StoreError                    the record could not be written or read
  SessionError                  the driver broke the session's contract: a bug in guard

A message names the offending value with ``!r`` and the way out. An interruption is a value, never an exception.
"""

from __future__ import annotations

from collections.abc import Mapping


class GuardError(Exception):
    """Root of the tree."""


class ConfigError(GuardError):
    """A configuration value that cannot be used; the command line prints it on one line."""


class PolicyError(ConfigError):
    """A supervision policy that cannot be loaded or contradicts itself."""


class UnknownPlugin(ConfigError):
    """No module and no entry point provides a plug-in of this name."""


class MissingExtra(ConfigError):
    """An optional dependency is not installed; the message says which extra brings it."""


class RequestError(GuardError):
    """A request that cannot be served as it stands.

    Attributes:
        status: HTTP status to answer with (400, 401, 403, 404, 413, ...).
        param: the request field at fault, or None.
        code: a stable, machine-readable word such as ``model_not_found``, or None.
    """

    def __init__(self, message: str, *, status: int = 400, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.param = param
        self.code = code


class UpstreamError(GuardError):
    """The policy model's server failed.

    Attributes:
        status: its HTTP status, or 502 where it never sent one.
        body: its own error body, verbatim, or None; passed on to the client unchanged.
        headers: the headers worth passing on (rate limits, request id, the type of `body`), lower-case names.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 502,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = body
        self.headers = dict(headers or {})


class UpstreamTimeout(UpstreamError):
    """The policy model's server did not answer in time (504)."""

    def __init__(self, message: str) -> None:
        super().__init__(message, status=504)


class UpstreamDisconnected(UpstreamError):
    """The policy model's server closed the stream before it said that the answer was finished."""


class SupervisorError(GuardError):
    """A supervisor model's answer cannot be used; to the stream it is a check that did not run."""


class StoreError(GuardError):
    """The record could not be written or read."""


class SessionError(GuardError):
    """The driver broke the session's contract: a bug in guard, please report it."""
