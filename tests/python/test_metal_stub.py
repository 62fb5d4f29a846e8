# SPDX-License-Identifier: Apache-2.0
"""The stub of Metal's library (tests/metal) is checked itself: MLX's Metal headers compile against
it and give NumPy's results, and what Metal forbids is refused."""

import importlib.util
import os
import pathlib
import sys

import numpy as np
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "metal"))
import metal  # noqa: E402

pytestmark = pytest.mark.repository
HEAD = "#include <metal_stdlib>\nusing namespace metal;\n"
ONE = "uint i [[thread_position_in_grid]]"


@pytest.fixture(scope="module", autouse=True)
def clang():
    """clang 14 or later; CI has one."""
    if not metal.is_usable():
        assert not os.environ.get("CI"), "no clang 14 or later"
        pytest.skip("needs clang 14 or later")


@pytest.fixture(scope="module")
def mlx(tmp_path_factory):
    """A folder of MLX's Metal headers, as clang gets them."""
    spec = importlib.util.find_spec("mlx")
    places = spec.submodule_search_locations if spec else []
    below = "mlx/backend/metal/kernels"
    for place in places:
        source = pathlib.Path(place) / "include" / below
        if source.is_dir():
            folder = tmp_path_factory.mktemp("mlx")
            metal.copy_headers(source, folder / below)
            return folder
    pytest.skip("MLX is not installed with its headers")


# ---- what Metal forbids

# Each is the body of a kernel over x, y (float in, out) and i, or, if it has a "@", what stands
# before the kernel and its body. Then a part of the reason.
FORBIDDEN = {
    "double": ("double d = 1; y[i] = d;", "double"),
    "pointer without a space": ("float a = 1; float *p = &a; y[i] = *p;", "no address space"),
    "reference without a space": ("float a = 1; float &r = a; y[i] = r;", "no address space"),
    "parameter without a space": (
        "float f(const float *p) { return *p; }@y[i] = f(x);",
        "no address space",
    ),
    "device to threadgroup": ("threadgroup float *p = y; *p = 1;", "cannot initialize"),
    "threadgroup to device": (
        "threadgroup float s[4]; device float *p = s; *p = 1;",
        "cannot initialize",
    ),
    "device to constant": ("constant float *p = x; y[i] = *p;", "cannot initialize"),
    "thread to device": ("float a = 1; device float *p = &a; *p = 2;", "cannot initialize"),
    "thread for threadgroup": (
        "float f(threadgroup float *p) { return *p; }@float a = 1; y[i] = f(&a);",
        "no matching function",
    ),
    "cast of a space": ("y[i] = *(threadgroup float *)x;", "address space"),
    "store to const": ("x[i] = 1;", "read-only|const"),
    "store to constant": ("constant float c = 2;@c = 3;", "read-only|const"),
    "variable of the program": ("float c = 2;@y[i] = c;", "address space"),
    "variable of the group outside": ("threadgroup float s[4];@y[i] = s[0];", "address space"),
    "initialized memory of a group": ("threadgroup float s = 0; y[i] = s;", "initialized"),
    "recursion": ("int f(int n) { return n ? n + f(n - 1) : 0; }@y[i] = f(3);", "calls itself"),
    "recursion of two": (
        "int g(int n); int f(int n) { return n ? g(n - 1) : 0; } int g(int n) { return f(n); }"
        "@y[i] = f(3);",
        "calls itself",
    ),
    "goto": ("again: if (x[i] > 9) goto again;", "goto"),
    "virtual function": (
        "struct A { virtual int f() { return 1; } };@A a; y[i] = a.f();",
        "virtual",
    ),
    "exception": ("throw 1;", "throw|exceptions"),
    "new": ("y[i] = *new float;", "new"),
    "pointer to a function": ("int f() { return 1; }@int (*p)() = f; y[i] = p();", "function"),
    "dynamic_cast": ("struct A {}; struct B : A {};@B b; A *a = dynamic_cast<A *>(&b);", "dynamic"),
    "typeid": ("y[i] = typeid(float) == typeid(int);", "typeid"),
    "thread_local": ("static thread_local int n; y[i] = n;", "thread"),
    "array of variable size": ("float a[i]; y[i] = a[0];", "variable length|constant"),
    "C++'s library": ("#include <vector>\n@y[i] = 0;", "vector"),
    "C's functions": ("y[i] = metal::erf(x[i]);", "erf"),
    "printf": ('printf("%d", i);', "printf"),
    "select of two types": ("y[i] = select(x[i], 1, x[i] > 0);", "ambiguous|no matching"),
    "min of two types": ("int n = 3; y[i] = min(n, i);", "ambiguous"),
    "as_type of another size": ("y[i] = as_type<float>((ushort)i);", "another size"),
    "float to bfloat": ("bfloat b = x[i]; y[i] = b;", "no viable conversion"),
    "atomic of a plain number": (
        "atomic_fetch_add_explicit(y + i, 1.0f, memory_order_relaxed);",
        "no matching function",
    ),
    "atomic minimum of floats": (
        "threadgroup atomic_float a; atomic_fetch_min_explicit(&a, 1.0f, memory_order_relaxed);",
        "no matching function",
    ),
    "sequential order": (
        "threadgroup atomic_int a; atomic_store_explicit(&a, 1, memory_order_seq_cst);",
        "memory_order_seq_cst",
    ),
    "barrier without flags": ("threadgroup_barrier();", "no matching function"),
}


def write_kernel(text):
    before, _, body = text.rpartition("@")
    return (
        f"{HEAD}{before}\n[[kernel]] void k(device const float *x [[buffer(0)]], "
        f"device float *y [[buffer(1)]], {ONE}) {{\n{body}\n}}\n"
    )


@pytest.mark.parametrize("rule", FORBIDDEN)
def test_forbidden(rule):
    text, reason = FORBIDDEN[rule]
    with pytest.raises(metal.Refused, match=reason):
        metal.Kernel(write_kernel(text))


@pytest.mark.parametrize(
    "parameters, reason",
    [
        ("float *x [[buffer(0)]]", "no pointer"),
        ("threadgroup float *x [[buffer(0)]]", "no pointer"),
        ("device float x [[buffer(0)]]", "no pointer"),
        ("device float *x [[buffer(31)]]", "beyond 30"),
        ("device float *x [[buffer(0)]], device float *y [[buffer(0)]]", "twice"),
        ("device float *x [[thread_index_in_simdgroup]]", "cannot be"),
        ("uint3 i [[thread_index_in_simdgroup]]", "cannot be"),
        ("uint i [[thread_number]]", "attribute"),
        ("device float *x [[threadgroup(0)]]", "no memory of a group"),
    ],
)
def test_forbidden_parameters(parameters, reason):
    with pytest.raises(metal.Refused, match=reason):
        metal.Kernel(f"{HEAD}[[kernel]] void k({parameters}) {{}}", group_bytes={0: 4})


def test_kernel_returns_nothing():
    with pytest.raises(metal.Refused, match="returns"):
        metal.Kernel(f"{HEAD}[[kernel]] int k({ONE}) {{ return 1; }}")


# ---- groups

SUM = """[[kernel]] void sums(device const float *x [[buffer(0)]], device float *y [[buffer(1)]],
    constant int &n [[buffer(2)]], uint3 t [[thread_position_in_threadgroup]],
    uint3 g [[threadgroup_position_in_grid]]) {
  threadgroup float s[256];
  float total = 0;
  for (int i = t.x; i < n; i += 256) total += x[g.x * n + i];
  s[t.x] = total;
  for (uint w = 128; w; w /= 2) {
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (t.x < w) s[t.x] += s[t.x + w];
  }
  if (t.x == 0) y[g.x] = s[0];
}
"""


def run_sums(text, reverse):
    x = np.random.default_rng(1).normal(size=(5, 1000)).astype(np.float32)
    y, n = np.full(5, -1, np.float32), np.array([1000], np.int32)
    metal.Kernel(HEAD + text).run([x, y, n], (5 * 256,), (256,), reverse)
    np.testing.assert_array_equal(x, np.random.default_rng(1).normal(size=(5, 1000)).astype("f"))
    return x, y


def test_group():
    x, y = run_sums(SUM, False)
    np.testing.assert_allclose(y, x.sum(1), rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(y, run_sums(SUM, True)[1])


def test_missing_barrier():
    text = SUM.replace("threadgroup_barrier(mem_flags::mem_threadgroup);", "")
    assert (run_sums(text, False)[1] != run_sums(text, True)[1]).any()


@pytest.mark.parametrize(
    "body, message",  # None: nothing is wrong
    [
        ("if (i < 3) threadgroup_barrier(mem_flags::mem_threadgroup);", "end before a barrier"),
        ("threadgroup int s[4]; s[i] = i;", "behind a group's array"),
        ("threadgroup int s[9000]; s[i] = i;", "32 KiB"),
        (
            "if (i < 32) threadgroup_barrier(mem_flags::mem_none); else simd_sum(i);"
            "if (i >= 32) threadgroup_barrier(mem_flags::mem_none);",
            None,
        ),
    ],
)
def test_group_failures(body, message):
    kernel = metal.Kernel(f"{HEAD}[[kernel]] void k({ONE}) {{ {body} }}")
    if message is None:
        kernel.run([], (64,), (64,))
        return
    with pytest.raises(RuntimeError, match=message):
        kernel.run([], (64,), (64,))


def test_poison():
    """What nobody stored in a group's memory is no zero."""
    text = "threadgroup int s[8]; y[i] = s[i % 8];"
    kernel = metal.Kernel(f"{HEAD}[[kernel]] void k(device int *y [[buffer(0)]], {ONE}) {{{text}}}")
    y = np.zeros(8, np.int32)
    kernel.run([y], (8,), (8,))
    assert (y.view(np.uint32) == 0xA5A5A5A5).all()


def test_grid():
    """Positions in three dimensions, and the memory of a group as a parameter."""
    text = """[[kernel]] void k(device uint *y [[buffer(0)]], threadgroup uint *s [[threadgroup(0)]],
        uint3 p [[thread_position_in_grid]], ushort3 t [[thread_position_in_threadgroup]],
        uint3 n [[threads_per_grid]], uint flat [[thread_index_in_threadgroup]],
        uint3 groups [[threadgroups_per_grid]], uint2 size [[threads_per_threadgroup]]) {
      s[flat] = t.x + 10 * t.y + 100 * t.z;
      threadgroup_barrier(mem_flags::mem_threadgroup);
      y[(p.z * n.y + p.y) * n.x + p.x] =
          s[flat] + 1000 * groups.x + 10000 * groups.y + 100000 * groups.z + 1000000 * size.y;
    }"""
    y = np.zeros((4, 6, 8), np.uint32)
    metal.Kernel(HEAD + text, group_bytes={0: 4 * 24}).run([y], (8, 6, 4), (4, 3, 2))
    z, row, x = np.indices(y.shape)
    np.testing.assert_array_equal(y, x % 4 + 10 * (row % 3) + 100 * (z % 2) + 3222000)


# ---- functions

FUNCTIONS = {
    "rint": ("rint(a)", np.rint),
    "trunc": ("trunc(a)", np.trunc),
    "floor": ("floor(a)", np.floor),
    "ceil": ("ceil(a)", np.ceil),
    "abs": ("abs(a)", np.abs),
    "sqrt": ("precise::sqrt(abs(a))", lambda a: np.sqrt(np.abs(a))),
    "fmod": ("fmod(a, 0.75f)", lambda a: np.fmod(a, np.float32(0.75))),
    "copysign": ("copysign(2.0f, a)", lambda a: np.copysign(np.float32(2), a)),
    "select": ("select(a, -a, a < 0)", np.abs),
    "as_type": (
        "as_type<float>(as_type<uint>(a) ^ 0x80000000)",
        np.negative,
    ),
    "clz": ("clz(as_type<uint>(a) >> 3) + clz(uint(0))", None),
    "popcount": ("popcount(as_type<uint>(a))", None),
    "half": ("half(a) * half(3)", lambda a: a.astype(np.float16) * np.float16(3)),
    "vector": ("fma(float2(a, 2), float2(2, 2), float2(1, 1)).x", lambda a: a * 2 + 1),
    "literal": ("0.1 == 0.1f", lambda a: np.ones_like(a)),
}


def test_functions():
    a = np.concatenate([np.random.default_rng(2).normal(size=59) * 9, [0, -0.0, 2.5, -1.5, 1e30]])
    a = a.astype(np.float32)
    body = "".join(f"y[{i} * 64 + i] = {f[0]};\n" for i, f in enumerate(FUNCTIONS.values()))
    y = np.zeros((len(FUNCTIONS), 64), np.float32)
    metal.Kernel(write_kernel(f"float a = x[i];\n{body}")).run([a, y], (64,), (64,))
    bits = a.view(np.uint32)
    for row, (name, (_, expected)) in zip(y, FUNCTIONS.items()):
        if name == "clz":
            want = [32 - int(b >> 3).bit_length() + 32 for b in bits]
        elif name == "popcount":
            want = [bin(b).count("1") for b in bits]
        else:
            with np.errstate(over="ignore"):
                want = expected(a)
        np.testing.assert_array_equal(row, np.asarray(want, np.float32), name)


def test_bfloat():
    """Every operation rounds half to even."""
    x = np.array([1.00390625, 1.01171875, -3.1415926, np.inf, np.nan, 1e-40], np.float32)
    y = np.zeros(12, np.float32)
    text = "y[i] = bfloat(x[i]); y[6 + i] = bfloat(x[i]) * bfloat(3);"
    metal.Kernel(write_kernel(text)).run([x, y], (6,), (6,))

    def rounded(a):
        bits = np.asarray(a, np.float32).view(np.uint32)
        return ((bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000).view(np.float32)

    with np.errstate(all="ignore"):
        want = np.concatenate([rounded(x), rounded(rounded(x) * 3)])
    want[[4, 10]] = np.nan
    np.testing.assert_array_equal(y, want)


def test_subnormals():
    x, y = np.array([2e-38, 1e-40], np.float32), np.zeros(2, np.float32)
    kernel = metal.Kernel(write_kernel("y[i] = x[i] * 0.5f;"))
    kernel.run([x, y], (2,), (2,))
    np.testing.assert_array_equal(y, x * np.float32(0.5))
    kernel.run([x, y], (2,), (2,), flush=True)
    np.testing.assert_array_equal(y, [0, 0])
    assert (x * np.float32(0.5) > 0).all()


def test_simdgroup():
    text = """y[i] = simd_sum(x[i]); y[64 + i] = simd_shuffle_down(x[i], 16);
      y[128 + i] = simd_shuffle_xor(x[i], 3); y[192 + i] = simd_prefix_exclusive_sum(x[i]);
      y[256 + i] = simd_max(x[i]); y[320 + i] = simd_broadcast(x[i], 7);"""
    x, y = np.arange(64, dtype=np.float32), np.zeros((6, 2, 32), np.float32)
    for reverse in (False, True):
        metal.Kernel(write_kernel(text)).run([x, y], (64,), (64,), reverse)
        rows = x.reshape(2, 32)
        lane = np.arange(32)
        np.testing.assert_array_equal(y[0], rows.sum(1, keepdims=True) + 0 * rows)
        np.testing.assert_array_equal(y[1], rows[:, np.where(lane < 16, lane + 16, lane)])
        np.testing.assert_array_equal(y[2], rows[:, lane ^ 3])
        np.testing.assert_array_equal(y[3], rows.cumsum(1) - rows)
        np.testing.assert_array_equal(y[4], rows[:, 31:] + 0 * rows)
        np.testing.assert_array_equal(y[5], rows[:, 7:8] + 0 * rows)


# ---- MLX's kernels

INCLUDES = """utils atomic reduce_utils reduce scan softmax logsumexp sort binary_ops hadamard
searchsorted cross_entropy dot indexing/gather indexing/scatter indexing/gather_axis
indexing/scatter_axis indexing/gather_front unary_ops unary binary ternary_ops ternary arange
copy""".split()
MLX_HEAD = "".join(f'#include "mlx/backend/metal/kernels/{name}.h"\n' for name in INCLUDES)
INSTANCES = """unary_v<float, float, Exp>; unary_v<half, half, Sigmoid>; unary_v<bfloat, bfloat, Tanh>
unary_v<int, int, Negative>; unary_v<complex64_t, complex64_t, Sqrt>; binary_vv<float, float, Add>
binary_vv<bfloat, bfloat, Maximum>; binary_vv<half, half, Power>
binary_vv<complex64_t, complex64_t, Multiply>; binary_vv<int64_t, int64_t, FloorDivide>
ternary_v<float, Select, false, false>; arange<float>; copy_v<float, bfloat>; copy_v<bfloat, float>
copy_v<int, half>; all_reduce<float, float, Sum<float>>; all_reduce<int, int, Max<int>>
row_reduce_simple<float, float, Sum<float>>; row_reduce_looped<float, float, Sum<float>, int, 1>
col_reduce_looped<float, float, Sum<float>, int, 1, 32, 32>
contiguous_scan<float, float, CumSum<float>, 4, true, false>; softmax_single_row<float>
softmax_looped<half, float>; logsumexp<float>; block_sort<float, uint, false, 32, 4>"""


def test_mlx_headers(mlx, tmp_path):
    instances = [name.strip() for line in INSTANCES.split("\n") for name in line.split(";")]
    assert len(instances) == 25
    source = tmp_path / "all.metal"
    text = "".join(f"template decltype({name}) {name};\n" for name in instances)
    source.write_text(MLX_HEAD + text)
    metal.run_clang(f"-I{mlx}", "-w", "-O0", "-c", source, "-o", tmp_path / "all.o")


def mlx_kernel(mlx, header, instance):
    """A kernel that is a template of MLX's."""
    name = instance.split("<")[0]
    text = (mlx / "mlx/backend/metal/kernels" / header).read_text()
    return metal.Kernel(MLX_HEAD, signatures=text, instances={name: instance}, include=[mlx])


def test_mlx_softmax(mlx):
    x = (np.random.default_rng(3).normal(size=(3, 500)) * 4).astype(np.float32)
    y, n = np.zeros_like(x), np.array([500], np.int32)
    kernel = mlx_kernel(mlx, "softmax.h", "softmax_single_row<float>")
    for reverse in (False, True):
        kernel.run([x, y, n], (3 * 128,), (128,), reverse)
        e = np.exp(x.astype(np.float64) - x.max(1, keepdims=True))
        np.testing.assert_allclose(y, e / e.sum(1, keepdims=True), rtol=3e-6, atol=1e-9)


def test_mlx_logsumexp(mlx):
    x = (np.random.default_rng(4).normal(size=(2, 300)) * 4).astype(np.float32)
    y, n = np.zeros(2, np.float32), np.array([300], np.int32)
    kernel = mlx_kernel(mlx, "logsumexp.h", "logsumexp<float>")
    kernel.run([x, y, n], (2 * 96,), (96,), True)
    np.testing.assert_allclose(y, np.log(np.exp(x.astype(np.float64)).sum(1)), rtol=1e-6)


def test_mlx_unary(mlx):
    x = np.random.default_rng(5).normal(size=256).astype(np.float32)
    y, n = np.zeros_like(x), np.array([256], np.uint32)
    kernel = mlx_kernel(mlx, "unary.h", "unary_v<float, float, Erf, 1>")
    kernel.run([x, y, n], (256,), (64,))
    want = [__import__("math").erf(v) for v in x.tolist()]
    np.testing.assert_allclose(y, want, rtol=1e-5, atol=1e-7)
