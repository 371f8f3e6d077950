"""Logits that transformers and PEFT compute from an export of ID-LoRA Studio: python check.py REQUEST.json

The request is {"model": folder, "adapter": folder or null, "ids": [...], "out": file}; versions are printed as JSON.
"""

import json
import sys
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

request = json.loads(Path(sys.argv[1]).read_text("utf-8"))
versions = {"torch": torch.__version__, "transformers": transformers.__version__}
transformers.utils.logging.disable_progress_bar()
model = AutoModelForCausalLM.from_pretrained(request["model"], dtype=torch.float32)
if request["adapter"]:
    import peft

    versions["peft"] = peft.__version__
    if (Path(request["adapter"]) / "id_lora").is_dir():
        # The package that lies beside the adapter, as whoever gets the folder has it.
        sys.path.insert(0, request["adapter"])
        import id_lora  # noqa: F401
    model = peft.PeftModel.from_pretrained(model, request["adapter"])
with torch.no_grad():
    logits = model.eval()(input_ids=torch.tensor([request["ids"]])).logits[0].float().contiguous()
save_file({"logits": logits}, request["out"])
print(json.dumps(versions))
