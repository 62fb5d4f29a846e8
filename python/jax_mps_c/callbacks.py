# SPDX-License-Identifier: Apache-2.0
"""Callbacks from programs into Python: pure_callback, io_callback, debug.callback, debug.print,
checks.

A program names a callback by an id, never by a pointer. What an id means is in the table below; the
library calls all of them through one function, registered once, and counts the programs that may
still call an id (src/base/callback.h). Derivatives, batching and the order of effects are JAX's own.
"""

from __future__ import annotations

import atexit
import ctypes
import dataclasses
import functools
import importlib
import itertools
import secrets
import sys
import threading
import traceback
import types
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jax_mps_c import compat, extension

PLATFORM = "mps"
TARGET = "mps.callback"
_KIND = 0x6A6E  # src/pjrt/extensions.h
_DONE, _FAILED = 1, 0  # JM_CALLBACK_DONE


class _Array(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("n_bytes", ctypes.c_int64)]


_Arrays = ctypes.POINTER(_Array)
_Function = ctypes.CFUNCTYPE(
    ctypes.c_int,
    ctypes.c_int64,
    ctypes.c_int64,
    _Arrays,
    ctypes.c_int64,
    _Arrays,
    ctypes.c_void_p,
    ctypes.c_size_t,
)


class _Callbacks(ctypes.Structure):
    _fields_ = [
        ("base", extension.Base),
        ("open", ctypes.CFUNCTYPE(None, _Function)),
        ("close", ctypes.CFUNCTYPE(None)),
        ("hold", ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int64)),
        ("release", ctypes.CFUNCTYPE(None, ctypes.c_int64)),
        ("take_dead", ctypes.CFUNCTYPE(ctypes.c_int64)),
        ("await_next", ctypes.CFUNCTYPE(None)),
    ]


@dataclasses.dataclass(frozen=True)
class Signature:
    """One operand or result, as it lies in the library's memory: dense, row-major."""

    shape: tuple[int, ...]
    dtype: np.dtype


@dataclasses.dataclass(frozen=True)
class Entry:
    callback: Callable[..., Sequence[Any]]
    operands: tuple[Signature, ...]
    results: tuple[Signature, ...]
    # Instead of the callback, for one that is given the memory itself (buffer_callbacks.py).
    run_in_place: Callable[[Sequence[Any], Sequence[Any]], None] | None = None
    # Each device calls with its parts, whose sizes come as arrays behind them (partition_call.c).
    takes_parts: bool = False


_table: dict[int, Entry] = {}
# A program that another process compiled (a cache on disk) must not find an entry of this one.
_ids = itertools.count(secrets.randbits(31) << 32)


# -- calls


def read_array(array: _Array, signature: Signature) -> np.ndarray:
    """A read-only copy: the callback may keep it, the library's memory goes on."""
    data = ctypes.string_at(array.data, array.n_bytes) if array.n_bytes else b""
    return np.ndarray(signature.shape, signature.dtype, buffer=data)


def read_arrays(entry: Entry, inputs: Sequence[_Array]) -> list[np.ndarray]:
    return [read_array(*pair) for pair in zip(inputs, entry.operands, strict=True)]


def read_parts(entry: Entry, inputs: Sequence[_Array]) -> list[np.ndarray]:
    parts = []
    for whole, part, sizes in zip(entry.operands, inputs[::2], inputs[1::2], strict=True):
        listed = read_array(sizes, Signature((len(whole.shape),), np.dtype(np.int64)))
        parts.append(read_array(part, Signature(tuple(listed.tolist()), whole.dtype)))
    return parts


def check_results(values: Sequence[Any], results: Sequence[Signature]) -> list[np.ndarray]:
    """The values as arrays of the promised shapes and types."""
    if len(values) != len(results):
        raise RuntimeError(
            "Mismatched number of outputs from callback. "
            f"Expected: {len(results)}, Actual: {len(values)}"
        )
    arrays = []
    for i, (value, wanted) in enumerate(zip(values, results)):
        array = np.asarray(compat.canonicalize(value))
        for what in ("shape", "dtype"):
            expected, actual = getattr(wanted, what), getattr(array, what)
            if expected != actual:
                raise RuntimeError(
                    f"Incorrect output {what} for return value #{i}: "
                    f"Expected: {expected}, Actual: {actual}"
                )
        arrays.append(np.ascontiguousarray(array))
    return arrays


def run(entry: Entry, inputs: Sequence[_Array], outputs: Sequence[_Array]) -> None:
    if entry.run_in_place:
        entry.run_in_place(inputs, outputs)
        return
    arguments = (read_parts if entry.takes_parts else read_arrays)(entry, inputs)
    arrays = check_results(entry.callback(*arguments), entry.results)
    for array, output in zip(arrays, outputs, strict=True):
        if array.nbytes != output.n_bytes:
            raise RuntimeError(f"a result takes {output.n_bytes} bytes, not {array.nbytes}")
        ctypes.memmove(output.data, array.ctypes.data, array.nbytes)


def describe_exception() -> str:
    """The traceback without marks in its lines: those are found by Python's parser, and that of
    Python 3.11 can't be used by two threads at a time."""
    kind, value, frames = sys.exc_info()
    lines = traceback.StackSummary.extract(traceback.walk_tb(frames)).format()
    exception = traceback.format_exception_only(kind, value)
    return "".join(["Traceback (most recent call last):\n", *lines, *exception]).rstrip()


def write_text(text: str, memory: int, size: int) -> None:
    """The text's end is kept: there is the exception."""
    data = text.encode(errors="replace")
    data = data[-(size - 1) :] + b"\0"
    ctypes.memmove(memory, data, len(data))


def trampoline(
    number: int, n_in: int, inputs: Any, n_out: int, outputs: Any, error: int, error_size: int
) -> int:
    """What the library calls, on threads of its own. Nothing may be raised from here."""
    try:
        entry = _table.get(number)
        if entry is None:
            raise LookupError("the program's callback is not of this process, or is gone")
        run(entry, inputs[:n_in], outputs[:n_out])
        return _DONE
    except BaseException:
        write_text(describe_exception(), error, error_size)
        return _FAILED


# -- the table

_function = _Function(trampoline)
_opening = threading.Lock()


@functools.cache
def library() -> _Callbacks:
    """The library's side, open."""
    with _opening:
        found = extension.find(_KIND, _Callbacks)
        found.open(_function)
        atexit.register(close, found)
        return found


def close(opened: _Callbacks) -> None:
    """Before the interpreter ends: what JAX would wait for has run, nothing runs later."""
    from jax._src import dispatch

    try:
        dispatch.runtime_tokens.block_until_ready()
    except Exception:  # JAX waits again after us, and reports it
        pass
    opened.close()


def forget_dead(opened: _Callbacks) -> None:
    """Drops what no program can call any more."""
    while (number := opened.take_dead()) >= 0:
        _table.pop(number, None)


class Claim:
    """Keeps an entry until there is a program that does."""


def release(number: int, opened: _Callbacks) -> None:
    opened.release(number)
    forget_dead(opened)


def enter(entry: Entry) -> tuple[int, Claim]:
    opened = library()
    forget_dead(opened)
    number = next(_ids)
    if opened.hold(number):
        raise MemoryError("no memory for a callback")
    _table[number] = entry
    claim = Claim()
    weakref.finalize(claim, release, number, opened).atexit = False
    return number, claim


# -- lowering


def describe(aval: Any) -> Signature:
    from jax._src import core, dtypes

    aval = core.physical_aval(aval)  # keys are arrays of integers
    dtype = np.dtype(bool) if aval.dtype == dtypes.float0 else np.dtype(aval.dtype)
    return Signature(tuple(aval.shape), dtype)


def share(sharding: Any, with_token: bool) -> Any:
    """A list of shardings has one for each result: the token's is like the first, without rank."""
    array, array_list = compat.sharding_classes()
    if not with_token or array_list is None or not isinstance(sharding, array_list):
        return sharding
    first = sharding.shardings[0]
    token = array(mesh_shape=(), dim_shardings=(), logical_device_ids=first.logical_device_ids)
    return array_list((token, *sharding.shardings))


def is_divided(ctx: Any) -> bool:
    """Whether the compiler divides the program among devices; elsewhere values are parts already."""
    from jax._src import sharding_impls

    context = ctx.module_context.axis_context
    return isinstance(context, sharding_impls.ShardingContext) and context.num_devices > 1


def emit(
    ctx: Any,
    callback: Callable[..., Sequence[Any]],
    token: Any,
    operands: Sequence[Any],
    operand_avals: Sequence[Any],
    result_avals: Sequence[Any],
    *,
    has_side_effect: bool,
    returns_token: bool = True,
    partitioned: bool = False,
    sharding: Any = None,
    operand_layouts: Any = None,
    result_layouts: Any = None,
) -> tuple[Sequence[Any], Any, Any]:
    """jax._src.callback.emit_python_callback for our platform."""
    from jax._src import core

    del returns_token  # there is one if one was given
    if operand_layouts is not None or result_layouts is not None:
        raise NotImplementedError(f"layouts of callbacks on platform {PLATFORM}")
    if partitioned and result_avals:
        raise ValueError("Partitioned callback not supported with return values.")
    takes_parts = partitioned and is_divided(ctx)
    entry = Entry(
        callback,
        tuple(map(describe, operand_avals)),
        tuple(map(describe, result_avals)),
        takes_parts=takes_parts,
    )
    number, claim = enter(entry)
    ctx.module_context.add_keepalive(claim)
    # Not to be called by jaxlib: JAX then knows that effects_barrier has to wait for the program.
    if compat.takes_any_host_callback():
        ctx.module_context.add_host_callback(callback)
    tokens = [token] if token else []
    token_avals = [core.abstract_token] * len(tokens)
    ctx = dataclasses.replace(
        ctx,
        avals_in=[*token_avals, *operand_avals],
        avals_out=[*token_avals, *result_avals],
    )
    attributes = {"id": np.int64(number)} | ({"partitioned": True} if takes_parts else {})
    call, results = compat.lower_call(
        ctx, TARGET, *tokens, *operands, has_side_effect=has_side_effect, **attributes
    )
    if sharding is not None and call is not None:
        compat.set_sharding(ctx, call, share(sharding, bool(tokens and result_avals)))
    if tokens:
        token = results.pop(0)
    return results, token, callback


class Backends(types.ModuleType):
    """jax._src.xla_bridge, or jax itself in older versions, as callbacks see it: where there is no CPU device to put arguments on,
    ours takes its place."""

    def __init__(self, original: types.ModuleType):
        super().__init__(original.__name__)
        self._original = original

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original, name)

    def local_devices(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return self._original.local_devices(*args, **kwargs)
        except RuntimeError:
            if kwargs.get("backend") != "cpu":
                raise
            return self._original.local_devices(backend=PLATFORM)


def wait_for_effects() -> None:
    """A program that JAX gives tokens to has finished when its call returns: what callbacks print or
    raise is seen then, and no token keeps an exception that was caught for a later barrier."""
    from jax._src.interpreters import pxla

    original = pxla.ExecuteReplicated._add_tokens_to_inputs

    @functools.wraps(original)
    def _add_tokens_to_inputs(self: Any, *args: Any) -> Any:
        buffers = original(self, *args)
        if self._local_devices[0].platform == PLATFORM:
            library().await_next()
        return buffers

    pxla.ExecuteReplicated._add_tokens_to_inputs = _add_tokens_to_inputs


def register() -> None:
    """Teaches JAX's lowerings of callbacks our platform; it must be known to JAX. May be repeated."""
    from jax._src import callback, checkify, debugging

    module = compat.emitter()
    original = module.emit_python_callback
    if hasattr(original, "__wrapped__"):
        return

    @functools.wraps(original)
    def emit_python_callback(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        ours = tuple(ctx.module_context.platforms) == (PLATFORM,)
        return (emit if ours else original)(ctx, *args, **kwargs)

    rules = [
        (debugging.debug_callback_p, debugging.debug_callback_lowering),
        (checkify.check_p, checkify.check_lowering_rule),
    ]
    if hasattr(debugging, "debug_print_p"):  # from 0.7 on; before, prints are callbacks
        rules.append((debugging.debug_print_p, debugging.debug_print_lowering_rule))
    for user in (callback, debugging):
        for name in ("xb", "xla_bridge", "jax"):
            if hasattr(getattr(user, name, None), "local_devices"):
                setattr(user, name, Backends(getattr(user, name)))
    module.emit_python_callback = emit_python_callback
    public = importlib.import_module("jax.interpreters.mlir")  # from where libraries take it
    public.emit_python_callback = emit_python_callback
    for primitive, rule in rules:
        compat.register_lowering(primitive, rule)
    wait_for_effects()
