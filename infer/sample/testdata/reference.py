"""Writes reference.json: which tokens can be drawn, and how probably, by the logits processors and warpers of
transformers' generate: repetition penalty, temperature, top-k, top-p, min-p, each on float32 scores, in this order.

    pip install numpy && python reference.py > reference.json
"""
import json
import numpy as np

F = np.float32


def softmax(x):
    e = np.exp(x - x.max())
    return (e / e.sum(dtype=F)).astype(F)


def processed(logits, seen, penalty, temperature, top_k, top_p, min_p):
    x = logits.astype(F).copy()
    if penalty != 1:
        ids = np.unique(np.array(seen, int))
        x[ids] = np.where(x[ids] < 0, x[ids] * F(penalty), x[ids] / F(penalty))
    x = x / F(temperature)
    if top_k:
        x[x < np.sort(x)[::-1][min(top_k, len(x)) - 1]] = -np.inf
    if top_p < 1:
        order = np.argsort(x, kind="stable")
        gone = np.cumsum(softmax(x[order]), dtype=F) <= F(1 - top_p)
        gone[-1] = False
        x[order[gone]] = -np.inf
    if min_p:
        p = softmax(x)
        gone = p < F(min_p) * p.max()
        gone[np.argmax(x)] = False
        x[gone] = -np.inf
    return softmax(x)


rng = np.random.default_rng(7)
rows = []
for i in range(60):
    n = int(rng.choice([5, 40, 150]))
    # Multiples of 1/8 tie often; the others come close to no threshold of float32.
    logits = np.round(rng.normal(0, rng.choice([0.5, 3, 8]), n), 1 if i % 2 else 3) if i % 3 else np.round(rng.normal(0, 2, n) * 8) / 8
    row = {
        "logits": [float(F(v)) for v in logits],
        "seen": [int(v) for v in rng.integers(0, n, rng.integers(0, 8))],
        "penalty": float(rng.choice([1, 1.1, 1.3, 0.8])),
        "temperature": float(rng.choice([1, 0.7, 0.2, 1.5])),
        "top_k": int(rng.choice([0, 1, 3, 20, 1000])),
        "top_p": float(rng.choice([1, 0.95, 0.8, 0.3])),
        "min_p": float(rng.choice([0, 0.05, 0.3, 1])),
    }
    p = processed(np.array(row["logits"], F), row["seen"], row["penalty"], row["temperature"], row["top_k"], row["top_p"], row["min_p"])
    row["kept"] = [[int(j), float(p[j])] for j in np.nonzero(p > 1e-15)[0]]
    rows.append(row)
print("[" + ",\n".join(json.dumps(r) for r in rows) + "]")
