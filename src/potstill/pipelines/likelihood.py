"""How likely a model that writes finds each of some labels after a text."""

from collections.abc import Sequence

import numpy as np

from potstill.errors import UsageError
from potstill.lm.decoder import NeuralDecoder
from potstill.lm.encoder_decoder import EncoderDecoder
from potstill.lm.output_scoring import score_outputs
from potstill.lm.scoring import score_targets
from potstill.pipelines.hypothesis import Hypothesis
from potstill.pipelines.writer import Writer
from potstill.progress import Task


def label_logprobs(
    writer: Writer, texts: Sequence[str], labels: Sequence[str], hypothesis: Hypothesis, task: Task
) -> np.ndarray:
    """log p(label) of each label in nats, [texts, labels] float64; `task` advances by texts.

    A decoder goes on from the text and the hypothesis up to the label, with the label and what ends the
    hypothesis. An encoder-decoder reads the text and the labels, and answers with one of them.
    """
    model = writer.generator.engine.decoder
    share = _Share(task, 1 / len(labels))
    if isinstance(model, NeuralDecoder):
        asked = [_continued(writer, text, label, hypothesis) for text in texts for label in labels]
        scores = score_targets(model, asked, task=share)
    elif isinstance(model, EncoderDecoder):
        # What an earlier text left in the cache is written over.
        writer.generator.engine.forget_cache()
        scores = score_outputs(model, _answered(writer, texts, labels, hypothesis), task=share)
    else:
        raise UsageError("This model only draws tokens; labels need one that scores them.")
    return np.array(scores).reshape(len(texts), len(labels))


def _continued(
    writer: Writer, text: str, label: str, hypothesis: Hypothesis
) -> tuple[Sequence[int], Sequence[int]]:
    before = f"{text}\n{hypothesis.before}".rstrip(" ")
    whole = f"{text}\n{hypothesis.of(label)}"
    # Cut where the label begins, in tokens of the whole: alone they might be others.
    (found,) = writer.tokenizer.encode_spans([whole])
    num_before = sum(end <= len(before) for _, end in found.spans)
    return found.ids[:num_before], found.ids[num_before:]


def _answered(
    writer: Writer, texts: Sequence[str], labels: Sequence[str], hypothesis: Hypothesis
) -> list[tuple[Sequence[int], Sequence[int]]]:
    tokenizer = writer.tokenizer
    end = list(tokenizer.eos_ids[:1])
    options = "".join(f"\n- {label}" for label in labels)
    outputs = [ids + end for ids in tokenizer.encode_batch(list(labels))]
    prompts = [f"{text}\n\n{hypothesis.of('...')}\nOPTIONS:{options}" for text in texts]
    return [(ids + end, output) for ids in tokenizer.encode_batch(prompts) for output in outputs]


class _Share:
    """A task that counts texts where labels of texts are scored."""

    def __init__(self, task: Task, share: float) -> None:
        self._task, self._share = task, share

    def advance(self, count: float = 1) -> None:
        self._task.advance(count * self._share)

    def note(self, text: str) -> None:
        self._task.note(text)
