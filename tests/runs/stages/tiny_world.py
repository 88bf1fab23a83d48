"""A base model of some ten thousand weights that shortens sixteen sentences when it is shown how.

It is overfitted in seconds on what a run will ask of it: few-shot prompts, the next sentence after an opener,
news after an agency's name, one text of a pair after the other. For each sentence it knows one or two good
short versions and one with a fault, so that the filters have something to reject.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tokenizers
import torch
from tokenizers import decoders, models, pre_tokenizers, trainers

from potstill.layers.rope import RopeSettings
from potstill.models.config import DecoderConfig
from potstill.models.decoder import Decoder
from potstill.models.export import save_decoder
from potstill.records.write import write_jsonl
from potstill.synthesis.contexts import news_prefix
from potstill.tasks.example import Example
from potstill.tasks.task import Shot, Task, load_task
from potstill.tokenization.tokenizer import Tokenizer
from potstill.training.settings import TrainingSettings
from potstill.training.trainer import train

VOCAB_SIZE = 700
BOS, EOS, PAD = "<bos>", "<eos>", "<pad>"

# Every stage in several chunks or steps, in seconds.
RECIPE = """
[run]
name = "tiny"
seed = 3
device = "cpu"
threads = 1

[model]
teacher = "base"

[task]
name = "tiny.toml"

[corpus]
paths = ["corpus.txt"]

[synthesis]
num_sources = 40
samples = 6
shots = 2
prompt_variants = 2
max_tokens = 24
min_words = 8
calibration_pairs = 40
chunk_sources = 6

[training]
max_steps = 16
batch_tokens = 512
learning_rate = 2e-3
checkpoint_every = 5
dtype = "fp32"

[evaluation]
file = "eval.jsonl"
max_tokens = 24
resamples = 100
"""

TASK = """
name = "tiny"
entails = "one_way"
instruction = "Long to short."
source_label = "Long:"
target_label = "Short:"

[limits]
min_length_ratio = 0.2
max_length_ratio = 0.8
min_words = 3
max_copied_run = 0.9

[[shots]]
source = "The small dog that lives next door barked at the moon all night."
target_text = "Dog barked at the moon."

[[shots]]
source = "A tired man in a grey coat waited for the last bus home."
target_text = "Man waited for the bus."
"""

# A sentence, its good short versions, and a bad one.
LESSONS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    (
        "The old bridge over the river was closed on Monday after heavy rain.",
        ("Bridge was closed after heavy rain.", "Bridge closed on Monday."),
        "The old bridge over the river was closed on Monday after heavy rain.",
    ),
    (
        "A young baker from the village won first prize for her dark bread.",
        ("Baker won prize for her bread.", "Young baker won first prize."),
        "Baker won 12 prizes for her bread.",
    ),
    (
        "The town library will open its doors on Sunday for the whole summer.",
        ("Library will open on Sunday.", "Library to open for the summer."),
        "Library will open in Paris.",
    ),
    (
        "Three boats were lost last night when a storm reached the north coast.",
        ("Three boats lost when storm reached coast.", "Boats were lost in a storm."),
        "Three boats were lost last night when",
    ),
    (
        "The farmer sold forty sheep at the market and bought a red tractor.",
        ("Farmer sold forty sheep.", "Farmer bought a red tractor."),
        "Sold sheep.",
    ),
    (
        "Workers at the glass factory stopped work on Friday to ask for more pay.",
        ("Workers stopped work to ask for pay.",),
        "Workers at the glass factory stopped work on Friday to ask for more.",
    ),
    (
        "A rare owl was seen in the park by two children on their way home.",
        ("Rare owl seen in the park.", "Two children seen in park by owl."),
        "A rare owl was seen in the park by 9 children.",
    ),
    (
        "The mayor said that the new school would be built near the station.",
        ("New school to be built near station.",),
        "Mayor said that Anna would be built.",
    ),
    (
        "Snow fell on the hills for five days and many roads were blocked.",
        ("Roads were blocked as snow fell.", "Snow fell for five days."),
        "Snow fell on the hills for five days and many",
    ),
    (
        "The museum bought a painting of a blue horse for a very large sum.",
        ("Museum bought painting of blue horse.",),
        "The museum.",
    ),
    (
        "An engineer fixed the water pump in an hour with a piece of wire.",
        ("Engineer fixed pump with wire.", "Engineer fixed the water pump."),
        "An engineer fixed the water pump in an hour with a piece of wire.",
    ),
    (
        "The singer lost her voice and the concert on Saturday was called off.",
        ("Concert called off as singer lost her voice.", "Concert on Saturday was called off."),
        "Concert on Saturday was called off in Rome.",
    ),
    (
        "Prices of milk and bread rose again in May, said the shop owners.",
        ("Prices of milk and bread rose.", "Prices rose again in May."),
        "Prices of milk rose 30 percent.",
    ),
    (
        "A fire in the kitchen of the hotel was put out by the cook.",
        ("Cook put out fire in hotel.", "Fire in hotel kitchen put out."),
        "Fire put. Cook out.",
    ),
    (
        "The train to the coast was two hours late because of a fallen tree.",
        ("Train was late because of fallen tree.", "Train to coast two hours late."),
        "Train late.",
    ),
    (
        "Students planted a hundred trees along the road to the old mill.",
        ("Students planted a hundred trees.", "Students planted trees along the road."),
        "Students planted a hundred trees along the road to the old.",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class World:
    """A folder with all that a run needs.

    base           the model
    tiny.toml      the task; two_way.toml the same, but both texts must say the same
    corpus.txt     the sentences; openers.jsonl what stands before them
    eval.jsonl     the sentences with good short versions
    recipe.toml    a recipe over these
    """

    folder: Path

    @property
    def recipe(self) -> Path:
        return self.folder / "recipe.toml"


def make_world(folder: Path) -> World:
    sentences = [source for source, _, _ in LESSONS]
    (folder / "tiny.toml").write_text(TASK)
    (folder / "two_way.toml").write_text(TASK.replace("one_way", "two_way"))
    (folder / "corpus.txt").write_text("\n\n".join(sentences) + "\n")
    records = [
        {"id": f"eval-{index}", "input": source, "summaries": good}
        for index, (source, good, _) in enumerate(LESSONS)
    ]
    write_jsonl(folder / "eval.jsonl", records)
    write_jsonl(folder / "openers.jsonl", [{"text": opener} for opener in openers()])
    (folder / "recipe.toml").write_text(RECIPE)
    make_base(folder)
    return World(folder)


def openers() -> list[str]:
    """A sentence for each lesson that its sentences may follow."""
    names = "Amber Birch Cedar Daisy Ebony Flint Grove Hazel Ivory Jade Koala Lilac Maple Nectar Olive Pearl"
    return [f"Now the news of the day from our reporter in {name} Street." for name in names.split()]


def make_base(folder: Path, seed: int = 0) -> None:
    """Train the model and write it to `folder` / base in Hugging Face layout."""
    task = load_task(str(folder / "tiny.toml"))
    tokenizer = make_tokenizer()
    decoder = _random_decoder(tokenizer, seed)
    settings = TrainingSettings(
        freeze_embeddings=False,
        learning_rate=6e-3,
        schedule="linear",
        warmup_share=0.05,
        batch_tokens=1200,
        max_steps=220,
        dtype="fp32",
        seed=seed,
        checkpoint_every=10_000,
    )
    train(decoder, list(_examples(task, tokenizer)), settings, folder / "base-training")
    save_decoder(decoder, tokenizer, folder / "base", dtype=torch.float32)


def make_tokenizer() -> Tokenizer:
    """Byte-level BPE: any text can be spelled, and the words of the lessons are mostly one token."""
    backend = tokenizers.Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        special_tokens=[PAD, BOS, EOS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = [text for source, good, bad in LESSONS for text in (source, *good, bad)]
    backend.train_from_iterator([TASK, *texts, *openers()], trainer)
    ids = {name: backend.token_to_id(name) for name in (BOS, EOS, PAD)}
    return Tokenizer(backend, bos_id=ids[BOS], eos_ids=[ids[EOS]], config={"pad_token": PAD})


def _random_decoder(tokenizer: Tokenizer, seed: int) -> Decoder:
    torch.manual_seed(seed)
    config = DecoderConfig(
        model_type="gemma3_text",
        vocab_size=tokenizer.vocab_size,
        hidden_size=48,
        intermediate_size=96,
        num_layers=2,
        num_heads=4,
        num_kv_heads=2,
        head_dim=16,
        max_positions=1024,
        norm_eps=1e-6,
        query_scale=16**-0.5,
        activation="gelu_pytorch_tanh",
        rope=RopeSettings(10_000.0),
        rope_local=RopeSettings(10_000.0),
        windows=(96, None),
        tied=True,
        bos_token_id=tokenizer.bos_id,
        eos_token_ids=tokenizer.eos_ids,
        pad_token_id=0,
    )
    decoder = Decoder(config)
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.copy_(torch.randn(parameter.shape) * (0.1 if parameter.dim() > 1 else 0.0))
    return decoder


def _examples(task: Task, tokenizer: Tokenizer) -> Iterator[Example]:
    assert tokenizer.bos_id is not None
    line_end = tokenizer.encode("\n")
    for prompt, answer in _questions(task):
        prompt_ids, answer_ids = tokenizer.encode_batch([prompt, answer])
        yield Example((tokenizer.bos_id, *prompt_ids), (*answer_ids, *line_end))


def _questions(task: Task) -> Iterator[tuple[str, str]]:
    """What a run asks of its teacher, and what the teacher is to answer."""
    rng = random.Random(0)
    for opener, (source, good, bad) in zip(openers(), LESSONS, strict=True):
        for target in (*good, bad):
            for _ in range(2):
                yield task.few_shot_prompt(_shots(task, rng), source), f" {target}"
        for target in good:
            yield f"{source}\n", target
            yield f"{target}\n", source
        for sentence in (source, good[0], good[-1]):
            yield opener, f" {sentence}"
        yield news_prefix(np.random.default_rng(len(source))), f" {source} {rng.choice(LESSONS)[0]}"


def _shots(task: Task, rng: random.Random) -> tuple[Shot, ...]:
    return tuple(rng.sample(task.shots, len(task.shots)))
