"""The small random models of the tests, as Hugging Face folders. Adding a family or a configuration is one entry of FIXTURES."""

import shutil
from dataclasses import dataclass

import torch
from safetensors.torch import save_file
from transformers import (
    AutoModelForCausalLM,
    Exaone4Config,
    Gemma2Config,
    Gemma3TextConfig,
    GemmaConfig,
    GraniteConfig,
    LlamaConfig,
    MinistralConfig,
    MistralConfig,
    Olmo2Config,
    Olmo3Config,
    Phi3Config,
    PretrainedConfig,
    Qwen2Config,
    Qwen3Config,
    SmolLM3Config,
)

from tokenizer import write_tokenizer


@dataclass(frozen=True)
class Fixture:
    config: PretrainedConfig
    seed: int = 5
    #: Standard deviation of the weights; those of norms are norm_center +- 0.2.
    spread: float = 0.2
    #: Gemma stores gain - 1.
    norm_center: float = 1.0
    #: Part of the spread that embeddings have: where they are multiplied and are the head as well, a model repeats itself otherwise.
    embedding_part: float = 1.0
    #: Folders beside the model's own that hold the same model in shards of this size.
    sharded: tuple[tuple[str, str], ...] = ()


SMALL = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, vocab_size=101,
             max_position_embeddings=96, bos_token_id=1, eos_token_id=2, attn_implementation="eager")


#: For models of more layers.
TINY = dict(hidden_size=16, intermediate_size=24, num_attention_heads=4, num_key_value_heads=2, head_dim=8, vocab_size=101,
            max_position_embeddings=96, bos_token_id=1, eos_token_id=2, pad_token_id=0, attn_implementation="eager")
#: Phi-3 and SmolLM3 have no head_dim of their own, and Phi-3's pad id is no row of a small vocabulary by default.
TINY_HEADS = {**{key: value for key, value in TINY.items() if key != "head_dim"}, "hidden_size": 32}
SLIDING, FULL = "sliding_attention", "full_attention"


def rope(rope_type, **options):
    return {"rope_theta": 500.0, "rope_type": rope_type, **options}


FIXTURES = {
    "tiny-llama": Fixture(
        LlamaConfig(hidden_size=48, intermediate_size=80, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                    head_dim=12, vocab_size=101, max_position_embeddings=96, rms_norm_eps=1e-5, tie_word_embeddings=False,
                    bos_token_id=1, eos_token_id=2, attn_implementation="eager"),
        seed=1, spread=0.15, sharded=(("tiny-llama-sharded", "150KB"),)),
    "tiny-mistral": Fixture(MistralConfig(**SMALL, sliding_window=7, rope_theta=10000.0)),
    "tiny-qwen2": Fixture(Qwen2Config(**SMALL, tie_word_embeddings=True, rms_norm_eps=1e-6)),
    "tiny-qwen3": Fixture(Qwen3Config(**SMALL, head_dim=12, tie_word_embeddings=False, rms_norm_eps=1e-6)),
    "tiny-llama-rope": Fixture(LlamaConfig(
        **SMALL, attention_bias=True, mlp_bias=True,
        rope_parameters=rope("llama3", factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=24))),
    "tiny-llama-yarn": Fixture(LlamaConfig(**SMALL, rope_parameters=rope("yarn", factor=4.0, original_max_position_embeddings=24))),
    "tiny-llama-linear": Fixture(LlamaConfig(**SMALL, rope_parameters=rope("linear", factor=3.0))),
    # The rows of the batch are longer than the original context of 16.
    "tiny-llama-dynamic": Fixture(LlamaConfig(**{**TINY, "max_position_embeddings": 16}, num_hidden_layers=2,
                                              rope_parameters=rope("dynamic", factor=4.0)), spread=0.4),
    "tiny-llama-yarn-all": Fixture(LlamaConfig(**TINY, num_hidden_layers=2, rope_parameters=rope(
        "yarn", factor=4.0, original_max_position_embeddings=24, beta_fast=4.0, beta_slow=0.5, mscale=1.3, mscale_all_dim=0.6, truncate=False)),
        spread=0.4),
    "tiny-qwen2-windows": Fixture(Qwen2Config(**TINY, num_hidden_layers=4, tie_word_embeddings=True, use_sliding_window=True, sliding_window=7,
                                              max_window_layers=2), spread=0.4),
    "tiny-qwen3-windows": Fixture(Qwen3Config(**TINY, num_hidden_layers=3, use_sliding_window=True, sliding_window=5, attention_bias=True,
                                              layer_types=[SLIDING, FULL, SLIDING]), spread=0.4),
    "tiny-ministral": Fixture(MinistralConfig(**TINY, num_hidden_layers=3, sliding_window=6, layer_types=[FULL, SLIDING, SLIDING]), spread=0.4),
    "tiny-gemma": Fixture(GemmaConfig(**TINY, num_hidden_layers=2, hidden_act="gelu"), spread=0.5, norm_center=0.0, embedding_part=0.2),
    # Caps so low that they bend the small scores and logits, too.
    "tiny-gemma2": Fixture(Gemma2Config(**TINY, num_hidden_layers=3, sliding_window=7, query_pre_attn_scalar=12, attn_logit_softcapping=2.0,
                                        final_logit_softcapping=3.0), spread=0.5, norm_center=0.0, embedding_part=0.2),
    "tiny-gemma3": Fixture(Gemma3TextConfig(
        **TINY, num_hidden_layers=4, sliding_window=7, query_pre_attn_scalar=12, final_logit_softcapping=5.0, layer_types=[SLIDING, SLIDING, FULL, SLIDING],
        rope_parameters={FULL: {"rope_theta": 5000.0, "rope_type": "linear", "factor": 4.0}, SLIDING: {"rope_theta": 100.0, "rope_type": "default"}}),
        spread=0.5, norm_center=0.0, embedding_part=0.1),
    "tiny-phi3": Fixture(Phi3Config(**TINY_HEADS, num_hidden_layers=2, sliding_window=9), spread=0.3),
    # Half of each head rotates; the rows are longer than the original context.
    "tiny-phi3-long": Fixture(Phi3Config(**TINY_HEADS, num_hidden_layers=2, tie_word_embeddings=True, original_max_position_embeddings=18,
                                         rope_theta=500.0, partial_rotary_factor=0.5,
                                         rope_parameters={"rope_type": "longrope", "rope_theta": 500.0, "partial_rotary_factor": 0.5,
                                                          "original_max_position_embeddings": 18,
                                                          "short_factor": [1.0, 1.2], "long_factor": [2.0, 5.0]}), spread=0.3),
    "tiny-smollm3": Fixture(SmolLM3Config(**TINY_HEADS, num_hidden_layers=3, no_rope_layer_interval=2, use_sliding_window=True, sliding_window=6),
                            spread=0.3),
    "tiny-granite": Fixture(GraniteConfig(**TINY, num_hidden_layers=2, embedding_multiplier=6.0, residual_multiplier=0.4, attention_multiplier=0.3,
                                          logits_scaling=2.0, mlp_bias=True), spread=0.4),
    "tiny-olmo2": Fixture(Olmo2Config(**TINY, num_hidden_layers=2), spread=0.4),
    "tiny-olmo3": Fixture(Olmo3Config(
        **TINY, num_hidden_layers=3, sliding_window=7, layer_types=[SLIDING, SLIDING, FULL],
        rope_parameters={FULL: rope("yarn", factor=4.0, original_max_position_embeddings=24), SLIDING: {"rope_theta": 200.0, "rope_type": "default"}}),
        spread=0.4),
    # The layers that see the whole text are not rotated.
    "tiny-exaone4": Fixture(Exaone4Config(**TINY, num_hidden_layers=3, sliding_window=7, layer_types=[SLIDING, FULL, SLIDING]), spread=0.4),
}


def write_fixtures(folder):
    for name, fixture in FIXTURES.items():
        torch.manual_seed(fixture.seed)
        model = AutoModelForCausalLM.from_config(fixture.config, attn_implementation="eager").float().eval()
        with torch.no_grad():
            for parameter_name, p in model.named_parameters():
                spread = fixture.spread * (fixture.embedding_part if "embed_tokens" in parameter_name else 1.0)
                p.copy_(fixture.norm_center + 0.2 * torch.randn_like(p) if "norm" in parameter_name else torch.randn_like(p) * spread)
        for target, shard in ((name, "10MB"), *fixture.sharded):
            shutil.rmtree(folder / target, ignore_errors=True)
            model.save_pretrained(folder / target, max_shard_size=shard)
            write_tokenizer(folder / target, fixture.config.vocab_size)


def load(folder, dtype=torch.float32):
    """A model ready for adapters: frozen, without dropout, attention written out."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="eager").eval()
    return model.requires_grad_(False)


def record_real_model(shared, out):
    """Logits of stories260K over 256 tokens, every eighth position, where the shared data are present."""
    folder = shared / "stories260K-hf"
    if not folder.exists():
        print("shared data absent: logits of stories260K not recorded")
        return
    generator = torch.Generator().manual_seed(2)
    ids = torch.cat([torch.tensor([1]), torch.randint(3, 512, (255,), generator=generator)])
    with torch.no_grad():
        logits = load(folder)(ids[None]).logits[0, ::8].contiguous()
    save_file({"ids": ids.to(torch.int32), "logits": logits}, out / "stories260k.safetensors", metadata={"format": "pt"})
