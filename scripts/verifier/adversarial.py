"""Fills in the cosines of tests/verify_pairs/*.jsonl by the multilingual model; the pairs themselves stand there."""
import json

from embed import Embedder
from sources import HELD, HELD_IN, rows


def main():
    embed = Embedder("use")
    for name in HELD:
        pairs = rows(f"{HELD_IN}/{name}.jsonl")
        a, b = embed([p["a"] for p in pairs]), embed([p["b"] for p in pairs])
        with open(f"{HELD_IN}/{name}.jsonl", "w", encoding="utf-8") as file:
            for p, cosine in zip(pairs, (a * b).sum(1)):
                p["cosine"] = round(float(cosine), 4)
                file.write(json.dumps(p, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
