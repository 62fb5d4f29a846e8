# SPDX-License-Identifier: Apache-2.0
"""The checks of `make check` can fail: each is given a small tree with the mistakes that it finds."""

import pathlib
import subprocess
import sys

import pytest

pytestmark = pytest.mark.repository
SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / "scripts"
LINES = " \\\n".join("  x();" for _ in range(81))


@pytest.fixture
def check(tmp_path):
    """Runs a check over files, name -> text; its exit status and the lines that it prints."""
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)

    def run(script: str, files: dict[str, str]) -> tuple[int, list[str]]:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        command = [sys.executable, SCRIPTS / script, tmp_path]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout.splitlines()

    return run


COMMENTED = """
#define OP(name) jm_run_##name
/* jm_run_add runs it, {}. */
int first_word = sizeof "/* not_a_comment */";
OP(add)
"""


@pytest.mark.parametrize("name", ["add()", "first_word", "a.c", "base/a.c", "base/a", "src/base"])
def test_a_comment_names_what_exists(check, name):
    files = {"src/base/a.c": COMMENTED.format(name)}
    assert check("check_comments.py", files) == (0, ["comments: 1 files, 0 problems"])


@pytest.mark.parametrize("name", ["sub()", "jm_run_sub", "b.c", "ir/a.c", "base/b", "src/ir"])
def test_a_comment_names_what_is_gone(check, name):
    status, lines = check("check_comments.py", {"src/base/a.c": COMMENTED.format(name)})
    assert status == 1
    assert lines[0] == f"src/base/a.c:3: there is no {name.rstrip('()')}"


def test_documents_and_docstrings_count(check):
    files = {
        "README.md": "as `gone_word` says\n",
        "a.py": '"""As gone_word says."""\nf("""\n# kept_word is code\n""")  # kept_word, gone_word\n',
    }
    status, lines = check("check_comments.py", files)
    assert status == 1
    places = ["README.md:1", "a.py:1", "a.py:4"]
    assert lines[:-1] == [f"{place}: there is no gone_word" for place in places]


def test_a_macro_has_the_limit_of_a_function(check):
    text = "/* SPDX-License-Identifier: Apache-2.0 */\n#define LONG(x) \\\n"
    assert check("check_sizes.py", {"a.h": text + LINES.split(" \\\n", 1)[1] + "\n"})[0] == 0
    status, lines = check("check_sizes.py", {"a.h": text + LINES + "\n"})
    assert status == 1
    assert lines[0] == "a.h:2: function or macro of 81 lines, more than 80"
