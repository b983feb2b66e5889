"""rasd (رصد): conflict events and outlet stance in Arabic news. See `Classifier`."""

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
