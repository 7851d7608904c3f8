"""The built-in MiniLM as a cross-encoder: to the weights of each linear layer a matrix of low rank is added (LoRA, Hu et al., ICLR 2022);
biases, normalisations, token types and a head of two layers are trained whole."""
import hashlib
import os

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer
from torch import nn
from torch.nn import functional as F

BASE = f"{os.environ['MODELS']}/all-minilm-l6-v2-int8"
LAYERS, HEADS, DIM, HIDDEN, DROPOUT = 6, 12, 384, 32, 0.1
RANK, ALPHA = 4, 2.0
# As in src/semantic/cross.rs.
MAX_TOKENS = 128
EMBEDDINGS = "inner.embeddings."
LINEAR = {
    "query": "attention.self.query", "key": "attention.self.key", "value": "attention.self.value",
    "merge": "attention.output.dense", "wide": "intermediate.dense", "narrow": "output.dense",
}  # fmt: skip
NORMS = {"attended": "attention.output.LayerNorm", "done": "output.LayerNorm"}


class Graph:
    """The tensors of the model's graph by name, and the weights that belong to a bias."""

    def __init__(self):
        model = onnx.load(f"{BASE}/model.onnx")
        self.tensors = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
        made_by = {out: node for node in model.graph.node for out in node.output}
        self.weights = {}
        for node in model.graph.node:
            for given, bias in (node.input, node.input[::-1]) if node.op_type == "Add" else ():
                if bias.endswith(tuple(f"{name}.bias" for name in LINEAR.values())):
                    self.weights[bias] = made_by[given].input[1]

    def float(self, name):
        """A tensor kept as bytes and scales."""
        return torch.tensor(self.tensors[name + "_q"].astype(np.float32) * self.tensors[name + "_scale"])


class Linear(nn.Module):
    def __init__(self, graph, name):
        super().__init__()
        self.bias_name = f"{name}.bias"
        self.name = graph.weights[self.bias_name]
        self.register_buffer("weight", graph.float(self.name).t().contiguous())
        self.down = nn.Parameter(torch.randn(RANK, self.weight.shape[1]) * 0.02)
        self.up = nn.Parameter(torch.zeros(self.weight.shape[0], RANK))
        self.bias = nn.Parameter(torch.tensor(graph.tensors[self.bias_name]))

    def forward(self, x):
        return F.linear(x, self.weight + ALPHA * self.up @ self.down, self.bias)


def norm(graph, name):
    layer = nn.LayerNorm(DIM, eps=1e-12)
    layer.weight.data, layer.bias.data = (torch.tensor(graph.tensors[f"{name}.{part}"]) for part in ("weight", "bias"))
    return layer


class Net(nn.Module):
    def __init__(self, seed):
        super().__init__()
        torch.manual_seed(seed)
        graph = Graph()
        self.register_buffer("words", graph.float(EMBEDDINGS + "word_embeddings.weight"))
        self.register_buffer("places", graph.float(EMBEDDINGS + "position_embeddings.weight"))
        self.types = nn.Parameter(torch.tensor(graph.tensors[EMBEDDINGS + "token_type_embeddings.weight"]))
        self.norm = norm(graph, EMBEDDINGS + "LayerNorm")
        self.layers = nn.ModuleList()
        for at in range(LAYERS):
            parts = {part: Linear(graph, f"inner.encoder.layer.{at}.{name}") for part, name in LINEAR.items()}
            parts |= {part: norm(graph, f"inner.encoder.layer.{at}.{name}") for part, name in NORMS.items()}
            self.layers.append(nn.ModuleDict(parts))
        self.hidden = nn.Linear(2 * DIM, HIDDEN)
        self.out = nn.Linear(HIDDEN, 1)

    def forward(self, ids, types, mask):
        """Log-odds that one answer serves both, one a row."""
        drop = DROPOUT if self.training else 0.0
        x = F.dropout(self.norm(self.words[ids] + self.places[: ids.shape[1]] + self.types[types]), drop)
        unseen = torch.where(mask[:, None, None, :] > 0, 0.0, -1e9)
        rows, tokens, _ = x.shape

        def split(t):
            return t.view(rows, tokens, HEADS, DIM // HEADS).transpose(1, 2)

        for layer in self.layers:
            parts = (split(layer[part](x)) for part in ("query", "key", "value"))
            seen = F.scaled_dot_product_attention(*parts, attn_mask=unseen).transpose(1, 2).reshape(rows, tokens, DIM)
            x = layer["attended"](x + F.dropout(layer["merge"](seen), drop))
            x = layer["done"](x + F.dropout(layer["narrow"](F.gelu(layer["wide"](x))), drop))
        weight = mask[:, :, None].float()
        mean = (x * weight).sum(1) / weight.sum(1)
        return self.out(torch.tanh(self.hidden(torch.cat([x[:, 0], mean], 1))))[:, 0]

    def trained(self):
        """name -> parameter: by the names of the graph, with `.up` and `.down` for what is added to one, and the head's."""
        out = {EMBEDDINGS + "token_type_embeddings.weight": self.types}
        norms = {EMBEDDINGS + "LayerNorm": self.norm}
        for at, layer in enumerate(self.layers):
            norms |= {f"inner.encoder.layer.{at}.{name}": layer[part] for part, name in NORMS.items()}
            linear = [layer[part] for part in LINEAR]
            out |= {one.bias_name: one.bias for one in linear}
            out |= {f"{one.name}.up": one.up for one in linear} | {f"{one.name}.down": one.down for one in linear}
        for name, layer in norms.items():
            out |= {f"{name}.weight": layer.weight, f"{name}.bias": layer.bias}
        head = {"hidden": self.hidden, "out": self.out}
        return out | {f"head.{part}.{of}": getattr(layer, of) for part, layer in head.items() for of in ("weight", "bias")}

    def write(self, path):
        """What is trained, in half precision; `.up` with its factor."""
        factor = {True: ALPHA, False: 1.0}
        out = {name: factor[name.endswith(".up")] * value.detach().numpy() for name, value in self.trained().items()}
        with open(f"{BASE}/model.onnx", "rb") as file:
            base = hashlib.sha256(file.read()).hexdigest()
        save_file({name: value.astype(np.float16) for name, value in out.items()}, path, metadata={"base": base})

    def read(self, path):
        """What `write` wrote, over weights in bytes as the server has them."""
        kept = load_file(path)
        for name, parameter in self.trained().items():
            parameter.data = torch.tensor(kept[name].astype(np.float32))
        for layer in self.layers:
            for part in LINEAR:
                one = layer[part]
                whole = one.weight + one.up.data @ one.down.data
                scale = whole.abs().amax(1, keepdim=True) / 127
                one.weight.data = (whole / scale).round() * scale
                one.up.data.zero_()
        return self


class Pairs:
    """Pairs of texts as tokens: [CLS] one [SEP] other [SEP]."""

    def __init__(self):
        self.tokenizer = Tokenizer.from_file(f"{BASE}/tokenizer.json")
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(MAX_TOKENS)

    def batch(self, pairs):
        encoded = [self.tokenizer.encode(one, other) for one, other in pairs]
        width = max(len(e.ids) for e in encoded)
        rows = [[part + [0] * (width - len(part)) for part in (e.ids, e.type_ids, e.attention_mask)] for e in encoded]
        return [torch.tensor(part) for part in zip(*rows)]

    @torch.no_grad()
    def read(self, net, pairs, size=64):
        """Log-odds of each pair, in the order of its texts that serves."""
        net.eval()
        pairs = [tuple(sorted(pair, key=str.encode)) for pair in pairs]
        order = sorted(range(len(pairs)), key=lambda at: sum(map(len, pairs[at])))
        out = np.zeros(len(pairs))
        for begin in range(0, len(order), size):
            rows = order[begin : begin + size]
            out[rows] = net(*self.batch([pairs[at] for at in rows])).numpy()
        return out
