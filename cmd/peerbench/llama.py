"""llama.cpp beside qbranch: a model of TinyLlama's shape with random weights, and its speed.

    python llama.py make FILE.gguf [Q4_0|Q8_0]
    python llama.py run FILE.gguf THREADS PROMPT TOKENS     one line of JSON

Needs the packages llama-cpp-python, gguf and numpy.
"""
import json
import statistics
import sys
import time

HIDDEN, INTER, LAYERS, HEADS, KV_HEADS, VOCAB, CONTEXT = 2048, 5632, 22, 32, 4, 32000, 2048


def make(path, kind="Q4_0"):
    import gguf
    import numpy as np

    q = getattr(gguf.GGMLQuantizationType, kind)
    per_block, block_bytes = gguf.GGML_QUANT_SIZES[q]
    scale = np.frombuffer(np.float16(0.01 if kind == "Q4_0" else 0.0005).tobytes(), np.uint8)
    random = np.random.default_rng(0)
    w = gguf.GGUFWriter(path, "llama")
    w.add_context_length(CONTEXT)
    w.add_embedding_length(HIDDEN)
    w.add_block_count(LAYERS)
    w.add_feed_forward_length(INTER)
    w.add_head_count(HEADS)
    w.add_head_count_kv(KV_HEADS)
    w.add_rope_dimension_count(HIDDEN // HEADS)
    w.add_layer_norm_rms_eps(1e-5)
    w.add_file_type(getattr(gguf.LlamaFileType, "MOSTLY_" + kind))
    w.add_vocab_size(VOCAB)
    w.add_tokenizer_model("llama")
    words = ["<unk>", "<s>", "</s>"] + [f"<0x{i:02X}>" for i in range(256)]
    w.add_token_list(words + [f"t{i}" for i in range(VOCAB - len(words))])
    w.add_token_scores([0.0] * VOCAB)
    w.add_token_types([2, 3, 3] + [6] * 256 + [1] * (VOCAB - 259))
    w.add_bos_token_id(1)
    w.add_eos_token_id(2)

    def matrix(name, rows, cols):  # random codes, one sane scale for each block
        blocks = cols // per_block
        data = random.integers(0, 256, size=(rows, blocks, block_bytes), dtype=np.uint8)
        data[:, :, :2] = scale
        w.add_tensor(name, data.reshape(rows, blocks * block_bytes), raw_dtype=q)

    def norm(name):
        w.add_tensor(name, np.ones(HIDDEN, np.float32))

    matrix("token_embd.weight", VOCAB, HIDDEN)
    norm("output_norm.weight")
    matrix("output.weight", VOCAB, HIDDEN)
    kv = HIDDEN // HEADS * KV_HEADS
    for i in range(LAYERS):
        layer = f"blk.{i}."
        norm(layer + "attn_norm.weight")
        norm(layer + "ffn_norm.weight")
        matrix(layer + "attn_q.weight", HIDDEN, HIDDEN)
        matrix(layer + "attn_k.weight", kv, HIDDEN)
        matrix(layer + "attn_v.weight", kv, HIDDEN)
        matrix(layer + "attn_output.weight", HIDDEN, HIDDEN)
        matrix(layer + "ffn_gate.weight", INTER, HIDDEN)
        matrix(layer + "ffn_up.weight", INTER, HIDDEN)
        matrix(layer + "ffn_down.weight", HIDDEN, INTER)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def run(path, threads, prompt, tokens):
    import llama_cpp

    start = time.time()
    m = llama_cpp.Llama(path, n_ctx=CONTEXT, n_threads=threads, n_threads_batch=threads, n_batch=512, verbose=False)
    load = time.time() - start
    ids = [1] + [300 + 7 * i % 20000 for i in range(prompt - 1)]
    m.eval(ids[:8])  # the first evaluation prepares what later ones use
    prefill, decode = [], []
    for _ in range(3):
        m.reset()
        start = time.time()
        m.eval(ids)
        prefill.append(prompt / (time.time() - start))
        for i in range(tokens):
            start = time.time()
            m.eval([500 + i])
            decode.append(time.time() - start)
    print(json.dumps({
        "version": llama_cpp.__version__, "load_seconds": load,
        "prefill_tokens_per_second": statistics.median(prefill), "decode_tokens_per_second": 1 / statistics.median(decode)}))


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(*sys.argv[2:])
    else:
        run(sys.argv[2], *map(int, sys.argv[3:]))
