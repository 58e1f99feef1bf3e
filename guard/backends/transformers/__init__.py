"""A policy model in this process: transformers on its own decode loop, cut and continued token-exactly.

Knows the extra that brings torch and transformers. It is the only backend that holds a model; the registry imports
it only when a configuration names it.
"""

from guard.errors import MissingExtra

_EXTRA = ("torch", "transformers", "tokenizers", "jinja2")

try:
    from guard.backends.transformers.backend import TransformersBackend
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] not in _EXTRA:
        raise
    raise MissingExtra(f"the transformers backend needs {error.name!r}: pip install 'premise-guard[local]'") from error

plugin = TransformersBackend
