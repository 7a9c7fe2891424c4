import json, sys
from pathlib import Path
import numpy as np
from gru import cell
from huggingface_hub import snapshot_download
from safetensors.numpy import load_file

# python write.py [REPOSITORY or FOLDER] [PROMPT] [TEMPERATURE] [LENGTH]
given = dict(enumerate(sys.argv))
source, temperature = given.get(1, "."), float(given.get(3, 0.8))
if not Path(source).is_dir():
    source = snapshot_download(source, allow_patterns=["*.json", "*.safetensors"])
vocab = json.loads(Path(source, "vocab.json").read_text("utf-8"))
w = load_file(Path(source, "model.safetensors"))
ids, rng = {c: i for i, c in enumerate(vocab)}, np.random.default_rng(0)
prompt = given.get(2) or ("\n" if "\n" in ids else vocab[1])
states = [(np.zeros(384, np.float32),) * 1] * 2


def step(i):  # read a character, score every next one
    x = w["embedding.weight"][i]
    for n in range(len(states)):
        parts = (w[f"rnn.{n}.{s}"] for s in ("kernel", "recurrent_kernel", "bias"))
        states[n] = cell(x, states[n], *parts)
        x = states[n][0]
    return (x @ w["head.kernel"] + w["head.bias"])[1:]  # without [UNK]


for character in prompt:
    logits = step(ids.get(character, 0))
for _ in range(int(given.get(4, 300))):  # logits plus noise: a fair draw
    i = 1 + int(np.argmax(logits + temperature * rng.gumbel(size=len(logits))))
    print(vocab[i], end="", flush=True)
    logits = step(i)
