"""The types of a tensor's elements, and how many bytes a file has for them."""

from __future__ import annotations

from typing import Any

from onnx import TensorProto

__all__ = ["known_type", "numbers_in_field", "raw_bytes", "type_name"]

# Name -> field with the values of a tensor that has no raw_data, and bits of a value in raw_data.
# Complex numbers, and types whose packing differs, can be no part of what is read.
_NAMED: dict[str, tuple[str, int]] = {
    "FLOAT": ("float_data", 32),
    "DOUBLE": ("double_data", 64),
    "INT64": ("int64_data", 64),
    "UINT32": ("uint64_data", 32),
    "UINT64": ("uint64_data", 64),
    "STRING": ("string_data", 8),
    **dict.fromkeys(["INT32"], ("int32_data", 32)),
    **dict.fromkeys(["INT16", "UINT16", "FLOAT16", "BFLOAT16"], ("int32_data", 16)),
    **dict.fromkeys(["INT8", "UINT8", "BOOL"], ("int32_data", 8)),
    **dict.fromkeys(
        ["FLOAT8E4M3FN", "FLOAT8E4M3FNUZ", "FLOAT8E5M2", "FLOAT8E5M2FNUZ", "FLOAT8E8M0"],
        ("int32_data", 8),
    ),
    **dict.fromkeys(["INT4", "UINT4", "FLOAT4E2M1"], ("int32_data", 4)),
    **dict.fromkeys(["INT2", "UINT2"], ("int32_data", 2)),
}
_KNOWN = {number: _NAMED[name] for name, number in TensorProto.DataType.items() if name in _NAMED}


def type_name(number: int) -> str:
    """Return the name of a type, or its number."""
    names: dict[int, str] = {value: name for name, value in TensorProto.DataType.items()}
    return names.get(number, str(number))


def known_type(tensor: TensorProto) -> None:
    """Raise unless a tensor's type is one that can be read."""
    if tensor.data_type not in _KNOWN:
        raise ValueError(
            f"tensor {tensor.name!r}: expected floats, integers or bools, "
            f"got {type_name(tensor.data_type)}"
        )


def raw_bytes(tensor: TensorProto, numbers: int) -> int:
    """Return how many bytes so many values are; small ones lie several in a byte."""
    return -(-numbers * _KNOWN[tensor.data_type][1] // 8)


def numbers_in_field(tensor: TensorProto, numbers: int) -> tuple[Any, int]:
    """Return the field that values are in, and how many entries it has for so many."""
    field, bits = _KNOWN[tensor.data_type]
    return getattr(tensor, field), -(-numbers * bits // 8) if bits < 8 else numbers
