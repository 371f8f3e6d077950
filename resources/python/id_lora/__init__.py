"""ID-LoRA, HydraLoRA and MoELoRA as methods of PEFT. Importing it is enough for `PeftModel.from_pretrained` to load them.

    import id_lora
    from peft import PeftModel
    model = PeftModel.from_pretrained(base_model, "folder of the adapter")
"""

from .configs import HydraLoraConfig, IdLoraConfig, MoeLoraConfig
from .registration import register
from .routes import frozen_route, merge_route, task_of_rows
from .tuners import HydraLoraModel, IdLoraModel, MoeLoraModel, choose_pivots

__all__ = [
    "HydraLoraConfig",
    "HydraLoraModel",
    "IdLoraConfig",
    "IdLoraModel",
    "MoeLoraConfig",
    "MoeLoraModel",
    "choose_pivots",
    "frozen_route",
    "merge_route",
    "register",
    "task_of_rows",
]

register()
