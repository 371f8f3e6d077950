"""
Records how transformers and tokenizers read folders whose files say one thing twice, or in an unusual way.

    pip install -r tests/parity/requirements.txt
    python tests/formats/model/generate_recorded.py [folder of real tokenizers]

Each case is a fixture with patches: keys of its JSON files (null removes one), and changes of its weights. The tests
make the same folder and compare what the studio reads with what is recorded here.
"""

import json
import shutil
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

here = Path(__file__).parent
fixtures = here.parent.parent / "fixtures"
bos, eos = {"SpecialToken": {"id": "<s>", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}}
text = {"Sequence": {"id": "A", "type_id": 0}}


def template(*parts):
    tokens = {t: {"id": t, "ids": [i], "tokens": [t]} for i, t in ((1, "<s>"), (2, "</s>"))}
    pair = [*parts, {"Sequence": {"id": "B", "type_id": 1}}]
    return {"type": "TemplateProcessing", "single": list(parts), "pair": pair, "special_tokens": tokens}


def folder(fixture, files, to):
    shutil.copytree(fixtures / fixture, to)
    for name, patch in files.items():
        path = to / name
        values = json.loads(path.read_text()) if path.exists() else {}
        values.update(patch)
        path.write_text(json.dumps({k: v for k, v in values.items() if v is not None}))
    return to


own = "tokenizer_config.json"
added = {"special": True, "normalized": False, "lstrip": False, "rstrip": False, "single_word": False}
special_cases = {
    "as it is": {},
    "a template that closes every text": {"tokenizer.json": {"post_processor": template(bos, text, eos)}},
    "a template that only closes": {"tokenizer.json": {"post_processor": template(text, eos)}},
    "no post-processor": {"tokenizer.json": {"post_processor": None}},
    "flags against the template": {own: {"add_bos_token": False, "add_eos_token": True}},
    "roles in special_tokens_map.json": {
        own: {"bos_token": None, "eos_token": None},
        "special_tokens_map.json": {"bos_token": "<s>", "eos_token": {"content": "</s>", **added}},
    },
    "other roles in special_tokens_map.json": {"special_tokens_map.json": {"eos_token": "!"}},
    "which added_tokens_decoder overrules": {
        own: {"added_tokens_decoder": {"1": {"content": "<s>", **added}}},
        "special_tokens_map.json": {"eos_token": "!"},
    },
    "no roles": {own: {"bos_token": None, "eos_token": None}},
    "an end token of the configuration alone": {own: {"eos_token": "<|x|>"}},
    "a further token of the configuration alone": {own: {"additional_special_tokens": ["<|x|>"]}},
    "an added token at another id": {own: {"added_tokens_decoder": {"100": {"content": "<|x|>", **added}}}},
}
texts = ["ab", "<s>ab", "ab</s>", "a<|x|>b"]


def record_special(work):
    for i, (what, files) in enumerate(special_cases.items()):
        tokenizer = AutoTokenizer.from_pretrained(folder("tiny-llama", files, work / f"special{i}"))
        yield {
            "what": what,
            "files": files,
            "plain": [tokenizer(t, add_special_tokens=False).input_ids for t in texts],
            "special": [tokenizer(t).input_ids for t in texts],
            "roles": [tokenizer.bos_token_id, tokenizer.eos_token_id],
        }


cleaning = [{}, {"clean_up_tokenization_spaces": False}, {"clean_up_tokenization_spaces": True}]


def record_cleaning(work):
    for i, keys in enumerate(cleaning):
        tokenizer = AutoTokenizer.from_pretrained(folder("tiny-llama", {own: keys}, work / f"clean{i}"))
        yield {"files": {own: keys}, "text": tokenizer.decode(tokenizer("x != y , z .").input_ids, skip_special_tokens=True)}


ends = [(5, None), (5, {"eos_token_id": 7}), ([5, 6], {"eos_token_id": [6, 7]}), (None, {"eos_token_id": 7}), (-1, None)]


def record_ends(work):
    for i, (in_config, generation) in enumerate(ends):
        files = {"config.json": {"eos_token_id": in_config}}
        where = folder("tiny-llama", files, work / f"ends{i}")
        path = where / "generation_config.json"
        path.unlink() if generation is None else path.write_text(json.dumps(generation))
        found = AutoModelForCausalLM.from_pretrained(where).generation_config.eos_token_id
        found = found if isinstance(found, list) else [found]
        yield {"config": in_config, "generation": generation, "stops": [n for n in found if n is not None and n >= 0]}


pairs = [
    ("a", "b"), ("xa", "bc"), ("xab", "c"), ("The capital of Fr", "ance is Paris."), ("Hello", "World"),
    ("Answer:", " 42"), ("x = ", "1"), ("日本", "語です。"), ("🙂", " ok"), ("foo\n\n", "bar"), ("a  ", " b"), ("don", "'t"),
    ("12", "34"), ("", " begin"), ("  ", "x"), ("e\u0301", "te\u0301"), ("naï", "ve"), ("🙂", "🙂🙂"),
]
melting = {
    "model": {
        **(tiny := json.loads((fixtures / "tiny-llama/tokenizer.json").read_text()))["model"],
        "vocab": {**tiny["model"]["vocab"], "ab": 99, "bc": 100},
        "merges": [["a", "b"], ["b", "c"]],
    }
}


def borders(tokenizer):
    """For each pair, how many tokens of the whole text lie within the prompt, special tokens left out."""
    for prompt, answer in pairs:
        end = len(prompt.rstrip())
        offsets = tokenizer.encode(prompt + answer, add_special_tokens=False).offsets
        labels = [stop > end for _, stop in offsets]
        yield {"prompt": prompt, "answer": answer, "tokens": len(labels), "inPrompt": labels.index(True)}


def record_borders(work, real):
    where = folder("tiny-llama", {"tokenizer.json": melting}, work / "melting")
    yield {"tokenizer": None, "files": {"tokenizer.json": melting}, "pairs": list(borders(Tokenizer.from_file(str(where / "tokenizer.json"))))[:3]}
    for name in ["stories260K-hf", "smollm2-135m-instruct", "tokenizers/gpt2", "tokenizers/mistral", "tokenizers/phi-3-mini"] if real else []:
        yield {"tokenizer": name, "files": {}, "pairs": list(borders(Tokenizer.from_file(str(real / name / "tokenizer.json"))))}


ids = [1, 20, 33, 47, 5, 90, 14]


def last_logits(where):
    model = AutoModelForCausalLM.from_pretrained(where, dtype=torch.float32).eval()
    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0, -1].tolist()


def weights(name, to, change):
    save_file(change(load_file(fixtures / name / "model.safetensors")), to / "model.safetensors", {"format": "pt"})
    return to


def doubled(tensors):
    return {k: v * 2 if k == "lm_head.weight" else v for k, v in tensors.items()}


def twice(tensors):
    return {**tensors, "lm_head.weight": tensors["model.embed_tokens.weight"].clone()}


def bare(tensors):
    return {k.removeprefix("model."): v for k, v in tensors.items()}


def nested(tensors):
    return {f"model.{k}": v for k, v in tensors.items()}


folders = {
    "as it is": ("tiny-llama", {}, None),
    "tied, with another lm_head": ("tiny-llama", {"tie_word_embeddings": True}, None),
    "tied, with the same lm_head": ("tiny-llama", {"tie_word_embeddings": True}, "twice"),
    "keys without model.": ("tiny-llama", {}, "bare"),
    "keys with model. twice": ("tiny-llama", {}, "nested"),
    "an index beside a complete file of other weights": ("tiny-llama-sharded", {}, "doubled"),
    "no token for padding": ("tiny-llama", {"pad_token_id": -1, "eos_token_id": -1}, None),
}


def record_folders(work):
    for i, (what, (fixture, config, change)) in enumerate(folders.items()):
        where = folder(fixture, {"config.json": config}, work / f"folder{i}")
        if change:
            weights("tiny-llama", where, globals()[change])
        yield {"what": what, "fixture": fixture, "config": config, "change": change, "last": last_logits(where)}


sizes = {
    "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 4, "num_attention_heads": 8, "num_key_value_heads": 2,
    "head_dim": 8, "vocab_size": 100, "max_position_embeddings": 4096, "pad_token_id": 0,
}
linear, yarn = {"rope_type": "linear", "factor": 2.0}, {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 1024}
bare_yarn = {"rope_type": "yarn", "factor": 4.0}
each = {"full_attention": {**linear, "rope_theta": 300.0}, "sliding_attention": {"rope_type": "default", "rope_theta": 200.0}}
spellings = [
    {"rope_theta": 5000.0, "rope_scaling": linear},
    {"rope_theta": 5000.0, "rope_parameters": {"rope_theta": 7000.0, "rope_type": "default"}},
    {"rope_theta": 5000.0, "rope_scaling": {**linear, "rope_theta": 9000.0}},
    {"rope_scaling": linear, "rope_parameters": {**yarn, "rope_theta": 7000.0}},
    {"rope_scaling": {"type": "linear", "rope_type": "dynamic", "factor": 2.0}},
    {"rope_scaling": {}, "rope_parameters": {**yarn, "rope_theta": 7000.0}},
    {"original_max_position_embeddings": 512, "rope_scaling": yarn},
    {"original_max_position_embeddings": 512, "rope_scaling": bare_yarn},
    {"rope_theta": 5000.0, "rope_parameters": each},
    {"rope_theta": 5000.0, "rope_local_base_freq": 77.0, "rope_scaling": linear},
]


def record_spellings():
    """The ropes that transformers makes of two spellings in one file; cases that it refuses are left out."""
    for family in ["llama", "qwen3", "gemma3_text", "olmo3", "smollm3"]:
        for keys in spellings:
            if "full_attention" in keys.get("rope_parameters", {}) and family not in ("gemma3_text", "olmo3"):
                continue
            config = {"model_type": family, **sizes, **json.loads(json.dumps(keys))}
            try:
                # The model changes some of what its configuration has read.
                made = AutoModelForCausalLM.from_config(AutoConfig.for_model(**json.loads(json.dumps(config))))
                ropes = made.config.rope_parameters
            except (KeyError, ValueError):
                continue
            pair = [ropes["full_attention"], ropes["sliding_attention"]] if "full_attention" in ropes else [ropes]
            if all("original_max_position_embeddings" in rope for rope in pair if rope["rope_type"] == "yarn"):
                yield {"config": config, "ropes": pair}


with tempfile.TemporaryDirectory() as name:
    work = Path(name)
    real = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    recorded = {
        "tokenizers": {
            "texts": texts,
            "special": list(record_special(work)),
            "cleaning": list(record_cleaning(work)),
            "ends": list(record_ends(work)),
            "borders": list(record_borders(work, real)),
        },
        "folders": {"ids": ids, "cases": list(record_folders(work)), "ropes": list(record_spellings())},
    }
for name, values in recorded.items():
    (here / "recorded" / f"{name}.json").write_text(json.dumps(values, ensure_ascii=False) + "\n")
