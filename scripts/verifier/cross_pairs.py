"""The pairs that the cross-encoder is trained on, English all."""
import itertools
import random

from own import pairs as own_pairs
from sources import REPO, Stream, held, pair, rows, training

# Of each source: how many pairs at most (half of them different), and what one weighs.
MOST = {
    "written": (None, 1.0), "own": (2000, 0.7), "pairs_pawsx_en": (None, 0.7),
    "stream_bitext_support_en": (2500, 1.0), "stream_banking77_en": (1500, 0.5),
}  # fmt: skip
# Different pairs of a cluster; there are six same ones.
DIFFERENT = 8
# Every so many clusters one is left out, to fit on (`cross_fit.py`).
LEFT_OUT = 12


def is_latin(text):
    return sum(ord(c) < 0x250 for c in text) >= 0.9 * len(text)


def clusters():
    """One line: wordings of one question, and near misses that are others."""
    found, kept_back = rows(f"{REPO}/scripts/verifier/clusters_en.jsonl"), held()
    return [c for c in found if not kept_back & {*c["same"], *c["other"]}]


def of_cluster(cluster):
    """Same pairs, different pairs."""
    same, other = cluster["same"], cluster["other"]
    different = [(a, b) for a in same for b in other] + list(itertools.combinations(other, 2))
    return [pair(a, b, 1) for a, b in itertools.combinations(same, 2)], [pair(a, b, 0) for a, b in different]


def left_out():
    """All pairs of the clusters that are not trained on."""
    return [p for c in clusters()[::LEFT_OUT] for some in of_cluster(c) for p in some]


def trained_on(embed):
    """(text, text, whether one answer serves both, weight), in no order that means anything."""
    draw = random.Random(3)
    kept_back = held()
    own = [p for p in own_pairs() if not kept_back & {p["a"], p["b"]}]
    streams = {name: Stream(name, embed) for name in ("bitext_support_en", "banking77_en")}
    out = []
    for name, pairs in training(embed, streams, own, False).items():
        if name not in MOST:
            continue
        most, weight = MOST[name]
        pairs = [p for p in pairs if is_latin(p["a"]) and is_latin(p["b"])]
        if most and len(pairs) > most:
            halves = ([p for p in pairs if p["same"] == same] for same in (1, 0))
            pairs = [p for half in halves for p in draw.sample(half, min(most // 2, len(half)))]
        out += [(p["a"], p["b"], p["same"], weight) for p in pairs]
    for at, cluster in enumerate(clusters()):
        if at % LEFT_OUT:
            same, different = of_cluster(cluster)
            out += [(p["a"], p["b"], p["same"], 1.0) for p in same + draw.sample(different, DIFFERENT)]
    return out
