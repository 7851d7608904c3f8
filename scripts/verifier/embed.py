"""Unit vectors of texts by the two built-in models, kept in WORK so that a second run embeds only what is new."""
import os
import pickle

import numpy as np
import onnxruntime as ort
from onnxruntime_extensions import get_library_path

WORK = os.environ["WORK"]
MODELS = os.environ["MODELS"]


def _session(folder):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.register_custom_ops_library(get_library_path())
    return ort.InferenceSession(f"{MODELS}/{folder}/model.onnx", options)


def _multilingual():
    session = _session("use-multilingual-v3-int8")
    return lambda text: session.run(["outputs"], {"inputs": np.array([text], dtype=object)})[0][0]


def _minilm():
    from tokenizers import Tokenizer

    session = _session("all-minilm-l6-v2-int8")
    tokenizer = Tokenizer.from_file(f"{MODELS}/all-minilm-l6-v2-int8/tokenizer.json")
    tokenizer.no_padding()
    tokenizer.enable_truncation(256)
    names = {given.name for given in session.get_inputs()}

    def embed(text):
        tokens = tokenizer.encode(text)
        given = {
            "input_ids": np.array([tokens.ids]),
            "attention_mask": np.array([tokens.attention_mask]),
            "token_type_ids": np.zeros((1, len(tokens.ids)), dtype=np.int64),
        }
        return session.run(None, {name: given[name] for name in names})[0][0].mean(0)

    return embed


OPEN = {"use": _multilingual, "minilm": _minilm}


class Embedder:
    def __init__(self, model):
        self.path = f"{WORK}/vectors_{model}.pkl"
        self.known = pickle.load(open(self.path, "rb")) if os.path.exists(self.path) else {}
        self.open = OPEN[model]

    def __call__(self, texts):
        """One row a text, of length 1."""
        new = [text for text in dict.fromkeys(texts) if text not in self.known]
        if new:
            embed = self.open()
            for text in new:
                vector = embed(text).astype(np.float32)
                self.known[text] = vector / np.linalg.norm(vector)
            with open(self.path, "wb") as file:
                pickle.dump(self.known, file)
        return np.stack([self.known[text] for text in texts])
