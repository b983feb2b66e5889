"""From a part of a corpus to its predictions: cut, find actors, plan, tokenise; then the passes through the model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from rasd.corpus_job import Job
from rasd.inference import Classifier
from rasd.modeling import EVENT_GROUP
from rasd.parts import Part, ReadDocument, Receipt, StanceWhere, write_part
from rasd.passes import Plan, Target
from rasd.rows import Document
from rasd.spans import Span

Cut = tuple[list[Span], list[list[Target]]]


@dataclass(frozen=True)
class Prepared:
    """A part that is ready for the model."""

    part: Part
    documents: list[tuple[int, Document]]
    cuts: list[Cut]
    plan: Plan


def prepare_part(part: Part, classifier: Classifier, stance: StanceWhere) -> Prepared:
    """Do all that needs no model: cut the documents into spans, find their actors, plan and tokenise the passes."""
    documents = [(row, item) for row, item in enumerate(part.items, part.first_row) if isinstance(item, Document)]
    cuts: list[Cut] = []
    for _, document in documents:
        spans, targets, _ = classifier.cut_article(document.text, document.published)
        cuts.append((spans, [[] for _ in spans] if stance == "none" else targets))
    asked = cuts if stance == "all" else [(spans, [[] for _ in spans]) for spans, _ in cuts]
    return Prepared(part, documents, cuts, _plan(asked, classifier))


def predict_part(
    prepared: Prepared,
    classifier: Classifier,
    stance: StanceWhere,
    on_batch: Callable[[int], object] | None = None,
) -> list[ReadDocument]:
    """Make a part's passes; return its documents with the probabilities of their spans.

    With `stance="events"` the actors are asked about only in the spans that tell an event: these passes come second.
    """
    rows = iter(classifier.read(prepared.plan, on_batch=on_batch))
    if stance != "events":
        return [
            ReadDocument(row, document, spans, targets, [next(rows) for _ in spans])
            for (row, document), (spans, targets) in zip(prepared.documents, prepared.cuts, strict=True)
        ]
    read = []
    group, place = classifier.schema.group(EVENT_GROUP), classifier.schema.place(EVENT_GROUP)
    for (row, document), (spans, targets) in zip(prepared.documents, prepared.cuts, strict=True):
        own = [next(rows) for _ in spans]
        told = [bool((one.events[place] >= group.threshold).any()) for one in own]
        wanted = [found if tells else [] for found, tells in zip(targets, told, strict=True)]
        read.append(ReadDocument(row, document, spans, wanted, own))
    second = iter(classifier.read(_plan([(one.spans, one.targets) for one in read], classifier, events=False)))
    return [replace(one, rows=[replace(old, stances=next(second).stances) for old in one.rows]) for one in read]


def predict_and_write(
    job: Job, prepared: Prepared, classifier: Classifier, on_batch: Callable[[int], object] | None = None
) -> Receipt:
    """Predict a part and write it with its receipt; return the receipt."""
    documents = predict_part(prepared, classifier, job.settings.stance, on_batch)
    with_text = job.settings.with_text
    return write_part(job.folder, prepared.part, documents, classifier.schema, job.revision, with_text=with_text)


def _plan(cuts: Sequence[Cut], classifier: Classifier, *, events: bool = True) -> Plan:
    texts = [span.text for spans, _ in cuts for span in spans]
    return classifier.plan(texts, [wanted for _, targets in cuts for wanted in targets], events=events)
