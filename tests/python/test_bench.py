# SPDX-License-Identifier: Apache-2.0
"""The benchmarks' machinery: what is compared, refused, counted and drawn. No time is asserted."""

import argparse
import contextlib
import json
import pathlib
import subprocess
import sys
import time
import xml.etree.ElementTree

import jax
import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from benchmarks import entry as entries  # noqa: E402
from benchmarks import measure, report, scaling  # noqa: E402
from jax_mps_c.selftest import harness  # noqa: E402

pytestmark = pytest.mark.repository

NAMES = {
    "kernels": """add_4m gelu_4m chain20_4m bf16_gelu_4m f64_gelu_4m complex_mul_1m sum_all_4m
        sum_rows sum_cols mean_var softmax_4096x1024 layernorm_fwd layernorm_grad cross_entropy_32k
        matmul_1024 matmul_bf16_1024 bmm_64x128 conv3x3_b32 conv3x3_grad depthwise_conv
        attention_fwd attention_grad random_normal_1m random_bits_4m permutation_1m sort_4096x1024
        argsort_1m top_k gather_rows_1m scatter_add_1m embedding_grad cumsum_4m transpose_4m
        concat_pad fft_1024x1024""",
    "models": """resnet18_step_b32 mlp_step gpt_block_step lstm_scan_128_grad vit_block_grad
        decode_kv_cache""",
    "loops": "scan_10k_tiny while_10k_scalar nested_scan hmc_1k ode_rk4_10k stencil_2d_1k_steps",
    "linalg": "cholesky_256 qr_256 svd_256 eigh_256 triangular_solve_512",
    "science": """solve_256 cholesky_256x8x8 qr_256x8x8 svd_256x8x8 eigh_256x8x8 solve_256x8x8
        erf_inv_1m lgamma_1m split_loop_1k""",
    "dispatch": "scalar 100_args chain_1000 put_get_1kb put_get_64mb",
    "compile": "small resnet_step gpt_step",
    "start": "small_cached resnet_step_cached gpt_step_cached",
    "wide": """dilated_conv_1d wavenet_grad unet_block gru_scan gru_scan_grad mlp_gelu_norm_grad
        unit_rows_product moe_layer gqa_decode int8_mlp vae_grad gnn_grad attention_dropout
        segment_sum_1m kalman k_means sinkhorn n_body ray_march fft_convolution bcoo_product
        tree_reduction levenshtein beam_search image_resize gaussian_process gauss_newton""",
    "sharded": """data_mlp_step data_gpt_step sharded_gpt_step tensor_mlp_step all_reduce_4m
        all_to_all_4m halo_stencil""",
}


def test_names_stay():
    assert {name: list(entries.group(name)) for name in entries.GROUPS} == {
        name: text.split() for name, text in NAMES.items()
    }


def mesh_of(entry):
    """Where a function over several devices can be traced; there need be no such devices."""
    if not entry.split:
        return contextlib.nullcontext()
    kinds = (jax.sharding.AxisType.Auto,)
    mesh = jax.sharding.AbstractMesh((entries.DEVICES,), (entries.AXIS,), axis_types=kinds)
    return jax.sharding.use_abstract_mesh(mesh)


@pytest.mark.parametrize("group", entries.GROUPS)
def test_functions_fit_their_inputs(group):
    for entry in entries.group(group).values():
        inputs = entry.inputs(np.random.default_rng(1))
        others = entry.inputs(np.random.default_rng(2))
        pairs = zip(jax.tree.leaves(inputs), jax.tree.leaves(others))
        assert any(not np.array_equal(a, b) for a, b in pairs), f"{entry.name}: same inputs again"
        if not entry.jit:
            continue
        with harness.x64(entry.x64), mesh_of(entry):
            results = jax.eval_shape(entry.function, *inputs)
        if entry.state:
            before, after = jax.tree.leaves(inputs[0]), jax.tree.leaves(results[0])
            shapes = [[(x.shape, x.dtype) for x in state] for state in (before, after)]
            assert shapes[0] == shapes[1], f"{entry.name}: its state changes its shape"


@pytest.fixture(scope="module")
def trial(python, tmp_path_factory):
    """What a run of the entries of entries/trial.py stores."""
    path = tmp_path_factory.mktemp("bench") / "trial.json"
    done = python("-m", "benchmarks", "--quick", "--group=trial", "--limit=6", f"--output={path}")
    assert path.exists(), done.stdout + done.stderr
    assert done.returncode == 1  # some of them fail
    return json.loads(path.read_text(encoding="utf-8")), done, path


def rows(result):
    return {row["name"]: row for row in result["entries"]}


def test_what_goes_well_has_all_figures(trial):
    found = rows(trial[0])
    for name in ("good", "random", "threaded"):
        row = found[name]
        assert "error" not in row
        assert {"steady", "traced", "compile", "ten"} <= set(row["ratios"])
        assert row["ratio"] == row["ratios"]["steady"] > 0
        assert row["counters"], "no proof that mps ran it"
        for platform in ("cpu", "mps"):
            assert len(row[platform]["blocks_s"]) == measure.QUICK.rounds
    assert found["compiled"]["ratio"] == found["compiled"]["ratios"]["compile"]
    assert "steady" not in found["compiled"]["ratios"]
    devices = trial[0]["facts"]["devices"]
    assert {name: facts["platform"] for name, facts in devices.items()} == {
        "cpu": "cpu",
        "mps": "mps",
    }


@pytest.mark.parametrize(
    "name, text",
    [
        ("wrong", "mps: wrong: result 0"),
        ("raises", "reshape"),
        ("elsewhere", "counters know nothing"),
        ("slow", "mps: more than 6 s"),
        ("dead", "mps: the process died with code 3"),
    ],
)
def test_what_goes_wrong_has_no_ratio(trial, name, text):
    row = rows(trial[0])[name]
    assert text in row["error"]
    assert "ratio" not in row
    assert ("bound" in row) == (name == "slow")
    assert any(name in line and "FAILED" in line for line in trial[1].stdout.splitlines())


def test_facts_tell_no_paths(trial):
    result, _, path = trial
    text = json.dumps(result["facts"])
    assert str(ROOT) not in text and str(path.parent) not in text and str(sys.prefix) not in text
    assert {"commit", "cpu", "cores", "packages", "settings", "effort"} <= set(result["facts"])


def test_chart_is_xml_with_a_bar_for_each_figure(trial):
    result, _, path = trial
    chart = xml.etree.ElementTree.parse(path.with_suffix(".svg"))
    bars = chart.findall(".//{http://www.w3.org/2000/svg}rect")
    assert len(bars) == sum(report.value(row) is not None for row in result["entries"])


def made_up(**ratios):
    sides = {"cpu": {"steady_s": 1.0}, "mps": {"steady_s": 1.0}}
    rows = [
        {"name": n, "group": "kernels", "figure": "steady", "ratios": {"steady": r}, "ratio": r}
        | sides
        for n, r in ratios.items()
    ]
    facts = {"cpu": "x", "cores": 2, "load": 0.0, "system": "Linux x86_64", "commit": "c"}
    facts |= {"python": "3", "packages": {}, "settings": {}, "date": "d"}
    return {"facts": facts, "entries": rows}


def test_summary():
    result = made_up(a=4.0, b=0.25, c=0.69)
    result["entries"][2:] = [made_up(c=0.69)["entries"][0]]
    assert report.means(result)["kernels"][0] == pytest.approx((4 * 0.25 * 0.69) ** (1 / 3))
    assert [row["name"] for row in report.low(result)] == ["b", "c"]
    failed = {"name": "d", "group": "kernels", "figure": "steady", "cpu": {}, "mps": {}}
    late = failed | {"name": "e", "error": "late", "bound": 0.5}
    result["entries"] += [failed | {"error": "no"}, late]
    ratio, note = report.means(result)["kernels"]
    assert ratio == pytest.approx((4 * 0.25 * 0.69 * 0.5) ** (1 / 4))
    assert "at most: 1 " in note and "without 1 " in note


def test_markdown_goes_between_the_markers(tmp_path):
    readme = tmp_path / "README.md"
    kept = "<!-- other: begin -->\nkept\n<!-- other: end -->\n"
    marks = "<!-- mine: begin -->\n", "<!-- mine: end -->\n"
    readme.write_text(f"{kept}{marks[0]}old\n{marks[1]}below\n", encoding="utf-8")
    report.into(report.markdown(made_up(a=2.0), "a.svg"), "mine", readme)
    text = readme.read_text(encoding="utf-8")
    assert text.startswith(kept + marks[0]) and text.endswith(f"{marks[1]}below\n")
    assert "| kernels | a | 2.00 |" in text and "old" not in text
    with pytest.raises(SystemExit, match="absent: begin"):
        report.into("x", "absent", readme)


def test_differences():
    def differ(want, have, rate=1.0):
        return measure.differences([np.asarray(want)], [np.asarray(have)], rate)

    one = np.ones(3, np.float32)
    assert not differ(one, one + np.float32(1e-6))
    assert differ(one, one + np.float32(1e-4))
    assert not differ(one, one + np.float32(1e-4), rate=10)
    assert differ(one, one.astype(np.float64)) and differ(one, one[:2])
    bad = np.array([np.nan, np.inf, 1], np.float32)
    assert not differ(bad, bad)
    assert differ(bad, np.array([np.nan, -np.inf, 1], np.float32))
    assert differ(one, np.array([1, 1, np.nan], np.float32))
    assert differ([1, 2], [1, 3], rate=1e9)
    assert measure.differences([one], [], 1.0)


@pytest.mark.skipif(not pathlib.Path("/proc/self/task").exists(), reason="no /proc")
@pytest.mark.parametrize("code, runs", [("while True: pass", True), ("input()", False)])
def test_a_process_runs_or_rests(code, runs):
    code = f"print(flush=True)\n{code}"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], **pipes) as process:
        process.stdout.readline()
        end = time.monotonic() + 20
        while measure.is_running(process.pid) != runs and time.monotonic() < end:
            time.sleep(0.01)
        assert measure.is_running(process.pid) == runs
        process.kill()
    assert not measure.is_running(process.pid)


# ---- with several numbers of threads


def test_scaling_of_entries(python, tmp_path):
    path = tmp_path / "threads.json"
    options = ["--quick", "--group=trial", "--only=good|compiled|dead", "--threads=2,1,2"]
    done = python("-m", "benchmarks", *options, f"--output={path}")
    assert done.returncode == 1 and path.exists(), done.stdout + done.stderr
    assert not path.with_suffix(".svg").exists()  # it compares with nothing
    result = json.loads(path.read_text(encoding="utf-8"))
    assert result["threads"] == [1, 2]
    assert result["facts"]["devices"]["mps"]["platform"] == "mps"
    found = rows(result)
    assert set(found) == {"good", "dead"}  # the other has no steady figure
    assert "died with code 3" in found["dead"]["error"]
    assert set(found["good"]["threads"]) == {"1", "2"}
    for row in found["good"]["threads"].values():
        assert len(row["blocks_s"]) == measure.QUICK.rounds and 0 < row["best_s"] <= row["steady_s"]
    assert "2 threads:" in done.stdout and "failed: trial" in done.stdout


def test_efficiency_and_what_is_slower():
    def record(**seconds):
        threads = {n[1:]: {"best_s": s, "steady_s": s, "blocks_s": [s]} for n, s in seconds.items()}
        return {"name": "a", "group": "kernels", "threads": threads}

    row = record(t1=8.0, t2=4.0, t4=4.1, t8=5.0)
    assert scaling.efficiency(row) == pytest.approx({1: 1, 2: 1, 4: 8 / 16.4, 8: 0.2})
    assert scaling.slower(row, cores=8) == [(8, 2, 1.25)]
    assert scaling.slower(row, cores=4) == []  # eight threads on four cores prove nothing
    result = made_up() | {"threads": [1, 2, 4, 8], "entries": [row]}
    result["facts"]["cores"] = 8
    assert "a: 1.25 times as long with 8 as with 2" in scaling.summary(result)
    assert report.name_of(result).endswith("-threads")
    with pytest.raises(argparse.ArgumentTypeError):
        scaling.counts("1,x")
    with pytest.raises(argparse.ArgumentTypeError):
        scaling.counts("0,2")
