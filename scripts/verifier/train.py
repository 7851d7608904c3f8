"""Fits the score, measures it on questions that it has not seen, and writes it.

    train.py write       fit on everything, write models/verifier-score.txt
    train.py validate    besides, leave out each fold and each source in turn, and replay the streams with those scores
"""
import json
import os
import subprocess
import sys

import numpy as np
from embed import Embedder
from own import pairs as own_pairs
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sources import FOLDS, STREAMS, Stream, folds, held, labelled, training

REPO, WORK = os.environ["REPO"], os.environ["WORK"]
SCORE = f"{REPO}/models/verifier-score.txt"
HEAD = "# P(one answer serves both): gradient-boosted trees, see models/verifier-score.md"

# For each of the two scores, how much a source's different and same pairs weigh. Support and question streams are what is served;
# statements (PAWS, STS) teach word order. Sources in both languages count for each with their texts in it.
WEIGHTS = {
    "korean": {
        "use stream_parakqc_ko": (6, 6),
        "use pairs_parakqc_ko": (0.5, 2),
        "use pairs_pawsx_ko": (0.5, 0.5),
        "use pairs_korsts_ko": (0.3, 0.3),
        "use pairs_question_pair_ko": (0.5, 0.5),
        "use own": (8, 8),
        "use written": (0.25, 0.25),
    },
    "other": {
        "use stream_bitext_support_en": (6, 3),
        "use stream_banking77_en": (3, 1.5),
        "use pairs_pawsx_en": (1, 0.8),
        "use own": (5, 5),
        "use written": (2, 2),
        "minilm stream_bitext_support_en": (2, 1),
        "minilm stream_banking77_en": (1, 0.5),
        "minilm written": (0.7, 0.7),
    },
}
SHAPES = {
    "korean": {"max_iter": 320, "learning_rate": 0.025, "max_leaf_nodes": 12, "min_samples_leaf": 30, "max_features": 0.5},
    "other": {"max_iter": 120, "learning_rate": 0.08, "max_leaf_nodes": 10, "min_samples_leaf": 30, "max_features": 0.6},
}

# What can only speak for one answer (1) and what only against it (-1); the rest is free. It helps English questions of a kind
# that no source has, and costs Korean ones, whose alignment is rougher, so it is asked of the other score only.
MONOTONE = {
    "cosine": 1, "grams": 1, "overlap": 1, "kept": 1, "little": 1, "frames": 1,
    "left_most": -1, "left_least": -1, "word_most": -1, "word_least": -1, "count_most": -1, "count_least": -1,
    "guessed": -1, "turned": -1, "kind": -1, "denial": -1, "trouble": -1, "either": -1, "names_most": -1,
    "names_least": -1, "scrambled": -1, "person": -1, "replaced": -1, "noun_most": -1, "noun_least": -1,
}  # fmt: skip

# Streams that are replayed; the Quora one is never trained on.
MEASURED = ("bitext_support_en", "parakqc_ko", "qqp_en", "banking77_en")

# What serves: the threshold of models/manifest.toml and the cuts of src/semantic/verify/judge.rs.
SERVED = {"threshold": 0.70, "korean": 0.93, "other": 0.81}
# The thresholds and the wrong share, in percent of all requests, that `validate` prints the best cut for.
THRESHOLDS = (0.67, 0.70, 0.73, 0.76)
TARGETS = (0.4, 0.5, 0.6)


def lab(*arguments):
    return subprocess.run([f"{WORK}/target/release/lab", *arguments], check=True, capture_output=True, text=True).stdout


NAMES = lab("names").split()


def measured(pairs):
    """Of each pair: the rule that it breaks (-1: none), the score as it ships, and a row of features."""
    source, rows = f"{WORK}/pairs.jsonl", f"{WORK}/features.f32"
    with open(source, "w", encoding="utf-8") as file:
        for p in pairs:
            file.write(json.dumps({"a": p["a"], "b": p["b"], "cos": p["cos"]}, ensure_ascii=False) + "\n")
    lab("features", source, rows)
    table = np.fromfile(rows, dtype=np.float32).reshape(-1, len(NAMES) + 2)
    return table[:, 0].astype(int), table[:, 1], table[:, 2:]


class Set:
    """A source's pairs as arrays, those that no rule refuses."""

    def __init__(self, pairs):
        rule, _, table = measured(pairs)
        self.rule, self.table = rule, table
        self.same = np.array([p["same"] for p in pairs])
        self.folds = np.array([p.get("folds", (0, 0)) for p in pairs])
        self.cosine = np.array([p["cos"] for p in pairs])
        self.judged = rule < 0
        self.korean = table[:, NAMES.index("hangul")] > 0.5


class Scores:
    """Two ensembles of trees: one for Korean pairs, one for all others."""

    def __init__(self, sets, keep):
        """`keep(name, set)`: which of a set's pairs to train on."""
        self.models = {language: self.fit(language, sets, keep) for language in WEIGHTS}

    def fit(self, language, sets, keep):
        tables, labels, weights = [], [], []
        for name, (different, same) in WEIGHTS[language].items():
            chosen = sets[name].judged & keep(name, sets[name]) & (sets[name].korean == (language == "korean"))
            label = sets[name].same[chosen]
            weights.append(np.where(label == 1, same / max((label == 1).sum(), 1), different / max((label == 0).sum(), 1)))
            tables.append(sets[name].table[chosen])
            labels.append(label)
        weight = np.concatenate(weights)
        monotone = [MONOTONE.get(name, 0) for name in NAMES] if language == "other" else None
        model = HistGradientBoostingClassifier(
            **SHAPES[language], l2_regularization=5, monotonic_cst=monotone, random_state=17, early_stopping=False
        )
        return model.fit(np.concatenate(tables), np.concatenate(labels), sample_weight=weight / weight.mean())

    def of(self, s):
        """P(one answer serves both) of each of a set's pairs."""
        out = np.zeros(len(s.same))
        for language, model in self.models.items():
            chosen = s.korean == (language == "korean")
            if chosen.any():
                out[chosen] = model.predict_proba(s.table[chosen])[:, 1]
        return out

    def written(self):
        lines = [HEAD]
        for language, model in self.models.items():
            lines += [f"score {language}", f"bias {float(model._baseline_prediction.ravel()[0]):.4f}"]
            lines += ["tree " + preorder(tree.nodes, 0) for (tree,) in model._predictors]
        return "\n".join(lines) + "\n"


def preorder(nodes, at):
    node = nodes[at]
    if node["is_leaf"]:
        return f"= {node['value']:.4f}"
    left, right = preorder(nodes, node["left"]), preorder(nodes, node["right"])
    return f"{NAMES[node['feature_idx']]} {node['num_threshold']:.5g} {left} {right}"


class Unseen:
    """Scores by models that saw no wording of a pair's question: one model a fold. A pair over two folds gets the mean of both."""

    def __init__(self, sets):
        self.scores = [Scores(sets, lambda name, s, fold=fold: (s.folds != fold).all(1)) for fold in range(FOLDS)]

    def of(self, s):
        scores = np.stack([scores.of(s) for scores in self.scores])
        return scores[s.folds.T, np.arange(len(s.same))].mean(0)


def best_cuts(stream, pairs, judged, p, korean):
    """As served; then for each threshold and target: right answers and the cut, the best that keeps wrong ones within the target."""
    ends = [pair["ends"] for pair in pairs]
    same = np.array([pair["same"] for pair in pairs]) == 1
    cuts = np.unique(np.quantile(p[same & judged], np.linspace(0.02, 0.8, 25)).round(3))
    scores = dict(zip(ends, np.where(judged, p, 0)))
    cut = SERVED["korean" if korean else "other"]
    lines = ["    as served: {:.2f}/{:.2f}".format(*stream.replay(scores, SERVED["threshold"], cut))]
    for threshold in THRESHOLDS:
        tried = [(*stream.replay(scores, threshold, cut), cut) for cut in cuts]
        found = []
        for target in TARGETS:
            right, wrong, cut = max([one for one in tried if one[1] <= target], default=(0, 0, 1))
            found.append(f"{right:.2f}/{wrong:.2f} at {cut:.2f}")
        lines.append(f"    threshold {threshold:.2f}: " + ", ".join(found))
    return "\n".join(lines)


def passing(s, p, cut, threshold):
    near = s.cosine >= threshold
    served = s.judged & (p >= cut)
    same, different = near & (s.same == 1), near & (s.same == 0)
    return f"passed {100 * served[same].mean():.1f} of {same.sum()}, refused {100 - 100 * served[different].mean():.1f} of {different.sum()}"


def main(mode):
    embed = {model: Embedder(model) for model in ("use", "minilm")}
    kept_back = held()
    own = [p for p in own_pairs() if not kept_back & {p["a"], p["b"]}]
    streams = {name: Stream(name, embed["use"]) for name in (*STREAMS, "qqp_en")}
    english = {name: Stream(name, embed["minilm"]) for name in ("bitext_support_en", "banking77_en")}
    named = {f"use {name}": pairs for name, pairs in training(embed["use"], streams, own, False).items()}
    named |= {f"minilm {name}": pairs for name, pairs in training(embed["minilm"], english, own, True).items()}
    # Measured only.
    replayed = {name: streams[name].pairs() for name in MEASURED}
    named |= {f"whole {name}": pairs for name, pairs in replayed.items()}
    for name in ("qqp_en", "paws_qqp_en"):
        named[f"use pairs_{name}"] = labelled(name, embed["use"])
    folds(named)
    sets = {name: Set(pairs) for name, pairs in named.items()}
    everything = Scores(sets, lambda name, s: np.ones(len(s.same), bool))
    with open(SCORE, "w", encoding="utf-8") as file:
        file.write(everything.written())
    if mode == "validate":
        validate(sets, streams, replayed, everything)


def validate(sets, streams, replayed, everything):
    unseen = Unseen(sets)
    print("by fold, unseen: AUC of the score (of the cosine)")
    for name, s in sets.items():
        if len(set(s.same[s.judged])) == 2:
            own, plain = (roc_auc_score(s.same[s.judged], p[s.judged]) for p in (unseen.of(s), s.cosine))
            print(f"  {name:34} {own:.3f} ({plain:.3f})")
    for name in MEASURED:
        whole = sets[f"whole {name}"]
        held = {"in sample": everything.of(whole)}
        if name in STREAMS:
            held["questions left out"] = unseen.of(whole)
            held["source left out"] = Scores(sets, lambda n, s, name=name: np.full(len(s.same), name not in n)).of(whole)
        for how, p in held.items():
            print(f"{name}, {how}: right/wrong at cut, for wrong <= {TARGETS}")
            print(best_cuts(streams[name], replayed[name], whole.judged, p, name.endswith("_ko")), flush=True)
    for name in ("qqp_en", "paws_qqp_en", "pawsx_en", "pawsx_ko", "parakqc_ko"):
        s = sets[f"use pairs_{name}"]
        p = unseen.of(s)
        for cut in (0.6, 0.7, SERVED["other"], 0.85, SERVED["korean"]):
            print(f"{name}, questions left out, cut {cut}: {passing(s, p, cut, SERVED['threshold'])}")


if __name__ == "__main__":
    main(sys.argv[1])
