"""What a run of bench_decode.py was asked for."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Options:
    """`work` keeps converted models and the children's logs; the minutes bound each part."""

    model: str
    model_path: Path
    work: Path
    llama_python: Path | None
    threads: int
    rounds: int
    quick: bool
    decoder_minutes: float
    t5_minutes: float

    def log(self, name: str) -> Path:
        folder = self.work / "logs"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{name.replace(' ', '-')}.log"
