"""Fills in the cosines of tests/verify_pairs/*.jsonl by the multilingual model; the pairs themselves are written by hand there."""
import json
import os

from embed import Embedder
from sources import rows

FOLDER = f"{os.environ['REPO']}/tests/verify_pairs"


def main():
    embed = Embedder("use")
    for name in ("en", "ko", "fresh_en", "fresh_ko"):
        pairs = rows(f"{FOLDER}/{name}.jsonl")
        a, b = embed([p["a"] for p in pairs]), embed([p["b"] for p in pairs])
        with open(f"{FOLDER}/{name}.jsonl", "w", encoding="utf-8") as file:
            for p, cosine in zip(pairs, (a * b).sum(1)):
                p["cosine"] = round(float(cosine), 4)
                file.write(json.dumps(p, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
