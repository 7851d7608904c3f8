"""Trains the cross-encoder and writes its weights, and what it says of a few pairs, for the tests."""
import json
import os
import random

import torch
from cross_net import Net, Pairs
from cross_pairs import trained_on
from embed import Embedder
from torch import nn
from torch.nn import functional as F

REPO = os.environ["REPO"]
WEIGHTS = f"{REPO}/models/verifier-cross.safetensors"
GOLDEN = f"{REPO}/tests/it/golden/cross_encoder.json"
SEED, EPOCHS, RATE, ROWS, WARM_UP = 1, 2, 1e-3, 32, 0.06

# The log-odds of these stand in GOLDEN.
SHOWN = [
    ("How do I cancel my gym membership?", "what's the procedure to quit the gym"),
    ("How do I cancel my gym membership?", "How do I freeze my gym membership?"),
    ("Why does bread dough rise?", "what makes dough puff up before baking"),
    ("Why does bread dough rise?", "Why does bread dough not rise?"),
    ("one", "one"),
]


def batches(data, draw):
    """Of pairs of about one length."""
    data = draw.sample(data, len(data))
    out = []
    for begin in range(0, len(data), ROWS * 50):
        some = sorted(data[begin : begin + ROWS * 50], key=lambda p: len(p[0]) + len(p[1]))
        out += draw.sample([some[at : at + ROWS] for at in range(0, len(some), ROWS)], -(-len(some) // ROWS))
    return out


def train(net, pairs, data):
    draw = random.Random(SEED)
    parameters = [p for p in net.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=RATE, weight_decay=0.0)
    steps = EPOCHS * -(-len(data) // ROWS)
    step, seen = 0, []
    net.train()
    for _ in range(EPOCHS):
        for batch in batches(data, draw):
            step += 1
            for group in optimizer.param_groups:
                group["lr"] = RATE * max(0.0, min(step / (WARM_UP * steps), (steps - step) / ((1 - WARM_UP) * steps)))
            said = net(*pairs.batch([(b, a) if draw.random() < 0.5 else (a, b) for a, b, _, _ in batch]))
            label, weight = (torch.tensor([float(p[part]) for p in batch]) for part in (2, 3))
            loss = (F.binary_cross_entropy_with_logits(said, label, reduction="none") * weight).sum() / weight.sum()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            seen.append(loss.item())
            if step % 200 == 0:
                print(f"{step} of {steps}: loss {sum(seen[-200:]) / 200:.3f}", flush=True)


def main():
    net, pairs = Net(SEED), Pairs()
    data = trained_on(Embedder("use"))
    print(f"{len(data)} pairs, {sum(p.numel() for p in net.parameters())} numbers trained", flush=True)
    train(net, pairs, data)
    net.write(WEIGHTS)
    said = pairs.read(net.read(WEIGHTS), SHOWN)
    with open(GOLDEN, "w", encoding="utf-8") as file:
        rows = [{"a": a, "b": b, "log_odds": round(float(odds), 3)} for (a, b), odds in zip(SHOWN, said)]
        json.dump(rows, file, indent=2, ensure_ascii=False)
        file.write("\n")


if __name__ == "__main__":
    main()
