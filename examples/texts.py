"""Writes realistic texts to a number of files.

    python examples/texts.py --lines 100000 --files 4 --output texts      # texts/text-0.txt ...

The same seed gives the same texts. Few words are frequent and most are rare (Zipf's law), as in any language; some
lines have accents, apostrophes, digits and other scripts, and about 1 in 1000 is not valid UTF-8, as in real archives.
"""

import argparse
import random
import sys
from pathlib import Path

_COMMON = (
    "the",
    "of",
    "and",
    "to",
    "in",
    "a",
    "is",
    "that",
    "it",
    "was",
    "for",
    "on",
    "are",
    "with",
    "as",
    "his",
    "they",
)
_PARTS = (
    "ba",
    "cor",
    "del",
    "es",
    "fin",
    "gra",
    "hel",
    "ion",
    "ka",
    "lum",
    "mar",
    "ne",
    "or",
    "pre",
    "qua",
    "ri",
    "sto",
)
_SPECIAL = ("don't", "naïve", "Straße", "東京", "café", "O'Brien", "Москва", "3.14", "2026", "e-mail")
_WORDS = 5_000


def vocabulary(seed: int) -> list[str]:
    """Words, the frequent ones first."""
    chance = random.Random(seed)
    rare = {"".join(chance.choices(_PARTS, k=chance.randint(2, 4))) for _ in range(_WORDS)}
    return [*_COMMON, *sorted(rare, key=lambda word: (len(word), chance.random()))]


def line(chance: random.Random, words: list[str], weights: list[float]) -> bytes:
    """A sentence of some words."""
    chosen = chance.choices(words, cum_weights=weights, k=chance.randint(4, 16))
    if chance.random() < 0.2:
        chosen[chance.randrange(len(chosen))] = chance.choice(_SPECIAL)
    text = " ".join(chosen).capitalize() + chance.choice(".!?")
    return text.encode() + (b" \xff\xfe" if chance.random() < 0.001 else b"")


def main() -> int:
    """Writes the files and prints their paths."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=100_000)
    parser.add_argument("--files", type=int, default=1)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    o = parser.parse_args()
    o.output.mkdir(parents=True, exist_ok=True)
    words, weights = vocabulary(o.seed), list[float]()
    for rank in range(len(words)):
        weights.append((weights[-1] if weights else 0) + 1 / (rank + 1))
    for number in range(o.files):
        chance = random.Random(f"{o.seed}/{number}")
        path = o.output / f"text-{number}.txt"
        path.write_bytes(b"".join(line(chance, words, weights) + b"\n" for _ in range(o.lines // o.files)))
        print(f"{path}: {o.lines // o.files:,} lines")
    return 0


if __name__ == "__main__":
    sys.exit(main())
