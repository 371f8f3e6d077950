"""Rotary frequencies that transformers derives from config.json, in older and newer spellings."""

import json

import torch
from transformers import AutoConfig, AutoModelForCausalLM

#: Sizes beside the rope keys: heads of 128 numbers.
SIZES = dict(hidden_size=256, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1, vocab_size=16, pad_token_id=0,
             bos_token_id=1, eos_token_id=2)
SHORT = [1.0 + 0.01 * i for i in range(64)]
LONG = [1.0 + 0.5 * i for i in range(64)]

#: (name, keys of config.json, lengths of the text)
CONFIGURATIONS = [
    ("default", {"model_type": "llama", "max_position_embeddings": 4096, "rope_theta": 500000.0}, [1]),
    ("theta inside goes before theta beside", {"model_type": "qwen2", "rope_theta": 10000.0, "rope_scaling": {
        "type": "linear", "factor": 2.5, "rope_theta": 20000.0}}, [1]),
    ("linear, older", {"model_type": "llama", "max_position_embeddings": 4096, "rope_scaling": {"type": "linear", "factor": 4.0}}, [1, 9000]),
    ("dynamic, older", {"model_type": "llama", "max_position_embeddings": 4096, "rope_theta": 10000.0, "rope_scaling": {"type": "dynamic", "factor": 2.0}},
     [1, 4096, 4097, 6001, 8192]),
    ("dynamic counts from max_position_embeddings", {"model_type": "mistral", "max_position_embeddings": 2048, "rope_parameters": {
        "rope_type": "dynamic", "factor": 8.0, "original_max_position_embeddings": 512, "rope_theta": 1e6}}, [600, 5000]),
    ("Llama 3.1", {"model_type": "llama", "max_position_embeddings": 131072, "rope_theta": 500000.0, "rope_scaling": {
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}}, [1]),
    ("yarn, older (Qwen2.5)", {"model_type": "qwen2", "max_position_embeddings": 32768, "rope_theta": 1e6, "rope_scaling": {
        "type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}}, [1]),
    ("yarn without original context", {"model_type": "qwen3", "head_dim": 128, "max_position_embeddings": 8192, "rope_parameters": {
        "rope_type": "yarn", "factor": 4.0, "rope_theta": 1e6}}, [1]),
    ("yarn with the original context beside", {"model_type": "llama", "max_position_embeddings": 8192, "original_max_position_embeddings": 1024,
        "rope_parameters": {"rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": 2048, "rope_theta": 1e4}}, [1]),
    ("yarn, every key", {"model_type": "llama", "max_position_embeddings": 65536, "rope_parameters": {
        "rope_type": "yarn", "factor": 16.0, "original_max_position_embeddings": 4096, "beta_fast": 20.0, "beta_slow": 2.0, "mscale": 0.707,
        "mscale_all_dim": 0.5, "truncate": False, "rope_theta": 10000.0}}, [1]),
    ("yarn, factor below 1 and zeros for defaults", {"model_type": "llama", "max_position_embeddings": 4096, "rope_parameters": {
        "rope_type": "yarn", "factor": 0.5, "original_max_position_embeddings": 4096, "beta_fast": 0, "beta_slow": 0, "rope_theta": 10000.0}}, [1]),
    ("yarn, attention factor", {"model_type": "llama", "max_position_embeddings": 65536, "rope_parameters": {
        "rope_type": "yarn", "factor": 16.0, "original_max_position_embeddings": 4096, "attention_factor": 1.25, "mscale": 2.0, "mscale_all_dim": 1.0,
        "rope_theta": 10000.0}}, [1]),
    ("longrope, older (Phi-3.5)", {"model_type": "phi3", "max_position_embeddings": 131072, "original_max_position_embeddings": 4096, "rope_theta": 10000.0,
        "rope_scaling": {"type": "longrope", "short_factor": SHORT, "long_factor": LONG, "original_max_position_embeddings": 4096}}, [1, 4096, 4097]),
    ("longrope on a part of the heads (Phi-4 mini)", {"model_type": "phi3", "max_position_embeddings": 131072, "original_max_position_embeddings": 4096,
        "partial_rotary_factor": 0.75, "rope_theta": 10000.0, "rope_scaling": {"type": "longrope", "short_factor": SHORT[:48], "long_factor": LONG[:48],
                                                                                "original_max_position_embeddings": 4096}}, [4096, 4097]),
    ("longrope in a Llama", {"model_type": "llama", "max_position_embeddings": 32768, "rope_parameters": {
        "rope_type": "longrope", "rope_theta": 10000.0, "factor": 8.0, "short_factor": SHORT, "long_factor": LONG,
        "original_max_position_embeddings": 4096}}, [100, 5000]),
    ("Gemma 3, older", {"model_type": "gemma3_text", "head_dim": 128, "sliding_window": 512, "sliding_window_pattern": 2, "max_position_embeddings": 131072,
        "rope_theta": 1e6, "rope_local_base_freq": 10000.0, "rope_scaling": {"rope_type": "linear", "factor": 8.0}}, [1]),
    ("Gemma 3", {"model_type": "gemma3_text", "head_dim": 128, "sliding_window": 512, "layer_types": ["full_attention", "sliding_attention"],
        "max_position_embeddings": 32768, "rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 5e5},
                                                              "sliding_attention": {"rope_type": "linear", "factor": 2.0, "rope_theta": 2e4}}}, [1]),
    ("Gemma 3 by default", {"model_type": "gemma3_text", "head_dim": 128, "layer_types": ["full_attention", "sliding_attention"]}, [1]),
    ("SmolLM3 by default", {"model_type": "smollm3"}, [1]),
]


def frequencies(keys, length):
    """[(frequencies, factor on cos and sin)] of full and, where it differs, of sliding attention in a fresh model."""
    keys = json.loads(json.dumps({**SIZES, **keys}))
    config = AutoConfig.for_model(keys.pop("model_type"), **keys)
    with torch.no_grad():
        rotary = AutoModelForCausalLM.from_config(config).model.rotary_emb
    positions = torch.tensor([[length - 1]])
    if not isinstance(rotary.rope_type, dict):
        rotary(torch.zeros(1), positions)
        return [(rotary.inv_freq, rotary.attention_scaling)]
    found = []
    for kind in ("full_attention", "sliding_attention"):
        rotary(torch.zeros(1), positions, kind)
        found.append((getattr(rotary, f"{kind}_inv_freq"), getattr(rotary, f"{kind}_attention_scaling")))
    return found


def record_ropes(out):
    recorded = []
    for name, keys, lengths in CONFIGURATIONS:
        texts = [
            {"length": length, "ropes": [{"frequencies": [float(f"{f:.9g}") for f in inverse.tolist()], "magnitude": magnitude}
                                         for inverse, magnitude in frequencies(keys, length)]}
            for length in lengths
        ]
        recorded.append({"name": name, "config": {**SIZES, **keys}, "texts": texts})
    (out / "ropes.json").write_text(json.dumps(recorded) + "\n")
