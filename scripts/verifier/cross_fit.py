"""How the score's log-odds and the cross-encoder's are best added, by logistic regression on pairs that neither was trained on; then
what comes of it, with several numbers added, on the pairs of tests/verify_pairs and on the streams. The numbers that serve are `BOTH`
of src/semantic/verify/judge.rs."""
import numpy as np
from cross import WEIGHTS
from cross_net import Net, Pairs
from cross_pairs import left_out
from embed import Embedder
from sklearn.linear_model import LogisticRegression
from sources import HELD_IN, Stream, cosines, labelled, pair, rows
from train import SERVED, measured

# As in src/semantic/choose.rs: below it the cross-encoder is not asked.
UNLIKELY = 0.10
MORE = (-1.75, -1.5, -1.25, -1.0, -0.75, -0.5)


def log_odds(p):
    p = np.clip(p, 1e-6, 1 - 1e-6)
    return np.log(p / (1 - p))


class Judged:
    """Pairs, and what the score and, where that is in doubt, the cross-encoder say of them."""

    def __init__(self, pairs, read):
        self.pairs = pairs
        self.same = np.array([p["same"] for p in pairs]) == 1
        rule, self.score, _ = measured(pairs)
        self.judged = rule < 0
        self.doubted = self.judged & (self.score >= UNLIKELY) & (self.score < SERVED["other"])
        self.said = np.zeros(len(pairs))
        self.said[self.doubted] = read([(p["a"], p["b"]) for p, doubted in zip(pairs, self.doubted) if doubted])

    def alone(self):
        return np.where(self.judged, self.score, 0)

    def both(self, by_score, by_encoder, more):
        sums = by_score * log_odds(self.score) + by_encoder * self.said + more
        return np.where(self.doubted, 1 / (1 + np.exp(-sums)), self.alone())


def passing(judged, p):
    passed, same = p >= SERVED["other"], judged.same
    return f"refused {100 - 100 * passed[~same].mean():.1f}, passed {100 * passed[same].mean():.1f}"


def main():
    net, tokens, embed = Net(0), Pairs(), Embedder("use")
    net.read(WEIGHTS)

    def judged(pairs):
        return Judged([p for p in pairs if p["cos"] >= SERVED["threshold"]], lambda pairs: tokens.read(net, pairs))

    fitted = judged(cosines(left_out(), embed))
    some = fitted.doubted
    table = np.column_stack([log_odds(fitted.score), fitted.said])[some]
    model = LogisticRegression(C=1e6).fit(table, fitted.same[some])
    (by_score, by_encoder), fit = model.coef_[0], float(model.intercept_[0])
    print(f"{some.sum()} pairs in doubt: {by_score:.3f} x score + {by_encoder:.3f} x cross-encoder + {fit:.3f}")
    sets = {}
    for name in ("en", "fresh_en"):
        found = rows(f"{HELD_IN}/{name}.jsonl")
        sets[name] = judged([{**pair(p["a"], p["b"], p["same"]), "cos": p["cosine"], "how": p["rule"]} for p in found])
    for name in ("qqp_en", "paws_qqp_en", "banking77_en"):
        sets[f"pairs {name}"] = judged(labelled(name, embed))
    streams = {name: Stream(name, embed) for name in ("bitext_support_en", "qqp_en", "banking77_en")}
    replayed = {name: judged(stream.pairs()) for name, stream in streams.items()}
    for more in (None, *MORE):
        print("alone" if more is None else f"both, {more:+.2f} added")

        def p(judged):
            return judged.alone() if more is None else judged.both(by_score, by_encoder, more)

        for name, one in sets.items():
            print(f"  {name}: {passing(one, p(one))}")
            for how in ("easy", "middling"):
                chosen = np.array([q.get("how") == how for q in one.pairs]) & one.same
                if chosen.any():
                    print(f"    {how}: {100 * (p(one) >= SERVED['other'])[chosen].mean():.0f} of {chosen.sum()}")
        for name, one in replayed.items():
            ends = [q["ends"] for q in one.pairs]
            scores, alone = dict(zip(ends, p(one))), dict(zip(ends, one.alone()))
            got = streams[name].replay(scores, SERVED["threshold"], SERVED["other"], vouched=alone)
            print("  {}: {:.2f}/{:.2f}".format(name, *got), flush=True)


if __name__ == "__main__":
    main()
