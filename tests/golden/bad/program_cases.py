# SPDX-License-Identifier: Apache-2.0
"""Programs that are wrong as StableHLO: ops, functions, custom calls, groups of participants."""

from cases import BAD, NOT, body_case, case, good
from wire import Program, Region, listed, main_program, svarint, varint

# -- ops that are not there or not right

body_case(
    "op_unknown",
    NOT,
    "the op is not known (the program is StableHLO_v1.15.0); in vhlo.frobnicate_v1(f32[2]) -> ",
)(lambda p, r: r.ret(r.op("vhlo.frobnicate_v1", [p.tensor([2])], [r.args[0]])))
body_case("op_unknown_located", NOT, "at jit(f)/frobnicate at file.py:12:3")(
    lambda p, r: r.ret(
        r.op(
            "vhlo.frobnicate_v1",
            [p.tensor([2])],
            [r.args[0]],
            location=p.location("jit(f)/frobnicate"),
        )
    )
)
body_case(
    "op_foreign", NOT, "the op is not known (the program is StableHLO_v1.15.0); in mhlo.tan(f32[2])"
)(lambda p, r: r.ret(r.op("mhlo.tan", [p.tensor([2])], [r.args[0]])))
body_case("op_refused", NOT, "the op is not supported; in vhlo.uniform_quantize_v1")(
    lambda p, r: r.ret(r.op("vhlo.uniform_quantize_v1", [p.tensor([2])], [r.args[0]]))
)
body_case("op_structure", BAD, "it belongs to the top of a module; in sdy.mesh")(
    lambda p, r: (
        r.op("sdy.mesh", attrs=dict(mesh=p.boolean(1), sym_name=p.boolean(1)))
        and None
        or r.ret(r.args[0])
    )
)
body_case("return_early", BAD, "it is not the last op of its block")(
    lambda p, r: r.ret(r.args[0]) or r.ret(r.args[0])
)
body_case("return_none", BAD, "a block does not end with return")(
    lambda p, r: r.op("vhlo.abs_v1", [p.tensor([2])], [r.args[0]])
)
body_case("return_count", BAD, "2 values are returned instead of 1")(
    lambda p, r: r.ret(r.args[0], r.args[0])
)
body_case("block_empty", BAD, "a block is empty")(lambda p, r: None)
body_case("cast_count", BAD, "it has 0 operands for 1 results")(
    lambda p, r: r.ret(r.op("builtin.unrealized_conversion_cast", [p.tensor([2])]))
)
body_case("verify", BAD, "add(f32[2])")(
    lambda p, r: r.ret(r.op("vhlo.add_v1", [p.tensor([2])], [r.args[0]]))
)


@body_case("region_blocks", BAD, "a region has 2 blocks instead of 1")
def _(p, r):
    inner = Region(p)
    inner.blocks = 2
    inner.ret()
    r.op("vhlo.case_v1", [], [p.constant(r)], regions=[inner])
    r.ret(r.args[0])


@body_case("if_regions", BAD, "it has 1 regions")
def _(p, r):
    inner = Region(p)
    inner.ret()
    r.op("vhlo.if_v1", [], [p.constant(r)], regions=[inner])
    r.ret(r.args[0])


@body_case("region_result", BAD, "while")
def _(p, r):
    t = p.tensor([2])
    cond, body = Region(p, [t]), Region(p, [t])
    cond.ret(cond.args[0])
    body.ret(body.args[0])
    r.ret(r.op("vhlo.while_v1", [t], [r.args[0]], regions=[cond, body]))


# -- tuples


def tuple_type(p):
    return p.type("vhlo", varint(23) + listed([varint(p.tensor([2]))]))


body_case("tuple_returned", NOT, "the program returns a tuple")(
    lambda p, r: r.ret(r.op("vhlo.tuple_v1", [tuple_type(p)], [r.args[0]]))
)
body_case("tuple_operand", NOT, "operand 0 is a tuple")(
    lambda p, r: r.ret(
        r.op("vhlo.abs_v1", [tuple_type(p)], [r.op("vhlo.tuple_v1", [tuple_type(p)], [r.args[0]])])
    )
)
body_case("tuple_not", BAD, "the operand is not a tuple")(
    lambda p, r: r.ret(
        r.op(
            "vhlo.get_tuple_element_v1",
            [p.tensor([2])],
            [r.args[0]],
            attrs=dict(index=p.integer(0)),
        )
    )
)
body_case("tuple_index", BAD, "there is no element 1 in a tuple of 1")(
    lambda p, r: r.ret(
        r.op(
            "vhlo.get_tuple_element_v1",
            [p.tensor([2])],
            [r.op("vhlo.tuple_v1", [tuple_type(p)], [r.args[0]])],
            attrs=dict(index=p.integer(1)),
        )
    )
)
body_case("tuple_index_kind", BAD, "attribute index is not an integer")(
    lambda p, r: r.ret(
        r.op(
            "vhlo.get_tuple_element_v1",
            [p.tensor([2])],
            [r.args[0]],
            attrs=dict(index=p.string("x")),
        )
    )
)


@body_case("tuple_captured", NOT, "a region uses a tuple from outside")
def _(p, r):
    made = r.op("vhlo.tuple_v1", [tuple_type(p)], [r.args[0]])
    inner = Region(p)
    inner.ret(
        inner.op(
            "vhlo.get_tuple_element_v1", [p.tensor([2])], [made], attrs=dict(index=p.integer(0))
        )
    )
    r.ret(r.op("vhlo.case_v1", [p.tensor([2])], [p.constant(r)], regions=[inner]))


# -- functions and modules


def call(p, r, name, arguments=None, results=1):
    return r.op(
        "vhlo.call_v1",
        [p.tensor([2])] * results,
        r.args if arguments is None else arguments,
        attrs=dict(callee=p.string(name)),
    )


body_case("call_missing", BAD, "there is no function @nobody")(
    lambda p, r: r.ret(call(p, r, "nobody"))
)
body_case("call_recursive", BAD, "recursive call of @main")(lambda p, r: r.ret(call(p, r, "main")))
body_case("call_arguments", BAD, "2 values for 1 arguments")(
    lambda p, r: (
        p.func("f", [p.tensor([2])], [p.tensor([2])], lambda q: q.ret(q.args[0]))
        and r.ret(call(p, r, "f", [r.args[0]] * 2))
    )
)
body_case("call_nothing", BAD, "attribute callee names no function")(
    lambda p, r: r.ret(
        r.op("vhlo.call_v1", [p.tensor([2])], r.args, attrs=dict(callee=p.boolean(1)))
    )
)


@case("call_bomb", "RESOURCE_EXHAUSTED", "the program expands to too many ops")
def _():
    p = main_program(lambda p, r: r.ret(call(p, r, "f0")))
    t = p.tensor([2])
    for i in range(40):
        p.func(
            f"f{i}", [t], [t], lambda r: r.ret(call(p, r, f"f{i + 1}", [call(p, r, f"f{i + 1}")]))
        )
    p.func("f40", [t], [t], lambda r: r.ret(r.args[0]))
    return p


@case("call_depth", NOT, "regions and calls nested deeper than 1200")
def _():
    p = main_program(lambda p, r: r.ret(call(p, r, "f0")))
    t = p.tensor([2])
    for i in range(1300):
        p.func(f"f{i}", [t], [t], lambda r: r.ret(call(p, r, f"f{i + 1}")))
    return p


def program_case(name, code, text):
    return lambda make: case(name, code, text)(lambda: make(good()))


@program_case("function_twice", BAD, "two functions are called @main")
def _(p):
    p.func("main", [], [], lambda r: r.ret())
    return p


@program_case("function_name", BAD, "a function has no name")
def _(p):
    p.func("f", [], [], lambda r: r.ret(), sym_name=p.boolean(1))
    return p


@program_case("module_op", NOT, "vhlo.abs_v1 at the top of a module")
def _(p):
    p.module.op("vhlo.abs_v1")
    return p


@case("main_missing", BAD, "there is no function @main")
def _():
    p = Program()
    p.func("f", [], [], lambda r: r.ret())
    return p


@case("main_type", BAD, "a function has no function_type")
def _():
    p = Program()
    p.func("main", [], [], lambda r: r.ret(), function_type=p.type_attr(p.f32))
    return p


@case("main_body", BAD, "@main has no body")
def _():
    p = good()
    p.module.ops[0]["regions"] = []
    return p


@case("module_missing", BAD, "it is not one builtin.module")
def _():
    p = Program()
    p.top.op("vhlo.return_v1")
    return p


def argument_case(name, code, text, make, which="arg_attrs"):
    def build():
        p = Program()
        t = p.tensor([2])
        p.func("main", [t], [t], lambda r: r.ret(r.args[0]), **{which: make(p)})
        return p

    case(name, code, text)(build)


argument_case("argument_list", BAD, "argument attributes are not a list", lambda p: p.boolean(True))
argument_case(
    "argument_alias",
    BAD,
    "tf.aliasing_output is not the number of a result; of argument 0",
    lambda p: p.array([p.vhlo_dictionary(tf__aliasing_output=p.integer(7, p.i32))]),
)
argument_case(
    "argument_layout",
    BAD,
    "the layout of argument 0 is no permutation of its dimensions",
    lambda p: p.array([p.vhlo_dictionary(mhlo__layout_mode=p.string("{0,1}"))]),
)
argument_case(
    "result_layout",
    NOT,
    "the layout {0:T(8)} of an argument or result; of result 0",
    lambda p: p.array([p.vhlo_dictionary(mhlo__layout_mode=p.string("{0:T(8)}"))]),
    "res_attrs",
)


@program_case("module_replicas", BAD, "mhlo.num_replicas is not a number of devices")
def _(p):
    p.facts = p.dictionary(mhlo__num_replicas=p.integer(0, p.i32))
    return p


# -- custom calls and composites


def custom_call(p, r, target="foo", results=1, operands=None, dictionary=None, **attrs):
    properties = dict(
        api_version=p.vhlo(5, varint(1)),
        backend_config=p.string(""),
        call_target_name=p.string(target),
        called_computations=p.array(),
        has_side_effect=p.boolean(False),
        operand_layouts=p.array(),
        output_operand_aliases=p.array(),
        result_layouts=p.array(),
    )
    properties.update(attrs)
    made = r.op(
        "vhlo.custom_call_v1",
        [p.tensor([2])] * results,
        r.args if operands is None else operands,
        attrs=properties,
        dictionary=dictionary,
    )
    r.ret(made if results == 1 else r.args[0])


def custom_case(name, code, text, **attrs):
    body_case(name, code, text)(
        lambda p, r: custom_call(p, r, **{k: v(p) if callable(v) else v for k, v in attrs.items()})
    )


custom_case(
    "custom_target",
    BAD,
    "attribute call_target_name is not a string",
    call_target_name=lambda p: p.boolean(1),
)
custom_case(
    "custom_config",
    NOT,
    "a backend_config that is neither a string nor a dictionary; in the custom call of 'foo'",
    backend_config=lambda p: p.boolean(1),
)
custom_case(
    "custom_config_nested",
    NOT,
    "of configuration a",
    backend_config=lambda p: p.vhlo_dictionary(a=p.vhlo_dictionary()),
)
custom_case(
    "custom_config_key",
    BAD,
    "a configuration's key is no string",
    backend_config=lambda p: p.pairs(6, p.vhlo, [(p.boolean(1), p.boolean(1))]),
)
custom_case(
    "custom_discardable",
    NOT,
    "an mhlo.backend_config that is not a dictionary",
    dictionary=lambda p: p.dictionary(mhlo__backend_config=p.boolean(1)),
)
custom_case(
    "custom_aliases",
    NOT,
    "output_operand_aliases of nested tuples; in the custom call of 'foo'",
    output_operand_aliases=lambda p: p.array(
        [p.vhlo(10, listed([svarint(0), svarint(1)]), svarint(0), listed([]))]
    ),
)
custom_case(
    "custom_alias_result",
    BAD,
    "output_operand_aliases names no result",
    output_operand_aliases=lambda p: p.array(
        [p.vhlo(10, listed([svarint(1)]), svarint(0), listed([]))]
    ),
)
custom_case(
    "custom_layout",
    BAD,
    "a layout of operand_layouts has another rank than its value",
    operand_layouts=lambda p: p.array([p.numbers(0, 1)]),
)
custom_case(
    "custom_layout_order",
    BAD,
    "a layout of operand_layouts is no permutation",
    operand_layouts=lambda p: p.array([p.numbers(1)]),
)
custom_case(
    "custom_layouts", BAD, "result_layouts is not a list", result_layouts=lambda p: p.boolean(1)
)
custom_case(
    "custom_layout_kind",
    BAD,
    "a layout is not a tensor",
    result_layouts=lambda p: p.array([p.boolean(1)]),
)
custom_case("top_k_operands", NOT, "ApproxTopK of 1 operands", target="ApproxTopK")
body_case("top_k_dim", BAD, "ApproxTopK without a reduction_dim")(
    lambda p, r: custom_call(p, r, "ApproxTopK", 2, r.args * 4)
)
body_case("top_k_comparator", BAD, "it does not name one function")(
    lambda p, r: custom_call(
        p,
        r,
        "ApproxTopK",
        2,
        r.args * 4,
        p.dictionary(mhlo__backend_config=p.vhlo_dictionary(reduction_dim=p.integer(0))),
    )
)


def async_case(name, code, text, configuration, target="all-gather-start"):
    def dictionary(p):
        entry = p.dictionary(async_collective_config=p.string(configuration))
        return p.dictionary(mhlo__frontend_attributes=entry)

    custom_case(name, code, text, target=target, dictionary=dictionary)


custom_case("async_config", BAD, "it has no async_collective_config", target="all-gather-start")
async_case("async_unknown", NOT, "async_collective_config at '\"speed\": 1}'", '{"speed": 1}')
async_case(
    "async_rows",
    BAD,
    "a malformed async_collective_config at ']]}'",
    '{"replica_groups": [[0, 1], [2]]}',
)
async_case(
    "async_end", BAD, "a malformed async_collective_config at ''", '{"channel_id": 1, "tiled": true'
)
async_case(
    "async_tiled",
    NOT,
    "a reduce-scatter that is not tiled",
    '{"tiled": false}',
    "reduce-scatter-start",
)


def composite(p, r, name="my.op", regions=(), **attrs):
    properties = dict(
        composite_attributes=p.vhlo_dictionary(),
        decomposition=p.string("nobody"),
        name=p.string(name),
        version=p.integer(1, p.i32),
    )
    properties.update(attrs)
    r.ret(r.op("vhlo.composite_v2", [p.tensor([2])], r.args, attrs=properties, regions=regions))


body_case("composite_missing", BAD, "there is no function @nobody")(composite)
body_case("composite_name", BAD, "it has no name")(
    lambda p, r: composite(p, r) or r.ops[0]["attrs"].update(name=p.boolean(1))
)
body_case("composite_regions", NOT, "the composite my.op has regions")(
    lambda p, r: composite(p, r, regions=[Region(p)])
)

# -- old and dynamic ops

body_case("einsum_label", NOT, "the einsum label '.'")(
    lambda p, r: r.ret(
        r.op(
            "vhlo.einsum_v1",
            [p.tensor([2])],
            r.args * 2,
            attrs=dict(einsum_config=p.string("...i,i->i")),
        )
    )
)


def einsum_case(name, code, text, config):
    body_case("einsum_" + name, code, text)(
        lambda p, r: r.ret(
            r.op(
                "vhlo.einsum_v1",
                [p.tensor([2])],
                r.args * 2,
                attrs=dict(einsum_config=p.string(config)),
            )
        )
    )


einsum_case("diagonal", NOT, "an einsum's diagonal", "ii,i->i")
einsum_case("malformed", BAD, "einsum_config 'i,i' is malformed", "i,i")
einsum_case("rest", BAD, "is malformed", "i,i->i,i")
einsum_case("rank", BAD, "einsum_config has another rank", "ij,j->i")
einsum_case("sum", NOT, "an einsum that sums operand 0", "i,j->j")
einsum_case("result", BAD, "an einsum's result has a label of no operand", "i,i->ik")
einsum_case("labels", NOT, "an einsum of more than 64 labels", "a" * 65 + ",a->a")


@body_case("dynamic_operand", NOT, "operand 1 is computed at run time")
def _(p, r):
    r.ret(r.op("vhlo.real_dynamic_slice_v1", [p.tensor([2])], [r.args[0]] * 4))


@body_case("dynamic_float", BAD, "operand 1 is not a list of integers")
def _(p, r):
    c = p.constant(r, type=p.tensor([1]))
    r.ret(r.op("vhlo.real_dynamic_slice_v1", [p.tensor([2])], [r.args[0], c, c, c]))


body_case("dimension", BAD, "there is no dimension 3")(
    lambda p, r: r.ret(
        r.op(
            "vhlo.get_dimension_size_v1",
            [p.tensor([], p.i32)],
            r.args,
            attrs=dict(dimension=p.integer(3)),
        )
    )
)
body_case("dimension_type", BAD, "a size of 2 as another type than s32[]")(
    lambda p, r: r.ret(
        r.op(
            "vhlo.get_dimension_size_v1",
            [p.tensor([2])],
            r.args,
            attrs=dict(dimension=p.integer(0)),
        )
    )
)
body_case("dimension_set", NOT, "a dimension of 2 made dynamic")(
    lambda p, r: r.ret(
        r.op(
            "vhlo.set_dimension_size_v1",
            [p.tensor([2])],
            [r.args[0], p.constant(r, 1)],
            attrs=dict(dimension=p.integer(0)),
        )
    )
)
body_case("index_select", BAD, "dim 5 or batch_dims 0 is out of range")(
    lambda p, r: r.ret(
        r.op(
            "vhlo.torch_index_select_v1",
            [p.tensor([2])],
            r.args * 2,
            attrs=dict(batch_dims=p.integer(0), dim=p.integer(5)),
        )
    )
)
body_case("norm_epsilon", BAD, "attribute epsilon is not a float")(
    lambda p, r: (
        r.op(
            "vhlo.batch_norm_training_v1",
            [p.tensor([2])] * 3,
            r.args * 3,
            attrs=dict(epsilon=p.integer(0), feature_index=p.integer(0)),
        )
        and r.ret(r.args[0])
    )
)
body_case("arity", BAD, "it has 1 operands instead of 3")(
    lambda p, r: (
        r.op(
            "vhlo.batch_norm_training_v1",
            [p.tensor([2])] * 3,
            r.args,
            attrs=dict(epsilon=p.integer(0), feature_index=p.integer(0)),
        )
        and r.ret(r.args[0])
    )
)


def dot(p, r, precision, inputs=2, **attrs):
    r.ret(
        r.op("vhlo.dot_v1", [p.tensor([])], r.args * inputs, attrs=dict(precision_config=precision))
    )


body_case("precision", BAD, "precision_config is not one precision per operand")(
    lambda p, r: dot(p, r, p.array([p.boolean(1)]))
)
body_case("dot_scalar", BAD, "an operand is a scalar")(
    lambda p, r: r.ret(
        r.op(
            "vhlo.dot_v1",
            [p.tensor([])],
            [p.constant(r)] * 2,
            attrs=dict(precision_config=p.array()),
        )
    )
)


# -- groups of participants


def groups_case(name, code, text, make):
    def build():
        def body(p, r):
            inner = Region(p, [p.tensor([])] * 2)
            inner.ret(inner.args[0])
            r.ret(
                r.op(
                    "vhlo.all_reduce_v1",
                    [p.tensor([2])],
                    r.args,
                    regions=[inner],
                    isolated=True,
                    attrs=dict(
                        channel_id=p.integer(1),
                        replica_groups=make(p),
                        use_global_device_ids=p.boolean(True),
                    ),
                )
            )

        p = main_program(body)
        p.facts = p.dictionary(mhlo__num_partitions=p.integer(4, p.i32))
        return p

    case("groups_" + name, code, text)(build)


def mesh(p, *axes, ids=None):
    made = p.array([p.vhlo(24, varint(p.string(n)), svarint(s)) for n, s in axes])
    return p.vhlo(25, varint(made), varint(0 if ids is None else ids << 1 | 1))


def mesh_groups(p, made, *refs):
    return p.vhlo(23, varint(made), varint(p.array(refs)))


def ref(p, name, sub=None):
    return p.vhlo(
        22,
        varint(p.string(name)),
        (
            varint(0)
            if sub is None
            else varint(1) + varint(p.vhlo(21, svarint(sub[0]), svarint(sub[1])))
        ),
    )


groups_case("rank", BAD, "replica groups are not a matrix", lambda p: p.numbers(0, 1))
groups_case("array", BAD, "replica groups are not a tensor", lambda p: p.array())
groups_case(
    "mesh_name", BAD, "there is no mesh @m", lambda p: mesh_groups(p, p.string("m"), ref(p, "x"))
)
groups_case("mesh_kind", BAD, "no mesh where one is named", lambda p: mesh_groups(p, p.boolean(1)))
groups_case(
    "mesh_axes",
    BAD,
    "a mesh's axis is not one",
    lambda p: mesh_groups(p, p.vhlo(25, varint(p.array([p.boolean(1)])), varint(0))),
)
groups_case(
    "mesh_axes_list",
    BAD,
    "a mesh's axes are not a list",
    lambda p: mesh_groups(p, p.vhlo(25, varint(p.boolean(1)), varint(0))),
)
groups_case(
    "mesh_many_axes", NOT, "a mesh of 65 axes", lambda p: mesh_groups(p, mesh(p, *[("x", 1)] * 65))
)
groups_case(
    "mesh_size",
    BAD,
    "a mesh has an axis of size 1099511627776",
    lambda p: mesh_groups(p, mesh(p, ("x", 1 << 40))),
)
groups_case(
    "mesh_ids",
    BAD,
    "a mesh of 4 devices names 2",
    lambda p: mesh_groups(p, mesh(p, ("x", 4), ids=p.numbers(0, 1))),
)
groups_case(
    "axes",
    BAD,
    "the axes of replica groups are not a list",
    lambda p: p.vhlo(23, varint(mesh(p, ("x", 4))), varint(p.boolean(1))),
)
groups_case(
    "axis",
    BAD,
    "something else than an axis of a mesh",
    lambda p: mesh_groups(p, mesh(p, ("x", 4)), p.boolean(1)),
)
groups_case(
    "axis_name",
    BAD,
    "an axis that the mesh does not have",
    lambda p: mesh_groups(p, mesh(p, ("x", 4)), ref(p, "y")),
)
groups_case(
    "axis_part",
    BAD,
    "a part of an axis of 4 has size 3 after 1",
    lambda p: mesh_groups(p, mesh(p, ("x", 4)), ref(p, "x", (1, 3))),
)
groups_case(
    "axis_twice",
    BAD,
    "replica groups name an axis twice",
    lambda p: mesh_groups(p, mesh(p, ("x", 2), ("y", 2)), ref(p, "x"), ref(p, "x")),
)
body_case("dynamic_root", NOT, "it must be false; in attribute has_dynamic_root")(
    lambda p, r: (
        r.ops.clear()
        or setattr(p, "facts", p.dictionary(mhlo__num_partitions=p.integer(2, p.i32)))
        or r.ret(
            r.op(
                "vhlo.collective_broadcast_v2",
                [p.tensor([2])],
                r.args,
                attrs=dict(
                    channel_id=p.integer(1),
                    has_dynamic_root=p.boolean(True),
                    replica_groups=p.dense(p.tensor([1, 2], p.i64), bytes(16)),
                ),
            )
        )
    )
)
