# SPDX-License-Identifier: Apache-2.0
# Everything a developer runs. Needs make 3.81, a POSIX shell, a C compiler and Python 3.10-3.14; cmake,
# ninja and the Python packages come from PyPI into .venv. See CONTRIBUTING.md.
#
#   make run        train ResNet-18 on the platform mps, then compare with JAX on the CPU
#   make test       the C tests and the Python tests (PYTHON=python3.12 for another Python)
#   make test-all   the slow ones too
#   make devicetest the device engine's, on MLX's CPU device (JAX_MPS_DEVICE=gpu: on the GPU)
#   make thirdparty  tests of optax and dm-haiku, programs of docs/LIBRARIES.md
#   make grid       the selftest on every version of jax that this Python can install
#   make check      format, include directions, sizes, names in comments, generated files, warnings
#   make format     let clang-format and ruff change the files
#   make asan tsan  the C tests under sanitizers
#   make fuzz       every fuzz target for FUZZ_SECONDS (60)
#   make fuzz-programs  300 random JAX programs against JAX on the CPU; FUZZ_PROGRAMS='--seed 7 --count 5000'
#   make macos      cross-compile for arm64 macOS and check every symbol that is needed
#   make qemu       the C tests on aarch64, under qemu
#   make cuda       the tests' kernels as CUDA, compiled, and run if there is a GPU
#   make kernels    the tests' kernels as code for x86-64-v2, -v3, -v4 and arm64, run where they can
#   make bench      speed against JAX's CPU backend; BENCH="--quick --only softmax" for a part,
#                   BENCH="--threads 1,2,4,8" for mps alone with so many threads
#   make wheel      the sdist and the wheel of a release in dist/, each installed and tried
#                   (SELFTEST=--all for every case of the selftest, not the first minute)
#   make rebase     rewrite golden files and generated documents

PYTHON = python3
VENV = .venv
BUILD = build/python
JOBS = 2
STEPS = 30
# What the device engine is built against; on Linux: make MLX='mlx[cpu]==0.32.4' or 'mlx[cuda13]==0.32.4'
MLX = $(shell test "`uname -sm`" = "Darwin arm64" && echo mlx==0.32.4)
FUZZ_SECONDS = 60
# Only gcc's warnings depend on optimization.
COMPILERS = gcc:Release clang:Debug
# ON: warnings of the package's build and of its tests are errors.
WERROR = OFF

BIN = $(VENV)/bin
WITH_VENV = PATH="$(CURDIR)/$(BIN):$$PATH"
SOURCES = pyproject.toml CMakeLists.txt $(shell find src python -name '*.[ch]' -o -name '*.def' -o -name '*.py')
FUZZERS = $(notdir $(basename $(wildcard fuzz/*_fuzz.c)))
CONFIGURE = $(WITH_VENV) cmake -G Ninja -S .

.PHONY: run test test-all check format asan tsan fuzz fuzz-programs bench kernels cuda rebase clean ctest pytest wheel devicetest thirdparty grid
.DEFAULT_GOAL = run

run: $(VENV)/installed
	$(BIN)/python scripts/run_resnet.py --steps=$(STEPS)

# ---- the environment: one virtual environment, one build ----------------------------------------

$(VENV)/tools: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 10) or sys.exit("needs Python 3.10 or newer, this is " + sys.version.split()[0] + "; try: make PYTHON=python3.12")'
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "this Python cannot make virtual environments; on Debian and Ubuntu: apt-get install python3-venv (or: make PYTHON=another-python)"; exit 1; }
	@command -v cc >/dev/null || { echo "no C compiler; on Debian and Ubuntu: apt-get install gcc libc6-dev; on macOS: xcode-select --install"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet scikit-build-core cmake ninja $(if $(MLX),'$(MLX)')
	@touch $@

$(VENV)/installed: $(VENV)/tools $(SOURCES)
	$(WITH_VENV) $(BIN)/python -m pip install --quiet --no-build-isolation \
	  --config-settings=build-dir=$(BUILD) --config-settings=cmake.define.JM_WERROR=$(WERROR) \
	  -e '.[examples,test]'
	@touch $@

# ---- tests ---------------------------------------------------------------------------------------

test: ctest pytest

# The build of the package, with the tests added to it.
ctest: $(VENV)/installed
	$(CONFIGURE) -B $(BUILD) -DJM_TESTS=ON >/dev/null
	$(WITH_VENV) cmake --build $(BUILD)
	$(WITH_VENV) ctest --test-dir $(BUILD) --output-on-failure -j $(JOBS)

pytest: $(VENV)/installed
	$(BIN)/python -m pytest -q -n $(JOBS) --dist worksteal -m "not slow" $(PYTEST_ARGS)

test-all: ctest
	$(BIN)/python -m pytest -q -n $(JOBS) $(PYTEST_ARGS)

# The device engine's tests, in processes of their own: a process has one engine. The package is built
# again with MLX's engine if it has none.
$(VENV)/mlx: $(VENV)/tools
	$(BIN)/python -m pip install --quiet '$(if $(MLX),$(MLX),mlx[cpu]==0.32.4)'
	@ls $(BUILD)/libjm_engine_mlx_* >/dev/null 2>&1 || rm -f $(VENV)/installed
	@touch $@

devicetest: $(VENV)/mlx
	$(MAKE) $(VENV)/installed
	JM_REQUIRE_DEVICE=1 JAX_MPS_DEVICE=$${JAX_MPS_DEVICE:-mlx-cpu} $(BIN)/python -m pytest -q -n $(JOBS) \
	  --dist loadfile -m "not slow" tests/device tests/jax/test_buffers.py tests/jax/test_processes.py::test_processes tests/jax/test_programs.py $(PYTEST_ARGS)
	JAX_MPS_KERNELS=cuda JM_REQUIRE_DEVICE=1 JAX_MPS_DEVICE=$${JAX_MPS_DEVICE:-mlx-cpu} \
	  $(BIN)/python -m pytest -q tests/device/test_kernels.py $(PYTEST_ARGS)
	JAX_MPS_KERNELS=0 JM_REQUIRE_DEVICE=1 JAX_MPS_DEVICE=$${JAX_MPS_DEVICE:-mlx-cpu} \
	  $(BIN)/python -m pytest -q tests/device/test_groups.py $(PYTEST_ARGS)

# Other projects, on mps against the same on cpu. What they need besides the package's own tests:
LIBRARIES = absl-py blackjax chex diffrax dm-haiku dm-tree equinox flax jmp keras numba numpyro optax scikit-learn scipy tabulate

$(VENV)/libraries: $(VENV)/installed
	$(BIN)/python -m pip install --quiet $(LIBRARIES)
	@touch $@

thirdparty: $(VENV)/installed $(VENV)/libraries
	$(BIN)/python scripts/third_party.py -j $(JOBS)
	JM_REQUIRE_LIBRARIES=1 $(BIN)/python -m pytest -q -n $(JOBS) tests/third_party \
	  tests/python/test_neighbours.py $(PYTEST_ARGS)

# Every version of jax that this Python can install, with the library of this build.
grid: $(VENV)/installed
	$(BIN)/python scripts/grid.py --library $(BUILD)/libpjrt_plugin_mps.so

# ---- checks --------------------------------------------------------------------------------------

# Versions of formatters differ in what they do: these, from PyPI, decide.
$(VENV)/format: $(VENV)/tools
	$(BIN)/python -m pip install --quiet clang-format==19.1.7 ruff==0.17.6
	@touch $@

format: $(VENV)/format
	$(WITH_VENV) $(BIN)/python scripts/check_format.py --fix

check: $(VENV)/format
	$(BIN)/python scripts/check_includes.py
	$(BIN)/python scripts/check_numbers.py
	$(BIN)/python scripts/check_comments.py
	$(BIN)/python scripts/check_sizes.py
	$(BIN)/python scripts/ops_doc.py --check
	$(WITH_VENV) $(BIN)/python scripts/check_format.py
	@for cc in $(COMPILERS); do \
	  type=$${cc#*:}; cc=$${cc%:*}; \
	  if command -v $$cc >/dev/null; then \
	    echo "warnings as errors: $$cc"; \
	    $(WITH_VENV) CC=$$cc cmake -G Ninja -S . -B build/check-$$cc -DCMAKE_BUILD_TYPE=$$type -DJM_WERROR=ON -DJM_TESTS=ON >/dev/null && \
	    $(WITH_VENV) cmake --build build/check-$$cc || exit 1; \
	  else echo "warnings as errors: $$cc is not installed, not checked"; fi; \
	done

# Compiled kernels are tested, too, where LLVM has a wheel.
$(VENV)/llvm: $(VENV)/tools
	-$(BIN)/python -m pip install --quiet --only-binary :all: 'llvmlite>=0.46'
	@touch $@

asan: $(VENV)/llvm
	$(CONFIGURE) -B build/asan -DJM_TESTS=ON -DJM_SANITIZE=address,undefined -DCMAKE_BUILD_TYPE=RelWithDebInfo >/dev/null
	$(WITH_VENV) cmake --build build/asan
	UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 $(WITH_VENV) ctest --test-dir build/asan --output-on-failure -j $(JOBS)

tsan: $(VENV)/llvm
	$(CONFIGURE) -B build/tsan -DJM_TESTS=ON -DJM_SANITIZE=thread -DCMAKE_BUILD_TYPE=RelWithDebInfo >/dev/null
	$(WITH_VENV) cmake --build build/tsan
	TSAN_OPTIONS=halt_on_error=1:die_after_fork=0 $(WITH_VENV) ctest --test-dir build/tsan --output-on-failure -j $(JOBS)

fuzz: $(VENV)/tools
	CC=clang $(CONFIGURE) -B build/fuzz -DJM_FUZZ=ON -DJM_SANITIZE=address,undefined -DCMAKE_BUILD_TYPE=RelWithDebInfo >/dev/null
	$(WITH_VENV) cmake --build build/fuzz --target $(FUZZERS)
	$(BIN)/python scripts/run_fuzz.py --build build/fuzz --seconds $(FUZZ_SECONDS)

# Random programs, seeded by the commit.
fuzz-programs: $(VENV)/installed $(VENV)/llvm
	$(BIN)/python scripts/fuzz_programs.py $(FUZZ_PROGRAMS)

bench: $(VENV)/installed
	$(BIN)/python -m benchmarks $(BENCH)

# ---- other machines ------------------------------------------------------------------------------

macos: $(VENV)/tools
	$(WITH_VENV) PYTHON=$(BIN)/python scripts/macos_build.sh build/macos

qemu: $(VENV)/tools
	$(WITH_VENV) JOBS=$(JOBS) scripts/qemu_test.sh build/qemu

FIND_LLVM = from importlib import util; import glob; \
  print(*glob.glob(util.find_spec("llvmlite").submodule_search_locations[0] + "/binding/libllvmlite.*"))

kernels: $(VENV)/installed
	JAX_MPS_LLVM=$$($(BIN)/python -c '$(FIND_LLVM)') scripts/run_kernels.sh $(BUILD)

cuda: $(VENV)/installed
	scripts/run_cuda.sh $(BUILD)/emit_cuda

wheel:
	PYTHON=$(PYTHON) SELFTEST=$(SELFTEST) scripts/wheel.sh dist

# ---- upkeep --------------------------------------------------------------------------------------

rebase: ctest
	JM_REBASE=1 $(WITH_VENV) ctest --test-dir $(BUILD) -R golden --output-on-failure
	$(BIN)/python scripts/ops_doc.py

clean:
	rm -rf build $(VENV)
