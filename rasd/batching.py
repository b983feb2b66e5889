"""Plan what the model reads at once: batches of similar length, windows of a long text."""

from collections.abc import Iterator, Sequence

CPU_BATCH_TOKENS = 512  # padded tokens in one batch: what a layer computes stays in the processor's cache
BATCH_TOKENS = 4096  # the same on an accelerator
Piece = tuple[int, int]


def batch_tokens(device: str) -> int:
    """Return how many padded tokens a batch should have at most, on a type of device as PyTorch names it."""
    return CPU_BATCH_TOKENS if device == "cpu" else BATCH_TOKENS


def plan_batches(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Yield indices in batches of similar length, the longest first, each within `budget` padded tokens.

    A single text longer than the budget is a batch of its own.
    """
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if batch and (len(batch) + 1) * lengths[batch[0]] > budget:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def cut_windows(offsets: Sequence[Piece], room: int, overlap: int) -> list[Piece]:
    """Return the character offsets of windows of `room` tokens that share `overlap` tokens with the next one.

    `offsets` are the tokens' own character offsets. A window begins where the token before it ends: the characters
    between them are white space, or the beginning of a URL whose token points at its last character only.
    """
    ends = [0, *(end for _, end in offsets)]
    firsts = range(0, len(offsets) - overlap, room - overlap)
    return [(min(ends[i], offsets[i][0]), ends[min(i + room, len(offsets))]) for i in firsts]


def window_of(start: int, end: int, windows: Sequence[Piece]) -> Piece:
    """Return the first window that holds the whole mention, else the first that its beginning does not lie behind."""
    whole = [window for window in windows if window[0] <= start and end <= window[1]]
    return whole[0] if whole else next((window for window in windows if start < window[1]), windows[-1])
