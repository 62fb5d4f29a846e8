# SPDX-License-Identifier: Apache-2.0
"""Several programs for one process: starting it takes longer than most of them do."""


def script(prelude: str, programs: dict[str, str]) -> str:
    """Runs the programs one after another, each with what the prelude defined and nothing of the
    others. A traceback says in which program it is."""
    run = (
        "\ndef run_in_turn(name, text):\n"
        "    exec(compile(text, f'<the program {name}>', 'exec'), dict(globals()))\n"
    )
    calls = [f"run_in_turn({name!r}, {text!r})\n" for name, text in programs.items()]
    return prelude + run + "".join(calls)
