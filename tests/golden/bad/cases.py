# SPDX-License-Identifier: Apache-2.0
"""The list of bad programs, and the ways to add one."""

from wire import main_program

CASES = []
BAD, NOT = "INVALID_ARGUMENT", "UNIMPLEMENTED"


def case(name, code, text):
    def add(make):
        made = make()
        CASES.append((name, code, text, made if isinstance(made, bytes) else made.bytes()))
        return make

    return add


def body_case(name, code, text, **more):
    """The function gets the program and the body of @main, f32[2] → f32[2]."""
    return lambda make: case(name, code, text)(lambda: main_program(make, **more))


def add(p, r, **more):
    r.ret(r.op("vhlo.add_v1", [p.tensor([2])], [r.args[0], r.args[0]], **more))


def good(**more):
    return main_program(add, **more)


def edited(section_number, edit):
    p = good()
    p.edit[section_number] = edit
    return p
