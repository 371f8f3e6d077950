"""Tells PEFT of the methods."""

from __future__ import annotations

from peft.utils import register_peft_method
from peft.utils.peft_types import PeftType

from .configs import HydraLoraConfig, IdLoraConfig, MoeLoraConfig
from .tuners import HydraLoraModel, IdLoraModel, MoeLoraModel

_methods = (
    (IdLoraConfig, IdLoraModel),
    (HydraLoraConfig, HydraLoraModel),
    (MoeLoraConfig, MoeLoraModel),
)


def register() -> None:
    """Registers the three methods with PEFT; a second call does nothing.

    `register_peft_method` takes names of the enumeration PeftType only, and an enumeration is closed: the names are
    added to it first.
    """
    for config, tuner in _methods:
        if config.method in PeftType.__members__:
            continue
        _add_member(config.method)
        register_peft_method(name=config.method.lower(), config_cls=config, model_cls=tuner)


def _add_member(name: str) -> None:
    member = str.__new__(PeftType, name)
    member._name_ = name
    member._value_ = name
    PeftType._member_map_[name] = member
    PeftType._value2member_map_[name] = member
    PeftType._member_names_.append(name)
    # Past EnumMeta.__setattr__, which refuses it.
    type.__setattr__(PeftType, name, member)
