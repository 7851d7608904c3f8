"""The labelled pairs that the score is trained on, and the streams that it is measured on."""
import json
import os
import zlib

import numpy as np

REPO, DATA = os.environ["REPO"], os.environ["DATA"]

# Folds for cross-validation.
FOLDS = 5
# As in src/semantic/choose.rs and wordings.rs: the probability from which no further neighbour is looked at, that from which a
# question is remembered as another wording of the stored one, that from which such wordings may vouch, and how many are kept.
SURE, SURELY, LIKELY, WORDINGS = 0.95, 0.90, 0.50, 4
# Pairs below it are far below any threshold that serves.
LEAST_COSINE = 0.62
# Neighbours of one text that are trained on.
NEIGHBOURS = 12

# Pairs of which no text is trained on.
HELD_IN = f"{REPO}/tests/verify_pairs"
HELD = ("en", "ko", "fresh_en", "fresh_ko")

STREAMS = ("bitext_support_en", "parakqc_ko", "banking77_en")
PAIRS = ("parakqc_ko", "pawsx_en", "pawsx_ko", "korsts_ko", "question_pair_ko")


def rows(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def pair(a, b, same):
    return {"a": a, "b": b, "same": int(same)}


def cosines(pairs, embed):
    """Fills in the cosines and drops the far ones."""
    a, b = embed([p["a"] for p in pairs]), embed([p["b"] for p in pairs])
    for p, cosine in zip(pairs, (a * b).sum(1)):
        p["cos"] = round(float(cosine), 5)
    return [p for p in pairs if p["cos"] >= LEAST_COSINE]


class Stream:
    """Requests in order, and for each text its neighbours, best first."""

    def __init__(self, name, embed):
        requests = rows(f"{DATA}/streams/{name}.jsonl")
        self.classes = {r["prompt"]: r["class"] for r in requests}
        self.once = {r["prompt"] for r in requests if r["kind"] == "once"}
        self.texts = list(self.classes)
        number = {text: at for at, text in enumerate(self.texts)}
        self.requests = [(number[r["prompt"]], r["class"]) for r in requests]
        vectors = embed(self.texts)
        self.near = []
        for begin in range(0, len(self.texts), 500):
            scores = vectors[begin : begin + 500] @ vectors.T
            for at, row in enumerate(scores):
                row[begin + at] = -1
                best = np.argsort(-row)[:600]
                self.near.append([(int(j), float(row[j])) for j in best if row[j] >= LEAST_COSINE])

    def pairs(self, most=None):
        """Unordered neighbouring pairs, at most `most` a text."""
        seen, out = set(), []
        for i, near in enumerate(self.near):
            for j, cosine in near[:most]:
                if (min(i, j), max(i, j)) not in seen:
                    seen.add((min(i, j), max(i, j)))
                    a, b = self.texts[i], self.texts[j]
                    out.append({**pair(a, b, self.classes[a] == self.classes[b]), "cos": round(cosine, 5), "ends": (i, j)})
        return out

    def replay(self, p, threshold, cut, tried=5, vouched=None):
        """Right and wrong answers in percent of all requests, where `p[(i, j)]` is the verifier's score (0: a rule is broken) and
        `vouched` the same for other wordings, if that differs; as `reprise eval` does: the first that is sure serves, else the
        surest that reaches the cut; where a stored question is in doubt, the other wordings of it vouch."""
        stored, wordings, right, wrong = {}, {}, 0, 0

        def score(text, other, p=p):
            return p.get((min(text, other), max(text, other)), 0)

        for text, kind in self.requests:
            found = stored.get(text)
            left, surest, of = tried, 0, None
            cosines = dict(self.near[text]) if found is None else {}
            for other, cosine in self.near[text] if found is None else ():
                if cosine < threshold or not left or surest >= SURE:
                    break
                if other in stored:
                    left -= 1
                    likely = score(text, other)
                    if LIKELY <= likely < SURE:
                        vouching = [score(text, wording, vouched or p) for wording in wordings.get(other, ())
                                    if cosines.get(wording, 0) >= threshold]  # fmt: skip
                        likely = max([likely, *(one for one in vouching if one >= cut)])
                    if likely >= cut and likely > surest:
                        found, surest, of = stored[other], likely, other
            if of is not None and surest >= SURELY and text not in wordings.setdefault(of, []):
                wordings[of] = [*wordings[of], text][-WORDINGS:]
            if found is None:
                stored[text] = kind
            elif found == kind:
                right += 1
            else:
                wrong += 1
        return 100 * right / len(self.requests), 100 * wrong / len(self.requests)


def held():
    """The texts that are not trained on."""
    return {text for name in HELD for p in rows(f"{HELD_IN}/{name}.jsonl") for text in (p["a"], p["b"])}


def labelled(name, embed):
    """The pairs of a file, the far ones dropped."""
    return cosines([pair(r["a"], r["b"], r["label"]) for r in rows(f"{DATA}/pairs/{name}.jsonl")], embed)


def written():
    """The pairs written by hand beside this file; `rule` says what differs, or how far the wordings are apart."""
    found = [p for name in ("en", "ko") for p in rows(f"{REPO}/scripts/verifier/pairs_{name}.jsonl")]
    return [pair(p["a"], p["b"], p["same"]) for p in found]


def training(embed, streams, own, short):
    """name -> pairs with cosine and fold. No Quora text is among them: those of a stream are dropped."""
    out = {}
    for name, stream in streams.items():
        if name in STREAMS:
            quora = {text for text, kind in stream.classes.items() if kind.startswith("qqp")}
            # Nobody compared two questions that occur once: many are one question, and would teach that it is two.
            found = [p for p in stream.pairs(NEIGHBOURS) if not quora & {p["a"], p["b"]}]
            out[f"stream_{name}"] = [p for p in found if not {p["a"], p["b"]} <= stream.once]
    if not short:
        for name in PAIRS:
            out[f"pairs_{name}"] = labelled(name, embed)
        out["own"] = cosines(own, embed)
    out["written"] = cosines(written(), embed)
    return out


def folds(named):
    """Gives each pair the folds of its two texts, so that all wordings of one question lie in one fold."""
    root = {}

    def find(text):
        while root.setdefault(text, text) != text:
            root[text] = root[root[text]]
            text = root[text]
        return text

    for name, pairs in named.items():
        for p in pairs:
            # A statement and its attack belong together, whatever the label.
            if p["same"] or "pawsx" in name or "korsts" in name:
                root[find(p["a"])] = find(p["b"])
    for pairs in named.values():
        for p in pairs:
            p["folds"] = [zlib.crc32(find(p[side]).encode()) % FOLDS for side in ("a", "b")]

