"""The small random models of the tests, as Hugging Face folders. Adding a family or a configuration is one entry of FIXTURES."""

import shutil
from dataclasses import dataclass

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, LlamaConfig, MistralConfig, PretrainedConfig, Qwen2Config, Qwen3Config

from tokenizer import write_tokenizer


@dataclass(frozen=True)
class Fixture:
    config: PretrainedConfig
    seed: int = 5
    #: Standard deviation of the weights; those of norms are 1 +- 0.2.
    spread: float = 0.2
    #: Folders beside the model's own that hold the same model in shards of this size.
    sharded: tuple[tuple[str, str], ...] = ()


SMALL = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, vocab_size=101,
             max_position_embeddings=96, bos_token_id=1, eos_token_id=2, attn_implementation="eager")


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
}


def write_fixtures(folder):
    for name, fixture in FIXTURES.items():
        torch.manual_seed(fixture.seed)
        model = AutoModelForCausalLM.from_config(fixture.config, attn_implementation="eager").float().eval()
        with torch.no_grad():
            for parameter_name, p in model.named_parameters():
                p.copy_(1 + 0.2 * torch.randn_like(p) if "norm" in parameter_name else torch.randn_like(p) * fixture.spread)
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
