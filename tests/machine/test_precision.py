"""The number type follows the machine."""

import platform
from pathlib import Path

import pytest

from otr.machine.precision import computed_in, native_on_cpu


def test_a_named_type_is_taken_as_it_is() -> None:
    for device in ("cpu", "cuda"):
        assert computed_in("float32", device) == "float32"
        assert computed_in("bfloat16", device) == "bfloat16"


@pytest.mark.parametrize(
    ("machine", "text", "native"),
    [
        ("x86_64", "flags\t\t: fpu avx2 avx512f avx512_bf16 amx_tile\n", True),
        ("x86_64", "flags\t\t: fpu amx_bf16\n", True),
        ("x86_64", "flags\t\t: fpu avx2 avx512f avx512_vnni\n", False),
        ("aarch64", "Features\t: fp asimd bf16 i8mm\n", True),
        ("aarch64", "Features\t: fp asimd ebf16x\n", False),
    ],
)
def test_the_processor_says_what_it_has(
    machine: str, text: str, native: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\n{text}")
    assert native_on_cpu(tmp_path / "cpuinfo") is native
    assert native_on_cpu(tmp_path / "absent") is False
