"""Neural networks with glass walls: train on your own table or pictures, see every number.

The public names are listed once, in `__init__.pyi`. Each is imported when it is first used, so
`import glassnet` takes almost no time.
"""

from __future__ import annotations

import re
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

__version__ = "0.1.0"

_STUB = Path(__file__).with_suffix(".pyi").read_text("utf-8")
_IMPORTS = re.findall(r"^from (glassnet[\w.]*) import (\w+) as \w+$", _STUB, re.MULTILINE)
_MODULES = [name for module, name in _IMPORTS if module == "glassnet"]  # `gn.keys.key(0)`
_MODULE_OF = {name: module for module, name in _IMPORTS if module != "glassnet"}

__all__ = sorted([*_MODULE_OF, *_MODULES])


def __getattr__(name: str) -> Any:
    """Import a public name from its module, once."""
    if name in _MODULES:
        return import_module(f"glassnet.{name}")
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'glassnet' has no attribute '{name}'")
    from glassnet._cache import collection_paused, use_cache_from_environment

    with collection_paused():
        module = import_module(_MODULE_OF[name])
    if "jax" in sys.modules and not _cache_checked:
        _cache_checked.append(True)
        use_cache_from_environment()
    return globals().setdefault(name, getattr(module, name))


_cache_checked: list[bool] = []  # filled once GLASSNET_CACHE has been read


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
