#!/usr/bin/env python3
"""Writes tiny random GPTQ checkpoints, and what transformers computes with them.

    pip install numpy safetensors torch transformers
    python checkpoints.py checkpoints

Quantised here, by rounding to the nearest, so that every width, packing and
naming can be asked for; the network itself, its configuration class and the
float32 run are those of transformers (5.24 made the recorded ones). What is in
reference.safetensors is said in infer/infertest.
"""
import json, os, re, sys

import numpy as np
import torch
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM
import transformers

SIZE = dict(vocab_size=96, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
            max_position_embeddings=128, initializer_range=0.12, bos_token_id=1, eos_token_id=2, pad_token_id=0)


def pack(codes, bits):
    """(K, N) codes as a stream of bits along K, in (words, N) int32."""
    k, n = codes.shape
    words = np.zeros(((k * bits + 31) // 32 + 1, n), np.uint64)
    for i in range(k):
        at, shift = divmod(i * bits, 32)
        v = codes[i].astype(np.uint64) << np.uint64(shift)
        words[at] |= v & np.uint64(0xFFFFFFFF)
        words[at + 1] |= v >> np.uint64(32)
    return torch.from_numpy(words[:-1].astype(np.uint32).view(np.int32).copy())


def quantize(w, rng, bits=4, group=32, act=False, sym=True, v2=False, scales="float16", g_idx=True):
    """The tensors of an (N, K) weight, and the weight that they stand for."""
    n, k = w.shape
    size = group if group > 0 else k
    groups = np.arange(k) // size
    if act:
        groups = groups[np.argsort(rng.permutation(k))]
    top = 2**bits - 1
    scale = np.zeros((groups.max() + 1, n))
    zero = np.full(scale.shape, (top + 1) // 2)
    for g in range(len(scale)):
        part = w[:, groups == g]
        low, high = np.minimum(part.min(1), 0), np.maximum(part.max(1), 0)
        if sym:
            high = np.maximum(high, -low)
            low = -high
        scale[g] = torch.tensor((high - low) / top).to(getattr(torch, scales)).double().numpy()
        if not sym:
            zero[g] = np.clip(np.round(-low / scale[g]), 1, top)
    codes = np.clip(np.round(w.T / scale[groups] + zero[groups]), 0, top).astype(int)
    dense = scale[groups].astype(np.float32) * (codes - zero[groups]).astype(np.float32)
    tensors = {"qweight": pack(codes, bits), "qzeros": pack((zero - (not v2)).T, bits).T.contiguous(),
               "scales": torch.tensor(scale).to(getattr(torch, scales))}
    if g_idx:
        tensors["g_idx"] = torch.from_numpy(groups.astype(np.int32))
    return tensors, torch.from_numpy(np.ascontiguousarray(dense.T))


def fused(tensors, into):
    """Queries, keys and values as one matrix of that name."""
    out = {}
    for name, t in tensors.items():
        if re.search(r"\.[kv]_proj\.", name):
            continue
        if ".q_proj." in name:
            parts = [tensors[name.replace("q_proj", p)] for p in ("q_proj", "k_proj", "v_proj")]
            t = t if name.endswith("g_idx") else torch.cat(parts, -1)
        out[name.replace("q_proj", into)] = t
    return out


class Maker:
    def __init__(self, name, kind, config, head=False, zero_bias=False, rules={}, rename={}, extra={}, fuse=None, **quant):
        self.rng = np.random.default_rng(sum(map(ord, name)))
        torch.manual_seed(sum(map(ord, name)))
        config = {**SIZE, **config}
        if kind == "falcon":
            del config["intermediate_size"]  # it has a name of its own, and a default
        self.config = AutoConfig.for_model(kind, **config)
        self.model = AutoModelForCausalLM.from_config(self.config, attn_implementation="eager").float().eval()
        self.name, self.head, self.zero_bias, self.rules, self.rename, self.quant = name, head, zero_bias, rules, rename, quant
        self.tensors, self.fuse = dict(extra), fuse

    @torch.no_grad()
    def weights(self):
        for p in self.model.parameters():
            noise = torch.randn_like(p)
            p.copy_((p + 0.1 * noise if p.dim() == 1 else 0.12 * noise).half().float())
        done = set()
        for name, module in self.model.named_modules():
            if not isinstance(module, torch.nn.Linear):
                continue
            done |= {name + ".weight", name + ".bias"}
            if name == "lm_head" and self.config.tie_word_embeddings:
                continue
            plain = name.endswith("gate") or name == "lm_head" and not self.head
            module.weight.copy_(self.linear(name, module.weight, module.bias, plain))
        for name, p in self.model.named_parameters():
            if p.dim() == 3:  # all experts of a layer
                self.experts(name, p)
            elif name not in done:
                self.tensors[name] = p.half()

    def experts(self, name, p):
        prefix, leaf = name.rsplit(".", 1)
        for e, w in enumerate(p):
            if leaf == "gate_up_proj":
                half = len(w) // 2
                w[:half] = self.linear(f"{prefix}.{e}.gate_proj", w[:half])
                w[half:] = self.linear(f"{prefix}.{e}.up_proj", w[half:])
            else:
                w.copy_(self.linear(f"{prefix}.{e}.down_proj", w))

    def linear(self, name, w, bias=None, plain=False):
        options = dict(self.quant)
        for pattern, rule in self.rules.items():
            if re.match(pattern, name):
                plain = plain or rule is None
                options.update(rule or {})
        if bias is not None:
            self.tensors[name + ".bias"] = bias.half()
        if plain:
            self.tensors[name + ".weight"] = w.half()
            return w
        if bias is None and self.zero_bias:
            self.tensors[name + ".bias"] = torch.zeros(len(w)).half()
        tensors, dense = quantize(w.double().numpy(), self.rng, **options)
        self.tensors.update({f"{name}.{k}": v for k, v in tensors.items()})
        return dense

    @torch.no_grad()
    def reference(self, prompts, greedy):
        out = {}
        for i, length in enumerate(prompts):
            # Rotary embeddings of some kinds keep a state: each prompt has a model of its own.
            fresh = AutoModelForCausalLM.from_config(self.config, attn_implementation="eager").float().eval()
            fresh.load_state_dict(self.model.state_dict())
            ids = torch.from_numpy(self.rng.integers(3, self.config.vocab_size, (1, length)))
            run = fresh(ids, output_hidden_states=True, use_cache=False)
            out.update({f"prompt.{i}.ids": ids[0], f"prompt.{i}.logits": run.logits[0].contiguous()})
            out.update({f"prompt.{i}.hidden.{l}": h[0].contiguous() for l, h in enumerate(run.hidden_states)})
            if i == 0:
                text = fresh.generate(ids, max_new_tokens=greedy, do_sample=False, eos_token_id=None, pad_token_id=0,
                                      output_scores=True, return_dict_in_generate=True)
                best = [s[0].topk(2).values for s in text.scores]
                out["greedy.ids"] = text.sequences[0, length:].contiguous()
                out["greedy.margin"] = torch.tensor([b[0] - b[1] for b in best])
        return out

    def write(self, folder, prompts=(24, 5, 1), greedy=12, edit=lambda c: c):
        self.weights()
        path = os.path.join(folder, self.name)
        os.makedirs(path, exist_ok=True)
        config = {**self.config.to_dict(), "architectures": [type(self.model).__name__]}
        q = self.quant
        config["quantization_config"] = {
            "bits": q.get("bits", 4), "group_size": q.get("group", 32), "desc_act": q.get("act", False), "sym": q.get("sym", True),
            "quant_method": "gptq", "checkpoint_format": "gptq_v2" if q.get("v2") else "gptq", "lm_head": self.head}
        if self.rules:
            config["quantization_config"]["dynamic"] = {
                ("+:" if rule else "-:") + pattern: {"bits": rule["bits"], "group_size": rule["group"]} if rule else {}
                for pattern, rule in self.rules.items()}
        with open(os.path.join(path, "config.json"), "w") as f:
            json.dump(edit(config), f, indent=1, sort_keys=True)
        if self.fuse:
            self.tensors = fused(self.tensors, self.fuse)
        for old, new in self.rename.items():
            self.tensors = {re.sub(old, new, k): v for k, v in self.tensors.items()}
        save_file({k: v.contiguous() for k, v in self.tensors.items()}, os.path.join(path, "model.safetensors"), {"format": "pt"})
        save_file(self.reference(prompts, greedy), os.path.join(path, "reference.safetensors"))
        with open(os.path.join(path, "reference.json"), "w") as f:
            json.dump({"checkpoint": self.name, "made_by": "infer/testdata/checkpoints.py",
                       "run_by": f"transformers {transformers.__version__}, float32, eager attention"}, f, indent=1)


def older(**keys):
    """The spelling of rotary embeddings that transformers had until version 4."""
    def edit(config):
        config.pop("rope_parameters")
        config["torch_dtype"] = config.pop("dtype", None) or "float16"
        return {**config, **keys}
    return edit


def main(folder):
    two = dict(num_key_value_heads=2)
    short, long = [1 + 0.1 * i for i in range(8)], [1.5 + 0.7 * i for i in range(8)]
    su = dict(original_max_position_embeddings=32, rope_parameters=dict(rope_type="longrope", short_factor=short, long_factor=long))
    moe = dict(two, num_experts=6, num_experts_per_tok=3, moe_intermediate_size=32)

    Maker("gemma-4bit-32g-act", "gemma", dict(two, head_dim=24), act=True).write(
        folder, edit=older(rope_theta=10000.0, hidden_act="gelu"))
    Maker("phi-3bit-32g-qk-norm", "phi", dict(two, qk_layernorm=True, partial_rotary_factor=0.25), bits=3).write(folder)
    first = {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_inner": 96, "n_positions": 128, "rotary_dim": 8, "activation_function": "gelu_new",
             "layer_norm_epsilon": 1e-5, "model_type": "phi-msft"}
    Maker("phi-4bit-32g-first-names", "phi", dict(vocab_size=128), fuse="Wqkv", rename={
        r"^lm_head\.": "lm_head.linear.", r"^model\.final_layernorm": "lm_head.ln", r"^model\.embed_tokens": "transformer.embd.wte",
        r"^model\.layers": "transformer.h", "input_layernorm": "ln", r"self_attn\.dense": "mixer.out_proj", "self_attn": "mixer"}).write(
            folder, edit=lambda c: {**first, **{k: c[k] for k in ("architectures", "vocab_size", "quantization_config", "eos_token_id")}})
    Maker("phi3-4bit-32g-window-act", "phi3", dict(two, sliding_window=9), act=True).write(folder)
    Maker("phi3-4bit-32g-longrope", "phi3", su).write(
        folder, (28, 50), 12, older(rope_theta=10000.0, rope_scaling=dict(type="su", short_factor=short, long_factor=long)))
    Maker("gptneox-8bit--1g-sequential", "gpt_neox", dict(use_parallel_residual=False, hidden_act="gelu_new"), bits=8, group=-1,
          rename={"^lm_head": "embed_out"}).write(folder, edit=older(rotary_pct=0.25, rotary_emb_base=10000))
    Maker("falcon-4bit-32g-grouped-act", "falcon", dict(num_kv_heads=2, new_decoder_architecture=True), act=True).write(folder)
    Maker("falcon-4bit-32g-heads-sequential", "falcon", dict(
        multi_query=False, parallel_attn=False, bias=True, tie_word_embeddings=False)).write(folder)
    Maker("stablelm-4bit-32g-parallel-qk-norm", "stablelm", dict(two, qk_layernorm=True, use_parallel_residual=True)).write(folder)
    Maker("qwen2-4bit-32g-window", "qwen2", dict(
        two, num_hidden_layers=3, use_sliding_window=True, sliding_window=6, max_window_layers=1), scales="float32").write(folder)
    Maker("qwen2moe-2bit-16g-mixed", "qwen2_moe", dict(
        moe, num_hidden_layers=3, decoder_sparse_step=1, mlp_only_layers=[1], shared_expert_intermediate_size=64, norm_topk_prob=True),
        bits=2, group=16).write(folder)
    Maker("mixtral-4bit-32g-bf16-window", "mixtral", dict(two, num_local_experts=4, sliding_window=6), scales="bfloat16", zero_bias=True,
          rename={r"\.mlp\.": ".block_sparse_moe.", "gate_proj": "w1", "up_proj": "w3", "down_proj": "w2"}).write(folder)
    Maker("llama-4bit-32g-dynamic-beyond", "llama", dict(two, max_position_embeddings=40, rope_parameters=dict(
        rope_type="dynamic", factor=4.0, rope_theta=10000.0))).write(folder, (100, 36), 8)
    Maker("llama-4bit-32g-overrides", "llama", dict(hidden_act="gelu", attention_bias=True), head=True, g_idx=False,
          rules={r"model\.layers\.0\.self_attn\.q_proj": None, r".*\.1\.mlp\.": dict(bits=8, group=64)},
          extra={"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(8)}).write(folder)


if __name__ == "__main__":
    main(*sys.argv[1:])
