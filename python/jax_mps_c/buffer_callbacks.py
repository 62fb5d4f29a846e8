# SPDX-License-Identifier: Apache-2.0
"""jax.experimental.buffer_callback: a Python function that is given the library's memory itself and
writes its results there. JAX's own handler is found by jaxlib's platforms alone; here the function is
an entry of callbacks.py whose arguments are buffers instead of copies."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np

from jax_mps_c import callbacks, compat, dlpack

PLATFORM = callbacks.PLATFORM


class Context:
    """The execution that calls, as jaxlib's ExecutionContext of the CPU: there is no stream."""

    @property
    def stage(self) -> Any:
        from jax.experimental import buffer_callback

        return buffer_callback.ExecutionStage.EXECUTE

    @property
    def stream(self) -> int:
        import jax

        raise jax.errors.JaxRuntimeError("UNIMPLEMENTED: XLA FFI GPU context is not available")


class Buffer:
    """Memory of the library while a callback runs; not to be kept."""

    def __init__(self, memory: Any, signature: callbacks.Signature, writeable: bool):
        bytes_ = (
            (ctypes.c_char * memory.n_bytes).from_address(memory.data)
            if memory.n_bytes
            else bytearray()
        )
        view = np.ndarray(signature.shape, signature.dtype, buffer=bytes_)
        view.flags.writeable = writeable
        self._view = view

    dtype = property(lambda self: self._view.dtype)
    shape = property(lambda self: self._view.shape)
    ndim = property(lambda self: self._view.ndim)
    writeable = property(lambda self: self._view.flags.writeable)

    def unsafe_raw_buffer_pointer(self) -> int:
        return self._view.ctypes.data

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if dtype is not None and np.dtype(dtype) != self.dtype:
            if copy is False:
                raise ValueError("another element type needs a copy")
            return self._view.astype(dtype)
        return self._view.copy() if copy else self._view

    def __dlpack__(
        self,
        *,
        stream: Any = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        del stream
        if dl_device is not None and tuple(map(int, dl_device)) != (dlpack.CPU, 0):
            raise BufferError("a buffer of the host can't be packed for another device")
        view = self._view.copy() if copy else self._view
        versioned = max_version is not None and tuple(max_version) >= (1, 0)
        flags = dlpack._COPIED if copy else 0 if self.writeable else dlpack._READ_ONLY
        return dlpack.make_capsule(view, versioned, flags)

    def __dlpack_device__(self) -> tuple[int, int]:
        return dlpack.CPU, 0


def make_entry(
    function: Any,
    operands: Sequence[callbacks.Signature],
    results: Sequence[callbacks.Signature],
    aliases: Sequence[tuple[int, int]],
) -> callbacks.Entry:
    def run(inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        memory, shared = list(inputs), dict(aliases)
        for operand, result in shared.items():
            ctypes.memmove(outputs[result].data, inputs[operand].data, inputs[operand].n_bytes)
            memory[operand] = outputs[result]
        taken = [
            Buffer(m, s, i in shared) for i, (m, s) in enumerate(zip(memory, operands, strict=True))
        ]
        given = [Buffer(m, s, True) for m, s in zip(outputs, results, strict=True)]
        function(Context(), *taken, *given)

    return callbacks.Entry(function, tuple(operands), tuple(results), run)


def lower(
    ctx: Any,
    *args: Any,
    callback: Any,
    in_tree: Any,
    out_tree: Any,
    has_side_effect: bool,
    input_output_aliases: Sequence[tuple[int, int]] = (),
    **params: Any,
) -> Any:
    """jax._src.buffer_callback's rule for our platform; what else it is given is about CUDA's graphs."""
    from jax import tree_util

    del params

    def function(context: Context, *buffers: Buffer) -> None:
        taken, given = buffers[: in_tree.num_leaves], buffers[in_tree.num_leaves :]
        arguments, keywords = tree_util.tree_unflatten(in_tree, taken)
        results = tree_util.tree_unflatten(out_tree, given)
        if callback(context, results, *arguments, **keywords) is not None:
            raise ValueError("buffer_callback callback must not return any values.")

    signatures = [list(map(callbacks.describe, avals)) for avals in (ctx.avals_in, ctx.avals_out)]
    entry = make_entry(function, *signatures, input_output_aliases)
    number, claim = callbacks.enter(entry)
    ctx.module_context.add_keepalive(claim)
    if compat.takes_any_host_callback():
        ctx.module_context.add_host_callback(function)
    return compat.lower_call(
        ctx, callbacks.TARGET, *args, has_side_effect=has_side_effect, id=np.int64(number)
    )[1]


def register() -> None:
    try:
        from jax._src import buffer_callback
    except ImportError:  # before 0.6
        return
    compat.register_lowering(buffer_callback.buffer_callback_p, lower)
