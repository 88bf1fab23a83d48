"""Which models do which tasks: a model on this machine opened for one."""

from pathlib import Path
from typing import Any

from potstill.devices import default_device
from potstill.errors import UsageError
from potstill.hub.resolve import LocalModel
from potstill.lm.classification import load_text_classifier
from potstill.lm.embedding import load_embedder
from potstill.lm.span_scoring import load_span_reader
from potstill.models.registry import Architecture, architecture_of
from potstill.pipelines.decoder_states import load_decoder_states
from potstill.pipelines.feature_extraction import FeatureJob
from potstill.pipelines.held import Held
from potstill.pipelines.job import Job
from potstill.pipelines.place import Place
from potstill.pipelines.question_answering import QuestionJob
from potstill.pipelines.read_answers import ReadAnswers
from potstill.pipelines.task_name import KINDS, Kind, TaskName
from potstill.pipelines.text_classification import HeadJob, WriterJob
from potstill.pipelines.writer import open_writer
from potstill.pipelines.writing import WritingJob
from potstill.pipelines.written_answers import WrittenAnswers
from potstill.pipelines.zero_shot import LikelihoodScorer, NliScorer, ZeroShotJob
from potstill.progress import Progress
from potstill.types import DtypeName

_WRITERS = "a decoder (Gemma, Llama, Qwen, GPT-2 and their like) or a T5"
_ENCODERS: tuple[Kind, ...] = (
    "text-classification",
    "zero-shot-classification",
    "question-answering",
    "feature-extraction",
)
_TASKS: dict[Architecture, tuple[Kind, ...]] = {
    "decoder": KINDS,
    "encoder_decoder": tuple(kind for kind in KINDS if kind not in ("text-generation", "feature-extraction")),
    "encoder": _ENCODERS,
}
# A search for answers takes no guesses.
_DRAFTED: tuple[Kind, ...] = ("text-generation", "text2text-generation", "summarization", "translation")
_WHO: dict[Kind, str] = {
    "text-generation": "a decoder (Gemma, Llama, Qwen, GPT-2 and their like)",
    "feature-extraction": "an encoder (BERT, RoBERTa) or a decoder",
}


def open_job(task: TaskName, model: LocalModel, place: Place, progress: Progress) -> tuple[Held[Any], Job]:
    """The model's only holder, and the task over it; UsageError where it cannot do the task."""
    architecture = architecture_of(model.path)
    if task.kind not in _TASKS[architecture]:
        kind = architecture.replace("_", "-")
        raise UsageError(
            f"{model.name} is {'a' if kind == 'decoder' else 'an'} {kind}, which does "
            f"{', '.join(_TASKS[architecture])}. For {task.kind} name {_WHO.get(task.kind, _WRITERS)}."
        )
    if place.draft is not None and (architecture == "encoder" or task.kind not in _DRAFTED):
        raise UsageError(f"draft speeds up texts as they are written, and {task.asked} writes none. Drop it.")
    if architecture == "encoder":
        return _open_encoder(task, model.path, place)
    if task.kind == "feature-extraction":
        states = Held(load_decoder_states(model.path, place))
        return states, FeatureJob(states)
    held = Held(open_writer(model.path, place, progress))
    if task.kind == "zero-shot-classification":
        return held, ZeroShotJob(LikelihoodScorer(held))
    if task.kind == "text-classification":
        return held, WriterJob(task.asked, LikelihoodScorer(held))
    if task.kind == "question-answering":
        return held, QuestionJob(WrittenAnswers(held))
    return held, WritingJob(task, held)


def _open_encoder(task: TaskName, path: Path, place: Place) -> tuple[Held[Any], Job]:
    device = default_device(place.device)
    # An encoder is small, and its scores are compared with those of other libraries.
    dtype: DtypeName = "fp32" if place.dtype == "auto" else place.dtype
    if task.kind == "feature-extraction":
        embedder = Held(load_embedder(path, dtype=dtype, device=device, compile_cache=place.compile_cache))
        return embedder, FeatureJob(embedder)
    if task.kind == "question-answering":
        spans = Held(load_span_reader(path, dtype=dtype, device=device, cache=place.compile_cache))
        return spans, QuestionJob(ReadAnswers(spans))
    if place.compile_cache is not None:
        raise UsageError("A classifier is packed anew at each start: leave compile_cache out.")
    classifier = Held(load_text_classifier(path, dtype=dtype, device=device))
    if task.kind == "zero-shot-classification":
        return classifier, ZeroShotJob(NliScorer(classifier))
    return classifier, HeadJob(task.asked, classifier)
