# SPDX-License-Identifier: Apache-2.0
"""A writer of MLIR bytecode with the vhlo dialect: enough to make test inputs, wrong ones too."""


def varint(v):
    for n in range(8):
        if v < 1 << (7 * (n + 1)):
            return ((v << 1 | 1) << n).to_bytes(n + 1, "little")
    return b"\0" + v.to_bytes(8, "little")


def svarint(v):
    return varint((v << 1 ^ v >> 63) & (1 << 64) - 1)


def listed(items):
    return varint(len(items)) + b"".join(items)


def section(number, data):
    return bytes([number]) + varint(len(data)) + data


class Value:
    pass


class Region:
    def __init__(self, program, argument_types=()):
        self.program = program
        self.types = list(argument_types)
        self.args = [Value() for _ in self.types]
        self.ops = []

    def op(self, name, results=(), operands=(), attrs=None, regions=(), **more):
        op = dict(
            name=name,
            types=list(results),
            operands=list(operands),
            attrs=attrs or {},
            regions=list(regions),
            results=[Value() for _ in results],
            **more,
        )
        self.ops.append(op)
        return op["results"][0] if len(results) == 1 else op["results"]

    def ret(self, *values):
        self.op("vhlo.return_v1", (), values)


class Program:
    """Tables of a program; each method that makes an attribute or a type returns its index."""

    def __init__(self, version=6, producer=b"StableHLO_v1.15.0"):
        self.version, self.producer = version, producer
        self.strings, self.attrs, self.types, self.props = [], [], [], []
        self.dialects, self.names = [], []
        self.top = Region(self)
        self.module = Region(self)
        self.edit = {}  # section number → function of its bytes
        self.order = (1, 3, 2, 4, 0, 8)

    # -- tables
    @staticmethod
    def intern(table, item):
        if item not in table:
            table.append(item)
        return table.index(item)

    def text(self, s):
        return self.intern(self.strings, s.encode() if isinstance(s, str) else s)

    def attr(self, dialect, data, coded=1):
        self.intern(self.dialects, dialect)
        return self.intern(self.attrs, (dialect, data, coded))

    def type(self, dialect, data, coded=1):
        self.intern(self.dialects, dialect)
        return self.intern(self.types, (dialect, data, coded))

    def vhlo(self, code, *fields):
        return self.attr("vhlo", varint(code) + b"".join(fields))

    def builtin(self, code, *fields):
        return self.attr("builtin", varint(code) + b"".join(fields))

    # -- types
    def scalar(self, code):
        return self.type("vhlo", varint(code))

    @property
    def f32(self):
        return self.scalar(4)

    @property
    def i64(self):
        return self.scalar(14)

    @property
    def i32(self):
        return self.scalar(13)

    @property
    def i1(self):
        return self.scalar(0)

    def tensor(self, dims=(), element=None, code=20):
        element = self.f32 if element is None else element
        return self.type(
            "vhlo", varint(code) + listed([svarint(d) for d in dims]) + varint(element)
        )

    def function(self, inputs, results):
        return self.type(
            "vhlo",
            varint(8) + listed([varint(t) for t in inputs]) + listed([varint(t) for t in results]),
        )

    # -- attributes
    def string(self, s):
        return self.vhlo(14, varint(self.text(s)))

    def integer(self, value, type=None):
        return self.vhlo(9, varint(self.i64 if type is None else type), svarint(value))

    def boolean(self, value):
        return self.vhlo(2, varint(int(value)))

    def array(self, items=()):
        return self.vhlo(1, listed([varint(i) for i in items]))

    def pairs(self, code, make, items):
        return make(code, listed([varint(k) + varint(v) for k, v in items]))

    def dictionary(self, **items):
        return self.pairs(
            1,
            self.builtin,
            [
                (self.builtin(2, varint(self.text(k.replace("__", ".")))), v)
                for k, v in sorted(items.items())
            ],
        )

    def vhlo_dictionary(self, **items):
        return self.pairs(
            6, self.vhlo, [(self.string(k.replace("__", ".")), v) for k, v in items.items()]
        )

    def dense(self, type, data):
        return self.vhlo(15, varint(type), varint(len(data)), data)

    def numbers(self, *values):
        return self.dense(
            self.tensor([len(values)], self.i64),
            b"".join(v.to_bytes(8, "little", signed=True) for v in values),
        )

    def type_attr(self, type):
        return self.vhlo(17, varint(type))

    def location(self, name, file="file.py", line=12, column=3):
        where = self.builtin(
            11, varint(self.builtin(2, varint(self.text(file)))), varint(line), varint(column)
        )
        return self.builtin(14, varint(self.builtin(2, varint(self.text(name)))), varint(where))

    # -- functions
    def func(self, name, inputs, results, body=None, **attrs):
        region = Region(self, inputs)
        properties = dict(
            arg_attrs=self.array(),
            function_type=self.type_attr(self.function(inputs, results)),
            res_attrs=self.array(),
            sym_name=self.string(name),
            sym_visibility=self.string(""),
        )
        properties.update(attrs)
        self.module.op("vhlo.func_v1", attrs=properties, regions=[region], isolated=True)
        if body:
            body(region)
        return region

    def constant(self, region, value=0, type=None):
        type = self.tensor([], self.i32) if type is None else type
        return region.op(
            "vhlo.constant_v1",
            [type],
            attrs=dict(value=self.dense(type, value.to_bytes(4, "little"))),
        )

    # -- bytes
    def name(self, full):
        dialect, op = full.split(".", 1)
        self.intern(self.dialects, dialect)
        return self.intern(self.names, (dialect, op))

    def properties(self, op):
        optional = op["name"].startswith("builtin.")
        data = b"".join(
            varint(0 if v is None else v << 1 | 1) if optional else varint(v)
            for _, v in sorted(op["attrs"].items())
        )
        data = op.get("properties", data)
        self.props.append(data)
        return len(self.props) - 1

    def write_op(self, op, scope, slots):
        out = varint(op.get("name_index", self.name(op["name"]) if op["name"] else 0))
        has = bool(op["attrs"]) or "properties" in op or "property" in op
        mask = (
            (1 if op.get("dictionary") is not None else 0)
            | (2 if op["types"] else 0)
            | (4 if op["operands"] else 0)
            | (16 if op["regions"] else 0)
            | (64 if has else 0)
        )
        out += bytes([op.get("mask", mask)])
        out += varint(op.get("location", self.builtin(15)))
        if mask & 1:
            out += varint(op["dictionary"])
        if has:
            out += varint(op["property"] if "property" in op else self.properties(op))
        if op["types"]:
            out += listed([varint(t) for t in op["types"]])
        if op["operands"]:
            out += listed(
                [varint(o if isinstance(o, int) else scope.index(o)) for o in op["operands"]]
            )
        for value in op["results"]:
            if slots:
                scope[slots.pop(0)] = value
        if op["regions"]:
            isolated = op.get("isolated", False)
            out += varint(len(op["regions"]) << 1 | isolated)
            inner = [] if isolated else scope
            data = b"".join(self.write_region(r, inner) for r in op["regions"])
            out += section(op.get("section", 4), data + op.get("after", b"")) if isolated else data
        return out

    def write_region(self, region, scope):
        n = len(region.args) + sum(len(op["results"]) for op in region.ops)
        slots = list(range(len(scope), len(scope) + n))
        scope.extend([None] * n)
        declared = getattr(region, "declared", n)
        blocks = getattr(region, "blocks", 1)
        out = varint(blocks) + varint(declared)
        for _ in range(blocks):
            out += self.write_block(region, scope, slots)
        del scope[len(scope) - n :]
        return out

    def write_block(self, region, scope, slots):
        out = varint(getattr(region, "n_ops", len(region.ops)) << 1 | bool(region.args))
        if region.args:
            out += listed([varint(t << 1) for t in region.types]) + b"\0"
            for value in region.args:
                scope[slots.pop(0)] = value
        for op in region.ops:
            out += self.write_op(op, scope, slots)
        return out

    def bytes(self):
        if not self.top.ops:
            self.top.op(
                "builtin.module",
                attrs=dict(sym_name=self.builtin(2, varint(self.text("m"))), sym_visibility=None),
                regions=[self.module],
                isolated=True,
                dictionary=getattr(self, "facts", None),
            )
        ir = self.write_block(self.top, [], [])
        data = {4: ir, 8: listed([varint(len(p)) + p for p in self.props])}
        entry = [
            varint(self.dialects.index(d)) + varint(1) + varint(len(b) << 1 | c)
            for d, b, c in self.attrs + self.types
        ]
        data[3] = varint(len(self.attrs)) + varint(len(self.types)) + b"".join(entry)
        data[2] = b"".join(b for _, b, _ in self.attrs + self.types)
        dialects = [varint(self.text(d) << 1) for d in self.dialects]
        names = [
            varint(self.dialects.index(d)) + varint(1) + varint(self.text(o) << 1 | 1)
            for d, o in self.names
        ]
        data[1] = listed(dialects) + varint(len(names)) + b"".join(names)
        data[0] = listed([varint(len(s) + 1) for s in reversed(self.strings)]) + b"".join(
            s + b"\0" for s in self.strings
        )
        for number, edit in self.edit.items():
            data[number] = edit(data[number])
        out = b"ML\xefR" + varint(self.version) + self.producer + b"\0"
        return out + b"".join(section(n, data[n]) for n in self.order)


def main_program(body, inputs=None, results=None, **more):
    """A program whose @main has the body; f32[2] → f32[2] unless said."""
    p = Program(**more)
    t = p.tensor([2])
    inputs, results = inputs(p) if inputs else [t], results(p) if results else [t]
    p.func("main", inputs, results, lambda r: body(p, r))
    return p
