#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Comments and documents name what exists.

Whatever looks like a name in comments of C and Python and in Markdown (words with underscores,
`name()`, files, folders) must be a word of the code or a file of the tree. A name that token
pasting makes, such as `JM_OP_##name`, exists if its parts do. An argument names another tree.
"""

from __future__ import annotations

import fnmatch
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
C = (".c", ".h", ".cc", ".cu", ".def")
CODE = (*C, ".py", ".sh", ".toml", ".yml", ".txt", ".cmake", ".mlir", ".md", "Makefile")
# What comments are; a match with a group is a string of code.
COMMENT = {
    **dict.fromkeys(C, r"""("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\])')|/\*.*?\*/|//[^\n]*"""),
    ".py": r'(?m:^)[ \t]*r?"""(?=\S).*?"""|(""".*?""")|(?<!\S)# [^\n]*',
    ".md": r".+",
}
WORD = re.compile(r"[A-Za-z_]\w*")
NAME = re.compile(r"(?<![\w./:$%#@\-])([A-Za-z]\w*_\w*[A-Za-z0-9]|[A-Za-z]\w*(?=\(\)))(?![\w*-])")
FILE = re.compile(r"(?<![\w/.*<>-])[\w.*/-]+\.(?:c|h|cc|cu|def|py|sh|\[ch\])(?![\w*(]|\.\w)")
FOLDER = re.compile(r"(?<![\w/.-])(?:[a-z]\w*/)+[a-z]\w*(?![\w/*-]|\.\w)")
# Generated from names of JAX's tests.
SKIPPED = {"docs/JAX_TESTS.md"}
# Names of others, of files that a user has, and of a test.
FOREIGN = {
    *("Analysis.h", "llvm-c/Core.h", "Error.h", "IRReader.h", "LLJIT.h", "TargetMachine.h"),
    *("log_add_exp", "mlx/backend/cuda/allocator.h", "applegpu_g16s", "libjm_engine_mlx_0_32_4"),
    *("call_jaxpr", "debug_info", "ru_maxrss", "openxla/xla", "metal/kernels", "tests/lax_test.py"),
    *("PROGRAM.py", "file.py", "f.py", "jit_f", "fuzz/NAME_fuzz.c", "kernels.cu", "EMIT_METAL"),
    *("num_processes", "process_id", "jax_distributed_heartbeat_timeout_seconds", "script.py"),
    *("MLX_IBV_DEVICES", "MLX_JACCL_COORDINATOR", "ducc_fft", "chain_method", "model.py"),
    *("deserialize_executable", "raw_in0", "raw_in1", "raw_out0", "last_tile_dim_replicate"),
    *("ADD_ABS_LO12_NC", "LDST8_ABS_LO12_NC", "LDST16_ABS_LO12_NC", "LDST32_ABS_LO12_NC"),
    *("LDST64_ABS_LO12_NC", "LDST128_ABS_LO12_NC", "JAX_USE_SHARDY_PARTITIONER"),
}


class Tree:
    """What exists: words of code, the halves that token pasting joins, files and folders."""

    def __init__(self, files: list[str]):
        self.files = [f"/{name}" for name in files]
        self.folders = {f[:i] for f in self.files for i, c in enumerate(f) if c == "/" and i}
        self.words = {name.rsplit("/", 1)[-1].split(".")[0] for name in files}
        self.before, self.after = {"JAX_MPS_"}, set()

    def read(self, path: pathlib.Path) -> list[tuple[int, str]]:
        """Adds the words of a file's code; its comments, each with the line where it starts."""
        text, pattern = path.read_text(encoding="utf-8"), COMMENT.get(path.suffix, r"(?!)")
        code = re.sub(pattern, lambda m: m.group() if m.lastindex else " ", text, flags=re.DOTALL)
        self.words |= set(WORD.findall(code))
        if path.suffix in C:
            self.before |= set(re.findall(r"(\w+)\s*##", code))
            self.after |= set(re.findall(r"##\s*(\w+)", code))
        found = [m for m in re.finditer(pattern, text, re.DOTALL) if not m.lastindex]
        return [(text.count("\n", 0, match.start()) + 1, match.group()) for match in found]

    def has_word(self, word: str) -> bool:
        if word in self.words:
            return True
        halves = [(word[:i], word[i:]) for i in range(1, len(word))]
        has = lambda part: part in self.words or part.lower() in self.words  # noqa: E731
        return any((a in self.before and has(b)) or (b in self.after and has(a)) for a, b in halves)

    def has_file(self, name: str) -> bool:
        return any(fnmatch.fnmatch(f, f"*/{name}") for f in self.files)

    def has_folder(self, name: str) -> bool:
        endings = (f"/{name}", "/" + name.split("/")[0])
        whole, first = (any(f.endswith(end) for f in self.folders) for end in endings)
        return whole or not first or self.has_file(name + ".*")


def main() -> int:
    root = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT
    command = ["git", "-C", root, "ls-files", "-co", "--exclude-standard"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    tree = Tree([name for name in listed if (root / name).exists()])
    sources = [name[1:] for name in tree.files if name.endswith(CODE)]
    comments = {name: tree.read(root / name) for name in sources}
    kinds, problems = ((NAME, tree.has_word), (FILE, tree.has_file), (FOLDER, tree.has_folder)), []
    for name, first, text in ((n, *c) for n in sources if n not in SKIPPED for c in comments[n]):
        matches = [
            m for pattern, has in kinds for m in pattern.finditer(text) if not has(m.group())
        ]
        for match in (match for match in matches if match.group() not in FOREIGN):
            line = first + text.count("\n", 0, match.start())
            problems.append(f"{name}:{line}: there is no {match.group()}")
    print(*problems, sep="\n", end="\n" if problems else "")
    print(f"comments: {len(sources)} files, {len(problems)} problems")
    return int(bool(problems) or not any(comments.values()))


if __name__ == "__main__":
    sys.exit(main())
