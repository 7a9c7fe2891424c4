"""The bytes of the kernel are what its source says."""

import wasmtime

from tests.builders import WEB


def test_the_kernel_is_assembled_from_its_source():
    source = (WEB / "kernel.wat").read_text(encoding="utf-8")
    assert bytes(wasmtime.wat2wasm(source)) == (WEB / "kernel.wasm").read_bytes()
