# SPDX-License-Identifier: Apache-2.0
"""Programs that are wrong as bytecode: sections, ops, attributes and types."""

from cases import BAD, NOT, add, body_case, case, edited, good
from wire import Program, Region, listed, section, svarint, varint

# -- the container

GOOD = good().bytes()
case("magic", BAD, "not MLIR bytecode")(lambda: b"XL" + GOOD[2:])
case("empty", BAD, "not MLIR bytecode")(lambda: b"")
case("version", NOT, "MLIR bytecode version 7")(lambda: GOOD[:4] + varint(7) + GOOD[5:])
case("producer_end", BAD, "the producer's name has no end")(lambda: GOOD[:12])
case("producer", BAD, "not a StableHLO portable artifact")(lambda: good(producer=b"MLIR19"))
case("no_section", BAD, "there is no string section")(lambda: GOOD[: GOOD.index(b"\0") + 1])
case("cut", BAD, "section past the end")(lambda: GOOD[:-3])
case("unknown_section", BAD, "unknown section 9")(lambda: GOOD + section(9, b""))
case("repeated_section", BAD, "repeated section 8")(lambda: GOOD + section(8, b"\1"))
case("alignment", BAD, "alignment 0")(lambda: GOOD + b"\x85\x01\x01")
case("padding", BAD, "bad padding")(lambda: GOOD + b"\x85\x01" + varint(1 << 20) + b"\0" * 64)
case("no_properties", BAD, "there is no properties section")(
    lambda: setattr(p := good(), "order", (1, 3, 2, 4, 0)) or p
)
case("string_length", BAD, "bad string length 0")(lambda: edited(0, lambda s: listed([varint(0)])))
case("string_end", BAD, "unterminated string")(
    lambda: edited(0, lambda s: listed([varint(2)]) + b"ab")
)
case("string_rest", BAD, "bytes too many in the string section")(
    lambda: edited(0, lambda s: s + b"x")
)
case("string_count", BAD, "too few bytes for a count of")(
    lambda: edited(0, lambda s: varint(1 << 40))
)
case("dialect_name", BAD, "there is no string 1000")(
    lambda: edited(1, lambda s: listed([varint(1000 << 1)]) + varint(0))
)
case("dialect_version", BAD, "expected a dialect's version")(
    lambda: edited(1, lambda s: listed([varint(1) + section(3, b"")]) + varint(0))
)
case("dialect_of_names", BAD, "there is no dialect 77")(
    lambda: edited(1, lambda s: s + varint(77) + varint(0))
)
case("group", BAD, "too many attributes or types in a group of 500")(
    lambda: edited(3, lambda s: varint(1) + varint(0) + varint(0) + varint(500))
)
case("slice", BAD, "attribute or type past its section")(
    lambda: edited(3, lambda s: varint(1) + varint(0) + varint(0) + varint(1) + varint(5000 << 1))
)
case("offset_rest", BAD, "bytes too many in the attribute offset section")(
    lambda: edited(3, lambda s: s + b"\1")
)
case("properties_cut", BAD, "too few bytes for a count of")(
    lambda: edited(8, lambda s: varint(1) + varint(9))
)
case("ir_rest", BAD, "bytes too many in the IR section")(lambda: edited(4, lambda s: s + b"\1"))
case("long_varint", BAD, "unexpected end")(lambda: edited(4, lambda s: b"\0"))

# -- ops

body_case("op_name", BAD, "there is no op name 999")(lambda p, r: add(p, r, name_index=999))
body_case("op_mask", BAD, "unknown op encoding 128")(lambda p, r: add(p, r, mask=128))
body_case("op_location", BAD, "there is no attribute 999")(lambda p, r: add(p, r, location=999))
body_case("op_dictionary", BAD, "there is no attribute 998")(lambda p, r: add(p, r, dictionary=998))
body_case("op_property", BAD, "there is no property 99")(lambda p, r: add(p, r, property=99))
body_case("op_type", BAD, "there is no type 99")(lambda p, r: r.ret(r.op("vhlo.iota_v1", [99])))
body_case("op_operand", BAD, "there is no value 99")(
    lambda p, r: r.ret(r.op("vhlo.abs_v1", [p.tensor([2])], [99]))
)
body_case("op_undefined", BAD, "a value is used before it is defined")(
    lambda p, r: r.ret(r.op("vhlo.abs_v1", [p.tensor([2])], [1]))
)
body_case("op_successor", BAD, "branches between blocks")(
    lambda p, r: r.op("vhlo.return_v1", mask=8)
)
body_case("op_properties_rest", BAD, "of a vhlo.iota_v1")(
    lambda p, r: r.op("vhlo.iota_v1", [p.tensor([2])], properties=varint(0) * 3)
)
body_case("region_section", BAD, "expected a region's section")(
    lambda p, r: r.op("vhlo.case_v1", regions=[Region(p)], isolated=True, section=3)
)
body_case("region_rest", BAD, "bytes too many in a region's section")(
    lambda p, r: r.op("vhlo.case_v1", regions=[Region(p)], isolated=True, after=b"\1")
)


@body_case("region_values", BAD, "more values than the region declares: 1")
def _(p, r):
    r.declared = 1
    add(p, r)


@body_case("region_values_many", BAD, "too few bytes for a count of values of")
def _(p, r):
    r.declared = 1 << 40
    add(p, r)


@body_case("block_ops", BAD, "too few bytes for a count of")
def _(p, r):
    r.n_ops = 1 << 30
    add(p, r)


@body_case("region_depth", BAD, "regions are nested deeper than 1200")
def _(p, r):
    for _ in range(1300):
        inner = Region(p)
        r.op("vhlo.case_v1", regions=[inner])
        r = inner


# -- attributes and types


def typed_argument(name, code, text, make):
    def build():
        p = Program()
        t = make(p)
        p.func("main", [t], [t], lambda r: r.ret(r.args[0]))
        return p

    case(name, code, text)(build)


typed_argument(
    "type_dynamic",
    NOT,
    "dynamic dimensions are not supported: tensor<2x?xf32>",
    lambda p: p.tensor([2, -(1 << 63)]),
)
typed_argument("type_negative", BAD, "negative size -2", lambda p: p.tensor([-2]))
typed_argument("type_overflow", BAD, "its bytes overflow", lambda p: p.tensor([1 << 40, 1 << 40]))
typed_argument("type_rank", NOT, "a tensor of rank 65", lambda p: p.tensor([1] * 65))
typed_argument(
    "type_unranked",
    NOT,
    "unranked types are not supported",
    lambda p: p.type("vhlo", varint(25) + varint(p.f32)),
)
typed_argument("type_scalar", NOT, "expected a tensor type: f32", lambda p: p.f32)
typed_argument(
    "type_tuple",
    NOT,
    "tuples are not supported across calls and regions",
    lambda p: p.type("vhlo", varint(23) + listed([varint(p.tensor([2]))])),
)
typed_argument(
    "type_buffer", NOT, "buffer types are not supported", lambda p: p.tensor([2], code=41)
)
typed_argument(
    "type_future",
    NOT,
    "futures of several values are not supported",
    lambda p: p.type("vhlo", varint(42) + listed([])),
)
typed_argument(
    "type_index",
    NOT,
    "the element type is not supported: tensor<2xindex>",
    lambda p: p.tensor([2], p.scalar(9)),
)
typed_argument("type_function", NOT, "the type is not supported", lambda p: p.function([], []))
typed_argument(
    "type_self",
    NOT,
    "the element type is not supported",
    lambda p: p.type("vhlo", varint(20) + listed([]) + varint(0)),
)
typed_argument(
    "type_complex_complex",
    NOT,
    "the element type is not supported",
    lambda p: p.tensor(
        [2], p.type("vhlo", varint(1) + varint(p.type("vhlo", varint(1) + varint(p.f32))))
    ),
)
typed_argument(
    "type_quantized",
    NOT,
    "quantized types are not supported",
    lambda p: p.tensor(
        [2],
        p.type(
            "vhlo", varint(24) + varint(1) + varint(p.scalar(11)) + varint(p.f32) + svarint(0) * 4
        ),
    ),
)
typed_argument(
    "type_encoding",
    NOT,
    "tensor encodings are not supported",
    lambda p: p.type(
        "vhlo", varint(21) + varint(p.vhlo(18, listed([]))) + listed([svarint(2)]) + varint(p.f32)
    ),
)
typed_argument(
    "type_text",
    NOT,
    "the type is not supported: opaque type",
    lambda p: p.type("builtin", b"tensor<2xf8>\0", coded=0),
)
typed_argument("type_code", NOT, "the type is not supported", lambda p: p.type("vhlo", varint(99)))
typed_argument(
    "type_rest", BAD, "bytes too many in a type", lambda p: p.type("vhlo", varint(4) + b"\1")
)
typed_argument("type_cut", BAD, "unexpected end", lambda p: p.type("vhlo", varint(20) + listed([])))


def attr_case(name, code, text, op, attr, make):
    """An op of f32[2] → f32[2] with one attribute."""
    body_case(name, code, text)(
        lambda p, r: r.ret(r.op(op, [p.tensor([2])], [r.args[0]], attrs={attr: make(p)}))
    )


attr_case(
    "attr_rest",
    BAD,
    "bytes too many in an attribute",
    "vhlo.reverse_v1",
    "dimensions",
    lambda p: p.vhlo(2, b"\1\1\1"),
)
attr_case(
    "attr_code",
    BAD,
    "expected a list of integers; in attribute dimensions",
    "vhlo.reverse_v1",
    "dimensions",
    lambda p: p.vhlo(99),
)
attr_case(
    "attr_text",
    BAD,
    "expected a list of integers",
    "vhlo.reverse_v1",
    "dimensions",
    lambda p: p.attr("builtin", b"[1, 2]\0", coded=0),
)
attr_case(
    "attr_floats",
    BAD,
    "expected integers, not f32",
    "vhlo.reverse_v1",
    "dimensions",
    lambda p: p.dense(p.tensor([1]), bytes(4)),
)
attr_case(
    "attr_list_of_strings",
    BAD,
    "expected a list of integers",
    "vhlo.reverse_v1",
    "dimensions",
    lambda p: p.array([p.string("x")]),
)
attr_case(
    "attr_giant_list",
    NOT,
    "a list of 1099511627776 integers",
    "vhlo.reverse_v1",
    "dimensions",
    lambda p: p.dense(p.tensor([1 << 40], p.i64), bytes(8)),
)
attr_case(
    "attr_kind",
    BAD,
    "it has the wrong kind; in attribute lower",
    "vhlo.cholesky_v1",
    "lower",
    lambda p: p.string("x"),
)
attr_case(
    "attr_cycle",
    BAD,
    "expected a list of integers",
    "vhlo.reverse_v1",
    "dimensions",
    lambda p: p.vhlo(1, listed([varint(len(p.attrs))])),
)
attr_case(
    "attr_bytes",
    BAD,
    "a constant of 16 bytes has 12",
    "vhlo.reverse_v1",
    "dimensions",
    lambda p: p.dense(p.tensor([2], p.i64), bytes(12)),
)
attr_case(
    "integer_type",
    BAD,
    "an integer attribute's type is not an integer",
    "vhlo.reverse_v1",
    "dimensions",
    lambda p: p.integer(1, p.f32),
)
attr_case(
    "float_type",
    BAD,
    "a float attribute's type is not a float",
    "vhlo.reverse_v1",
    "dimensions",
    lambda p: p.vhlo(8, varint(p.i64), svarint(0)),
)
attr_case(
    "accuracy",
    BAD,
    "result_accuracy is not an accuracy",
    "vhlo.sine_v2",
    "result_accuracy",
    lambda p: p.boolean(True),
)
attr_case(
    "accuracy_mode",
    BAD,
    "result_accuracy has no mode",
    "vhlo.sine_v2",
    "result_accuracy",
    lambda p: p.vhlo(20, svarint(0) * 3, varint(p.boolean(True))),
)
attr_case(
    "accuracy_tolerance",
    NOT,
    "a result accuracy given as a tolerance",
    "vhlo.sine_v2",
    "result_accuracy",
    lambda p: p.vhlo(20, svarint(0) * 3, varint(p.vhlo(19, varint(2)))),
)
body_case("attr_missing", BAD, "attribute dimensions is missing")(
    lambda p, r: r.ret(r.op("vhlo.reverse_v1", [p.tensor([2])], [r.args[0]]))
)
body_case("dictionary", BAD, "is not a dictionary")(
    lambda p, r: r.ret(
        r.op("vhlo.reverse_v1", [p.tensor([2])], [r.args[0]], dictionary=p.boolean(True))
    )
)


def constant_case(name, code, text, make, dims=(2,)):
    body_case(name, code, text)(
        lambda p, r: r.ret(r.op("vhlo.constant_v1", [p.tensor(dims)], attrs=dict(value=make(p))))
    )


constant_case(
    "constant_kind", BAD, "a constant's value is not a dense tensor", lambda p: p.boolean(True)
)
constant_case(
    "constant_size", BAD, "a constant of 8 bytes has 7", lambda p: p.dense(p.tensor([2]), bytes(7))
)
constant_case(
    "constant_type",
    BAD,
    "the value's type is not the result's",
    lambda p: p.dense(p.tensor([3]), bytes(4)),
)
constant_case(
    "constant_preds",
    BAD,
    "a constant of 9 preds has 3 bytes",
    lambda p: p.dense(p.tensor([9], p.i1), bytes(3)),
)
constant_case(
    "constant_giant",
    BAD,
    "a constant of 1152921504606846976 bytes has 5",
    lambda p: p.dense(p.tensor([1 << 58]), bytes(5)),
)
body_case("constant_none", BAD, "it has no value")(
    lambda p, r: r.ret(r.op("vhlo.constant_v1", [p.tensor([2])]))
)
