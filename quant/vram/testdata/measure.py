"""Measures what a minimal GPTQ engine in PyTorch takes of a card.

    python3 measure.py [--kernel buffer|torch] NAME CONTEXT

The weights are random, but of the dtypes and shapes that a checkpoint has, so
that memory is what it would be: packed integers, scales, zeros and g_idx of
every matrix, embedding, head, norms, and a cache in 16 bits for CONTEXT tokens.
A prompt of CONTEXT - 8 tokens is computed in chunks of 2048, then 8 tokens one
by one. Matrices are unpacked into one buffer, as ExLlama's kernels do ("buffer"),
or by PyTorch's operators, as AutoGPTQ's fallback does ("torch").

Prints one line of JSON; bytes. "used" is what the card says is taken, less what
was taken before: context, libraries, allocator and all.
"""

import argparse
import json
import subprocess
import sys

# name: hidden, intermediate, layers, heads, key-value heads, vocabulary, experts, bits, group size
MODELS = {
    "llama-7b-4bit-128g": (4096, 11008, 32, 32, 32, 32000, 1, 4, 128),
    "llama-13b-4bit-128g": (5120, 13824, 40, 40, 40, 32000, 1, 4, 128),
    "llama-70b-4bit-128g": (8192, 28672, 80, 64, 8, 32000, 1, 4, 128),
    "mixtral-8x7b-3bit-128g": (4096, 14336, 32, 32, 8, 32002, 8, 3, 128),
    "mixtral-8x7b-4bit-128g": (4096, 14336, 32, 32, 8, 32002, 8, 4, 128),
}


def taken():
    out = subprocess.run(["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits", "--id=0"],
                         capture_output=True, text=True, check=True).stdout
    return int(out.strip()) << 20


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--kernel", choices=["buffer", "torch"], default="buffer")
    args.add_argument("name", choices=list(MODELS))
    args.add_argument("context", type=int)
    args = args.parse_args()
    before = taken()

    import torch
    import torch.nn.functional as F

    hidden, inter, layers, heads, kv, vocab, experts, bits, group = MODELS[args.name]
    dim = hidden // heads
    gpu = torch.device("cuda:0")
    half = torch.float16
    sizes = []

    def new(shape, dtype):
        t = torch.zeros(shape, dtype=dtype, device=gpu)
        sizes.append(t.numel() * t.element_size())
        return t

    widest = hidden * max(inter, heads * dim)
    scratch = torch.empty(widest if args.kernel == "buffer" else 0, dtype=half, device=gpu)

    class Linear:
        def __init__(self, k, n):
            self.k, self.n = k, n
            self.qweight = new((k * bits // 32, n), torch.int32)
            self.qzeros = new((k // group, n * bits // 32), torch.int32)
            self.scales = new((k // group, n), half)
            self.gidx = new((k,), torch.int32)
            self.bias = new((n,), half)

        def __call__(self, x):
            if args.kernel == "buffer":
                w = scratch[: self.k * self.n].view(self.k, self.n)
                w.zero_()
            else:
                w = self.unpack()
            return torch.matmul(x, w) + self.bias

        def unpack(self):
            # The operators of AutoGPTQ's fallback for 4 bits; 3 bits take the words of the 96-bit stream apart.
            if bits == 4:
                shift = torch.arange(0, 32, 4, dtype=torch.int32, device=gpu)
                q = torch.bitwise_right_shift(self.qweight.unsqueeze(1).expand(-1, 8, -1), shift.view(1, 8, 1)).to(torch.int8)
                q = torch.bitwise_and(q, 15).reshape(self.k, self.n)
                z = torch.bitwise_right_shift(self.qzeros.unsqueeze(2).expand(-1, -1, 8), shift.view(1, 1, 8)).to(torch.int8)
                z = torch.bitwise_and(z + 1, 15).reshape(-1, self.n)
            else:
                words = self.qweight.view(-1, 3, self.n)
                q = torch.empty((words.shape[0], 32, self.n), dtype=torch.int8, device=gpu)
                for i in range(32):
                    a, b = divmod(3 * i, 32)
                    v = torch.bitwise_right_shift(words[:, a], b)
                    if b > 29:
                        v = torch.bitwise_or(v, torch.bitwise_left_shift(words[:, a + 1], 32 - b))
                    q[:, i] = torch.bitwise_and(v, 7).to(torch.int8)
                q = q.view(self.k, self.n)
                z = torch.zeros((self.k // group, self.n), dtype=torch.int8, device=gpu)
            g = self.gidx.long()
            return self.scales[g] * (q - z[g])

    embed, head, norm = new((vocab, hidden), half), new((vocab, hidden), half), new((hidden,), half)
    blocks = []
    for _ in range(layers):
        b = {"q": Linear(hidden, heads * dim), "k": Linear(hidden, kv * dim), "v": Linear(hidden, kv * dim), "o": Linear(heads * dim, hidden),
             "n1": new((hidden,), half), "n2": new((hidden,), half),
             "mlp": [(Linear(hidden, inter), Linear(hidden, inter), Linear(inter, hidden)) for _ in range(experts)]}
        if experts > 1:
            b["gate"] = new((experts, hidden), half)
        blocks.append(b)
    weights = sum(sizes)
    cache = [torch.zeros((2, kv, args.context, dim), dtype=half, device=gpu) for _ in range(layers)]
    kv_bytes = sum(c.numel() * 2 for c in cache)

    def rms(x, w):
        return (x.float() * torch.rsqrt(x.float().pow(2).mean(-1, keepdim=True) + 1e-5)).to(half) * w

    def forward(tokens, pos):
        x = embed[tokens]
        n = len(tokens)
        for b, c in zip(blocks, cache):
            h = rms(x, b["n1"])
            q = b["q"](h).view(n, heads, dim).transpose(0, 1)
            c[0, :, pos : pos + n] = b["k"](h).view(n, kv, dim).transpose(0, 1)
            c[1, :, pos : pos + n] = b["v"](h).view(n, kv, dim).transpose(0, 1)
            mask = None
            if n > 1:
                mask = torch.ones((n, pos + n), dtype=torch.bool, device=gpu).tril(pos)
            a = F.scaled_dot_product_attention(q[None], c[0:1, :, : pos + n], c[1:2, :, : pos + n], attn_mask=mask, enable_gqa=heads != kv)
            x = x + b["o"](a[0].transpose(0, 1).reshape(n, heads * dim))
            h = rms(x, b["n2"])
            out = torch.zeros_like(h)
            share = [slice(None)] if experts == 1 else [slice(e, None, experts // 2) for e in range(experts)]
            for (gate, up, down), rows in zip(b["mlp"], share):
                if len(h[rows]):
                    out[rows] += down(F.silu(gate(h[rows])) * up(h[rows]))
            x = x + out
        return torch.matmul(rms(x[-1:], norm), head.t())

    with torch.no_grad():
        pos, prompt = 0, args.context - 8
        while pos < prompt:
            n = min(2048, prompt - pos)
            forward(torch.zeros(n, dtype=torch.long, device=gpu), pos)
            pos += n
        for _ in range(8):
            forward(torch.zeros(1, dtype=torch.long, device=gpu), pos)
            pos += 1
    torch.cuda.synchronize()
    used = taken() - before
    json.dump({"name": args.name, "kernel": args.kernel, "context": args.context, "card": torch.cuda.get_device_name(0), "torch": torch.__version__,
               "weights": weights, "kv": kv_bytes, "used": used, "overhead": used - weights - kv_bytes,
               "allocated": torch.cuda.max_memory_allocated(), "reserved": torch.cuda.max_memory_reserved()}, sys.stdout)
    print()


if __name__ == "__main__":
    main()
