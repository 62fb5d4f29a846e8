/* SPDX-License-Identifier: Apache-2.0
 * The MLX engine's lowerings of elementwise ops, data movement, gather, scatter and sorts. */
#include "unit/mlx_case.h"

/* -- elementwise */

static void elementwise_exact(void) {
  EACH(op,
       "add subtract multiply divide remainder maximum minimum and or xor shift_left "
       "shift_right_arithmetic shift_right_logical power")
  EACH(type, INTEGERS)
  run(EXACT, "(%%a: %s[200], %%b: %s[200]): %%c: %s[200] = %s %%a, %%b return %%c", type, type,
      type, op);
  EACH(op, "shift_left shift_right_arithmetic shift_right_logical") /* by what the program says */
  EACH(amount, "0 1 7 8 31 32 63 64 100")
  EACH(type, INTEGERS)
  run(EXACT,
      "(%%a: %s[200]): %%n: %s[] = constant value=%s %%b: %s[200] = broadcast_in_dim %%n "
      "%%c: %s[200] = %s %%a, %%b return %%c",
      type, type, amount, type, type, op);
  EACH(op, "abs negate sign not popcnt count_leading_zeros")
  EACH(type, INTEGERS)
  run(EXACT, "(%%a: %s[200]): %%c: %s[200] = %s %%a return %%c", type, type, op);
  EACH(op, "add multiply maximum minimum and or xor")
  run(EXACT, "(%%a: pred[200], %%b: pred[200]): %%c: pred[200] = %s %%a, %%b return %%c", op);
  run(EXACT, "(%%a: pred[200]): %%c: pred[200] = not %%a return %%c");
  EACH(op, "abs negate sign ceil floor round_nearest_even round_nearest_afz")
  EACH(type, FLOATS)
  run(EXACT, "(%%a: %s[300]): %%c: %s[300] = %s %%a return %%c", type, type, op);
  EACH(op, "add subtract multiply divide")
  EACH(type, FLOATS)
  run(NEAR(EDGES, 1e-7), "(%%a: %s[300], %%b: %s[300]): %%c: %s[300] = %s %%a, %%b return %%c",
      type, type, type, op);
  EACH(op, "maximum minimum")
  EACH(type, FLOATS)
  run(NEAR(EDGES, 1e-30), "(%%a: %s[300], %%b: %s[300]): %%c: %s[300] = %s %%a, %%b return %%c",
      type, type, type, op);
  EACH(type, FLOATS) {
    run(EXACT, "(%%a: %s[300]): %%c: pred[300] = is_finite %%a return %%c", type);
    run(EXACT,
        "(%%p: pred[300], %%a: %s[300], %%b: %s[300]): %%c: %s[300] = select %%p, %%a, %%b "
        "return %%c",
        type, type, type);
    run(NEAR(EDGES, 1e-30),
        "(%%l: %s[], %%a: %s[300], %%h: %s[]): %%c: %s[300] = clamp %%l, %%a, %%h "
        "return %%c",
        type, type, type, type);
  }
}

static void elementwise_functions(void) {
  EACH(type, FLOATS) {
    EACH(op,
         "exponential exponential_minus_one sine cosine tan tanh logistic erf erfc cbrt asinh sqrt "
         "rsqrt log log_plus_one sinh cosh")
    run(NEAR(PLAIN, 4e-6), "(%%a: %s[300]): %%c: %s[300] = %s %%a return %%c", type, type, op);
    EACH(op, "exponential_minus_one tanh erf erfc asin acos atanh log_plus_one sinh cbrt asinh")
    run(NEAR(FINE, 4e-6), "(%%a: %s[300]): %%c: %s[300] = %s %%a return %%c", type, type, op);
    EACH(op, "exponential tanh logistic erf erfc cbrt sqrt rsqrt log log_plus_one")
    run(NEAR(EDGES, 1e-4), "(%%a: %s[300]): %%c: %s[300] = %s %%a return %%c", type, type, op);
    EACH(op, "acosh log rsqrt sqrt")
    run(NEAR(POSITIVE, 4e-6), "(%%a: %s[300]): %%c: %s[300] = %s %%a return %%c", type, type, op);
    EACH(op, "atan2 power remainder")
    run(NEAR(PLAIN, 4e-6), "(%%a: %s[300], %%b: %s[300]): %%c: %s[300] = %s %%a, %%b return %%c",
        type, type, type, op);
  }
  run(NEAR(PLAIN, 6e-6),
      "(%%a: f32[300], %%b: f32[]): %%s: f32[] = constant value=2.3 "
      "%%t: f32[300] = broadcast_in_dim %%s %%x: f32[300] = multiply %%a, %%t "
      "%%c: f32[300] = erfc %%x return %%c");
  EACH(type, FLOATS)
  run(NEAR(EDGES, 4e-6),
      "(%%a: %s[400]): %%b: %s[400] = tanh %%a %%c: %s[400] = erf_inv %%b return %%c", type, type,
      type);
  EACH(op, "atan2 remainder power")
  run(NEAR(EDGES, 4e-6), "(%%a: f32[400], %%b: f32[400]): %%c: f32[400] = %s %%a, %%b return %%c",
      op);
  EACH(op, "add subtract multiply divide")
  run(SUM(PLAIN), "(%%a: c64[100], %%b: c64[100]): %%c: c64[100] = %s %%a, %%b return %%c", op);
  EACH(op, "negate exponential sine cosine tanh sign sqrt log")
  run(SUM(POSITIVE), "(%%a: c64[100]): %%c: c64[100] = %s %%a return %%c", op);
  run(EXACT, "(%%a: f32[100], %%b: f32[100]): %%c: c64[100] = complex %%a, %%b return %%c");
  run(EXACT, "(%%a: c64[100]): %%c: f32[100] = real %%a %%d: f32[100] = imag %%a return %%c, %%d");
  run(EXACT, "(%%a: f32[100]): %%c: f32[100] = imag %%a %%d: f32[100] = real %%a return %%d");
  run(NEAR(PLAIN, 1e-6), "(%%a: c64[100]): %%c: f32[100] = abs %%a return %%c");
  EACH(type, "f32 bf16")
  run(EXACT,
      "(%%a: %s[300]): %%c: %s[300] = reduce_precision %%a exponent_bits=8 mantissa_bits=7 "
      "return %%c",
      type, type);
}

static void comparisons(void) {
  EACH(direction, "EQ NE GE GT LE LT") {
    EACH(type, FLOATS)
    EACH(order, "FLOAT TOTAL")
    run(EXACT,
        "(%%a: %s[300], %%b: %s[300]): %%c: pred[300] = compare %%a, %%b direction=%s "
        "order=%s return %%c",
        type, type, direction, order);
    EACH(type, "s8 s64")
    run(EXACT,
        "(%%a: %s[300], %%b: %s[300]): %%c: pred[300] = compare %%a, %%b direction=%s "
        "order=SIGNED return %%c",
        type, type, direction);
    EACH(type, "u8 u64 pred")
    run(EXACT,
        "(%%a: %s[300], %%b: %s[300]): %%c: pred[300] = compare %%a, %%b direction=%s "
        "order=UNSIGNED return %%c",
        type, type, direction);
  }
  EACH(direction, "EQ NE")
  run(EXACT,
      "(%%a: c64[300], %%b: c64[300]): %%c: pred[300] = compare %%a, %%b direction=%s "
      "order=FLOAT return %%c",
      direction);
}

static void conversions(void) {
  EACH(from, "pred " INTEGERS " " FLOATS)
  EACH(to, "pred " INTEGERS " " FLOATS " c64")
  if (strcmp(from, to))
    run(NEAR(EDGES, 1e-7), "(%%a: %s[300]): %%c: %s[300] = convert %%a return %%c", from, to);
  EACH(to, "pred s32 u8 f32")
  run(NEAR(EDGES, 1e-7), "(%%a: c64[300]): %%c: %s[300] = convert %%a return %%c", to);
  run(EXACT, "(%%a: f32[4,6]): %%c: s32[4,6] = bitcast_convert %%a return %%c");
  run(EXACT, "(%%a: f32[4,6]): %%c: u8[4,6,4] = bitcast_convert %%a return %%c");
  run(EXACT, "(%%a: u16[4,6,2]): %%c: f32[4,6] = bitcast_convert %%a return %%c");
  run(EXACT, "(%%a: f32[]): %%c: u8[4] = bitcast_convert %%a return %%c");
}

/* -- data movement */

static void movement(void) {
  EACH(type, "f32 s8 pred c64 s64 bf16") {
    run(EXACT, "(%%a: %s[4,6]): %%c: %s[3,8] = reshape %%a return %%c", type, type);
    run(EXACT, "(%%a: %s[4,6,2]): %%c: %s[2,4,6] = transpose %%a permutation=[2,0,1] return %%c",
        type, type);
    run(EXACT, "(%%a: %s[6,1]): %%c: %s[3,4,6,2] = broadcast_in_dim %%a dims=[2,1] return %%c",
        type, type);
    run(EXACT,
        "(%%a: %s[4,6], %%b: %s[4,1]): %%c: %s[4,13] = concatenate %%a, %%b, %%a dim=1 "
        "return %%c",
        type, type, type);
    run(EXACT,
        "(%%a: %s[7,9]): %%c: %s[2,4] = slice %%a start=[1,2] limit=[6,9] stride=[3,2] "
        "return %%c",
        type, type);
    run(EXACT, "(%%a: %s[7,9,2]): %%c: %s[7,9,2] = reverse %%a dims=[0,2] return %%c", type, type);
    run(EXACT,
        "(%%a: %s[4,6], %%b: %s[]): %%c: %s[11,2] = pad %%a, %%b low=[2,-1] high=[-1,-3] "
        "interior=[2,0] return %%c",
        type, type, type);
    run(EXACT,
        "(%%a: %s[4,6], %%b: %s[]): %%c: %s[5,13] = pad %%a, %%b low=[0,-1] high=[1,3] "
        "interior=[0,1] return %%c",
        type, type, type);
    run(HOST(EXACT),
        "(%%a: %s[2], %%b: %s[]): %%c: %s[2] = pad %%a, %%b low=[-3] high=[3] "
        "interior=[0] return %%c",
        type, type, type);
  }
  EACH(type, "f32 bf16 s32 u8 c64 f16")
  run(EXACT, "(): %%c: %s[3,200,2] = iota dim=1 return %%c", type);
  run(EXACT, "(): %%c: f32[30,20] = constant value=2.5 return %%c");
  run(EXACT, "(%%a: f32[4,6]): %%c: f32[4,6] = optimization_barrier %%a return %%c");
  run(HOST(EXACT),
      "(%%a: f32[0,6], %%b: f32[3,6]): %%c: f32[3,6] = concatenate %%a, %%b dim=0 "
      "return %%c");
  run(HOST(EXACT), "(%%a: f64[6]): %%c: f64[6] = add %%a, %%a return %%c");
}

static void dynamic_slices(void) {
  EACH(type, "f32 s8 c64")
  EACH(index, "s32 s8 u8 s64 u64 u32") {
    run(EXACT,
        "(%%a: %s[9,7], %%i: %s[], %%j: %s[]): %%c: %s[4,7] = dynamic_slice %%a, %%i, %%j "
        "sizes=[4,7] return %%c",
        type, index, index, type);
    run(EXACT,
        "(%%a: %s[9,7], %%u: %s[2,3], %%i: %s[], %%j: %s[]): %%c: %s[9,7] = "
        "dynamic_update_slice %%a, %%u, %%i, %%j return %%c",
        type, type, index, index, type);
  }
  run(EXACT,
      "(%%a: f32[9,7], %%i: s32[]): %%j: s32[] = constant value=5 %%k: s32[] = constant value=-3 "
      "%%c: f32[4,2] = dynamic_slice %%a, %%j, %%k sizes=[4,2] return %%c");
}

static void gathers(void) {
  EACH(type, "f32 s64 c64 pred bf16")
  EACH(index, "s32 u8 s64") {
    run(EXACT,
        "(%%a: %s[9,7], %%i: %s[5,1]): %%c: %s[5,7] = gather %%a, %%i offset_dims=[1] "
        "collapsed_slice_dims=[0] start_index_map=[0] index_vector_dim=1 slice_sizes=[1,7] "
        "return %%c",
        type, index, type);
    run(EXACT,
        "(%%a: %s[9,7], %%i: %s[2,5]): %%c: %s[3,5,2] = gather %%a, %%i offset_dims=[0,2] "
        "start_index_map=[1,0] index_vector_dim=0 slice_sizes=[3,2] return %%c",
        type, index, type);
    run(EXACT,
        "(%%a: %s[9,7], %%i: %s[5]): %%c: %s[9,5] = gather %%a, %%i offset_dims=[0] "
        "collapsed_slice_dims=[1] start_index_map=[1] index_vector_dim=1 slice_sizes=[9,1] "
        "return %%c",
        type, index, type);
    run(EXACT,
        "(%%a: %s[4,9,3], %%i: %s[4,5,1]): %%c: %s[4,5,3] = gather %%a, %%i offset_dims=[2] "
        "collapsed_slice_dims=[1] operand_batching_dims=[0] start_indices_batching_dims=[0] "
        "start_index_map=[1] index_vector_dim=2 slice_sizes=[1,1,3] return %%c",
        type, index, type);
  }
}

static void scatters(void) {
  EACH(type, "f32 s32 bf16 u8")
  EACH(index, "s32 u8 s64")
  EACH(op, "add multiply maximum minimum") {
    run(SUM(PLAIN),
        "(%%a: %s[9,7], %%i: %s[5,1], %%u: %s[5,7]): %%c: %s[9,7] = scatter %%a, %%i, %%u "
        "update_window_dims=[1] inserted_window_dims=[0] scatter_dims_to_operand_dims=[0] "
        "index_vector_dim=1 { (%%x: %s[], %%y: %s[]): %%z: %s[] = %s %%x, %%y return %%z } "
        "return %%c",
        type, index, type, type, type, type, type, op);
    run(SUM(EDGES),
        "(%%a: %s[9,7], %%i: %s[5,2], %%u: %s[5,2,3]): %%c: %s[9,7] = scatter %%a, %%i, "
        "%%u update_window_dims=[1,2] scatter_dims_to_operand_dims=[0,1] index_vector_dim=1 { "
        "(%%x: %s[], %%y: %s[]): %%z: %s[] = %s %%x, %%y return %%z } return %%c",
        type, index, type, type, type, type, type, op);
  }
  EACH(op, "add multiply maximum minimum or and")
  run(EXACT,
      "(%%a: pred[9], %%i: s32[20,1], %%u: pred[20]): %%c: pred[9] = scatter %%a, %%i, %%u "
      "inserted_window_dims=[0] scatter_dims_to_operand_dims=[0] index_vector_dim=1 { "
      "(%%x: pred[], %%y: pred[]): %%z: pred[] = %s %%x, %%y return %%z } return %%c",
      op);
  run(SUM(PLAIN),
      "(%%a: c64[9], %%i: s32[20,1], %%u: c64[20]): %%c: c64[9] = scatter %%a, %%i, %%u "
      "inserted_window_dims=[0] scatter_dims_to_operand_dims=[0] index_vector_dim=1 { "
      "(%%x: c64[], %%y: c64[]): %%z: c64[] = add %%x, %%y return %%z } return %%c");
  EACH(type, "f32 s32 pred f16")
  run(EXACT,
      "(%%a: %s[9], %%u: %s[3]): %%i: s32[3,1] = constant value=[7,2,11] "
      "%%c: %s[9] = scatter %%a, %%i, %%u inserted_window_dims=[0] "
      "scatter_dims_to_operand_dims=[0] "
      "index_vector_dim=1 { (%%x: %s[], %%y: %s[]): return %%y } return %%c",
      type, type, type, type, type);
  run(SUM(PLAIN),
      "(%%a: f32[4,9], %%i: s32[4,5,1], %%u: f32[4,5]): %%c: f32[4,9] = scatter %%a, %%i, %%u "
      "inserted_window_dims=[1] input_batching_dims=[0] scatter_indices_batching_dims=[0] "
      "scatter_dims_to_operand_dims=[1] index_vector_dim=2 { (%%x: f32[], %%y: f32[]): "
      "%%z: f32[] = add %%x, %%y return %%z } return %%c");
  run(HOST(EXACT),
      "(%%a: s64[9], %%i: s32[3,1], %%u: s64[3]): %%c: s64[9] = scatter %%a, %%i, %%u "
      "inserted_window_dims=[0] scatter_dims_to_operand_dims=[0] index_vector_dim=1 { "
      "(%%x: s64[], %%y: s64[]): %%z: s64[] = add %%x, %%y return %%z } return %%c");
}

/* -- sorts */

static void sorts(void) {
  static const char canonical[] =
      "%%0: %s[] = constant value=0 %%n: %s[] = constant value=%s "
      "%%p: pred[] = compare %%x, %%0 direction=EQ order=FLOAT %%x1: %s[] = select %%p, %%0, %%x "
      "%%q: pred[] = compare %%x, %%x direction=NE order=FLOAT %%x2: %s[] = select %%q, %%n, %%x1 "
      "%%r: pred[] = compare %%y, %%0 direction=EQ order=FLOAT %%y1: %s[] = select %%r, %%0, %%y "
      "%%s: pred[] = compare %%y, %%y direction=NE order=FLOAT %%y2: %s[] = select %%s, %%n, %%y1 ";
  EACH(direction, "LT GT")
  for (int dim = 0; dim < 2; dim++) {
    EACH(type, FLOATS) {
      char keys[2048];
      const char *nan = !strcmp(type, "f32")   ? "0x7fc00000"
                        : !strcmp(type, "f16") ? "0x7e00"
                                               : "0x7fc0";
      snprintf(keys, sizeof keys, canonical, type, type, nan, type, type, type, type);
      run(EXACT,
          "(%%a: %s[20,30]): %%c: %s[20,30] = sort %%a dim=%d stable=true { "
          "(%%x: %s[], %%y: %s[]): %s %%z: pred[] = compare %%x2, %%y2 direction=%s order=TOTAL "
          "return %%z } return %%c",
          type, type, dim, type, type, keys, direction);
      run(EXACT,
          "(%%a: %s[20,30]): %%i: s32[20,30] = iota dim=%d %%c: %s[20,30], %%d: s32[20,30] = "
          "sort %%a, %%i dim=%d stable=true { (%%x: %s[], %%y: %s[], %%j: s32[], %%k: s32[]): "
          "%s %%z: pred[] = compare %%x2, %%y2 direction=%s order=TOTAL return %%z } return %%c, "
          "%%d",
          type, dim, type, dim, type, type, keys, direction);
      run(EXACT,
          "(%%a: %s[20,30]): %%c: %s[20,30] = sort %%a dim=%d stable=true { "
          "(%%x: %s[], %%y: %s[]): %%z: pred[] = compare %%x, %%y direction=%s order=TOTAL "
          "return %%z } return %%c",
          type, type, dim, type, type, direction);
      run(EXACT,
          "(%%a: s32[20,30], %%b: %s[20,30], %%e: u8[20,30]): "
          "%%c: s32[20,30], %%d: %s[20,30], %%f: u8[20,30] = sort %%a, %%b, %%e dim=%d stable=true "
          "{ "
          "(%%j: s32[], %%k: s32[], %%x: %s[], %%y: %s[], %%g: u8[], %%h: u8[]): %s "
          "%%l: pred[] = compare %%j, %%k direction=%s order=SIGNED "
          "%%m: pred[] = compare %%j, %%k direction=EQ order=SIGNED "
          "%%z: pred[] = compare %%x2, %%y2 direction=LT order=TOTAL "
          "%%o: pred[] = and %%m, %%z %%w: pred[] = or %%l, %%o return %%w } return %%c, %%d, %%f",
          type, type, dim, type, type, keys, direction);
    }
    EACH(type, INTEGERS " pred") {
      run(EXACT,
          "(%%a: %s[20,30]): %%c: %s[20,30] = sort %%a dim=%d stable=true { "
          "(%%x: %s[], %%y: %s[]): %%z: pred[] = compare %%x, %%y direction=%s order=%s "
          "return %%z } return %%c",
          type, type, dim, type, type, direction, type[0] == 's' ? "SIGNED" : "UNSIGNED");
      run(EXACT,
          "(%%b: c64[20,30], %%a: %s[20,30]): %%d: c64[20,30], %%c: %s[20,30] = sort %%b, %%a "
          "dim=%d stable=true { (%%v: c64[], %%w: c64[], %%x: %s[], %%y: %s[]): "
          "%%z: pred[] = compare %%x, %%y direction=%s order=%s return %%z } return %%d, %%c",
          type, type, dim, type, type, direction, type[0] == 's' ? "SIGNED" : "UNSIGNED");
    }
  }
  run(HOST(NEAR(PLAIN, 1e-30)),
      "(%%a: f32[20,30]): %%c: f32[20,30] = sort %%a dim=1 { "
      "(%%x: f32[], %%y: f32[]): %%z: pred[] = compare %%x, %%y direction=LT order=FLOAT return "
      "%%z } "
      "return %%c");
  EACH(type, "f32 s16 u64") { /* longer than what a GPU sorts in one block */
    run(EXACT,
        "(%%a: %s[3,9000]): %%i: s32[3,9000] = iota dim=1 %%c: %s[3,9000], %%d: s32[3,9000] = "
        "sort %%a, %%i dim=1 stable=true { (%%x: %s[], %%y: %s[], %%j: s32[], %%k: s32[]): "
        "%%z: pred[] = compare %%x, %%y direction=LT order=%s return %%z } return %%c, %%d",
        type, type, type, type,
        type[0] == 'f'   ? "TOTAL"
        : type[0] == 's' ? "SIGNED"
                         : "UNSIGNED");
    run(EXACT, "(%%a: %s[3,9000]): %%c: %s[3,70], %%d: s32[3,70] = top_k %%a k=70 return %%c, %%d",
        type, type);
  }
  EACH(smallest, "true false")
  EACH(type, FLOATS " " INTEGERS) {
    run(EXACT, "(%%a: %s[20,30]): %%c: %s[20,7], %%d: s32[20,7] = top_k %%a k=7 %s return %%c, %%d",
        type, type, strcmp(smallest, "true") ? "" : "smallest=true");
    run(EXACT, "(%%a: %s[30]): %%c: %s[30], %%d: s32[30] = top_k %%a k=30 return %%c, %%d", type,
        type);
  }
}

TEST_MAIN(open_engine, elementwise_exact, elementwise_functions, comparisons, conversions, movement,
          dynamic_slices, gathers, scatters, sorts, close_engine)
