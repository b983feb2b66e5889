"""rasd (رصد): conflict events and outlet stance in Arabic news. See `Classifier`.

The names are imported when they are first used, so that `import rasd` itself takes no time.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rasd.actors import ActorLexicon
    from rasd.inference import Classifier
    from rasd.labels import LabelSchema
    from rasd.modeling import ArticlePrediction, EventPrediction, SpanPrediction, StancePrediction

__all__ = [
    "ActorLexicon",
    "ArticlePrediction",
    "Classifier",
    "EventPrediction",
    "LabelSchema",
    "SpanPrediction",
    "StancePrediction",
]
__version__ = "0.1.0"
_MODULES = {"ActorLexicon": "actors", "Classifier": "inference", "LabelSchema": "labels"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES.get(name, 'modeling')}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
