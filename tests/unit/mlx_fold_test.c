/* SPDX-License-Identifier: Apache-2.0
 * The MLX engine's lowerings of reductions, windows, products and transforms. */
#include "unit/mlx_case.h"

/* -- reductions and windows */

static const char *start_of(const char *op, const char *type) {
  bool is_float = strchr("fb", type[0]);
  if (!strcmp(op, "add") || !strcmp(op, "or")) return !strcmp(type, "pred") ? "false" : "0";
  if (!strcmp(op, "and")) return "true";
  if (!strcmp(op, "multiply")) return !strcmp(type, "pred") ? "true" : "1";
  if (is_float) return !strcmp(op, "maximum") ? "-inf" : "inf";
  if (!strcmp(type, "s32")) return !strcmp(op, "maximum") ? "-2147483648" : "2147483647";
  if (!strcmp(type, "u8")) return !strcmp(op, "maximum") ? "0" : "255";
  return !strcmp(op, "maximum") ? "-128" : "127";
}

static void reductions(void) {
  EACH(op, "add multiply maximum minimum") {
    EACH(type, "f32 f16 bf16 s32 s8 u8") {
      how h = strchr("fb", type[0]) && (!strcmp(op, "add") || !strcmp(op, "multiply"))
                  ? SUM(PLAIN)
                  : NEAR(EDGES, 1e-30);
      run(h,
          "(%%a: %s[5,6,7]): %%i: %s[] = constant value=%s %%c: %s[5,7] = reduce %%a, %%i dims=[1] "
          "{ "
          "(%%x: %s[], %%y: %s[]): %%z: %s[] = %s %%x, %%y return %%z } return %%c",
          type, type, start_of(op, type), type, type, type, type, op);
      run(h,
          "(%%a: %s[5,6,7]): %%i: %s[] = constant value=3 %%c: %s[6] = reduce %%a, %%i dims=[0,2] "
          "{ "
          "(%%x: %s[], %%y: %s[]): %%z: %s[] = %s %%x, %%y return %%z } return %%c",
          type, type, type, type, type, type, op);
      run(h,
          "(%%a: %s[5,6,7], %%i: %s[]): %%c: %s[] = reduce %%a, %%i dims=[0,1,2] { "
          "(%%x: %s[], %%y: %s[]): %%z: %s[] = %s %%x, %%y return %%z } return %%c",
          type, type, type, type, type, type, op);
    }
    run(HOST(EXACT),
        "(%%a: f32[0,7], %%i: f32[]): %%c: f32[7] = reduce %%a, %%i dims=[0] { "
        "(%%x: f32[], %%y: f32[]): %%z: f32[] = %s %%x, %%y return %%z } return %%c",
        op);
  }
  EACH(op, "add multiply and or maximum minimum")
  run(EXACT,
      "(%%a: pred[40,2], %%i: pred[]): %%c: pred[40] = reduce %%a, %%i dims=[1] { "
      "(%%x: pred[], %%y: pred[]): %%z: pred[] = %s %%x, %%y return %%z } return %%c",
      op);
  EACH(op, "add multiply")
  run(SUM(POSITIVE),
      "(%%a: c64[40,5], %%i: c64[]): %%c: c64[40] = reduce %%a, %%i dims=[1] { "
      "(%%x: c64[], %%y: c64[]): %%z: c64[] = %s %%x, %%y return %%z } return %%c",
      op);
  run(SUM(POSITIVE),
      "(%%a: bf16[3,5000]): %%i: bf16[] = constant value=0 "
      "%%c: bf16[3] = reduce %%a, %%i dims=[1] { "
      "(%%x: bf16[], %%y: bf16[]): %%z: bf16[] = add %%x, %%y return %%z } return %%c");
  run(HOST(SUM(PLAIN)),
      "(%%a: f32[40,5], %%i: f32[]): %%c: f32[40] = reduce %%a, %%i dims=[1] { "
      "(%%x: f32[], %%y: f32[]): %%w: f32[] = add %%x, %%y %%z: f32[] = negate %%w return %%z } "
      "return %%c");
}

/* Sizes at which GPUs take other kernels. */
static void long_reductions(void) {
  EACH(op, "add maximum")
  EACH(shape, "[70000]:[0]:[] [3,9000]:[1]:[3] [9000,3]:[0]:[3] [40,30,50]:[0,2]:[30]") {
    char text[64], *rest = strcpy(text, shape);
    const char *from = strtok_r(rest, ":", &rest), *dims = strtok_r(rest, ":", &rest);
    const char *to = strtok_r(rest, ":", &rest);
    EACH(type, "f32 bf16 s8")
    run(SUM(FINE),
        "(%%a: %s%s): %%i: %s[] = constant value=%s %%c: %s%s = reduce %%a, %%i dims=%s { "
        "(%%x: %s[], %%y: %s[]): %%z: %s[] = %s %%x, %%y return %%z } return %%c",
        type, from, type, start_of(op, type), type, to, dims, type, type, type, op);
  }
  EACH(type, "f32 bf16 s32")
  EACH(padding, "[0,0,4999,0] [0,0,0,4999]")
  run(SUM(POSITIVE),
      "(%%a: %s[2,5000]): %%i: %s[] = constant value=0 %%c: %s[2,5000] = reduce_window "
      "%%a, %%i window=[1,5000] strides=[1,1] base_dilations=[1,1] window_dilations=[1,1] "
      "padding=%s { "
      "(%%x: %s[], %%y: %s[]): %%z: %s[] = add %%x, %%y return %%z } return %%c",
      type, type, type, padding, type, type, type);
}

static void argmax(void) {
  static const struct {
    const char *type, *direction, *init;
  } rows[] = {{"f32", "GT", "-inf"}, {"f32", "LT", "inf"},         {"bf16", "GT", "-inf"},
              {"f16", "LT", "inf"},  {"s32", "GT", "-2147483648"}, {"u8", "LT", "255"}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    for (int kind = PLAIN; kind <= EDGES; kind++)
      for (int dim = 0; dim < 2; dim++)
        run((how){(fill)kind, 0, 0, false},
            "(%%a: %s[30,40]): %%i: s32[30,40] = iota dim=%d %%v: %s[] = constant value=%s "
            "%%0: s32[] = constant value=0 %%c: %s[%d], %%d: s32[%d] = reduce %%a, %%i, %%v, %%0 "
            "dims=[%d] { "
            "(%%x: %s[], %%j: s32[], %%y: %s[], %%k: s32[]): "
            "%%p: pred[] = compare %%x, %%y direction=%s order=FLOAT "
            "%%q: pred[] = compare %%x, %%x direction=NE order=FLOAT %%r: pred[] = or %%p, %%q "
            "%%s: pred[] = compare %%x, %%y direction=EQ order=FLOAT "
            "%%t: pred[] = compare %%j, %%k direction=LT order=SIGNED %%u: pred[] = and %%s, %%t "
            "%%w: pred[] = or %%r, %%u %%z: %s[] = select %%r, %%x, %%y %%n: s32[] = select %%w, "
            "%%j, %%k "
            "return %%z, %%n } return %%d",
            rows[i].type, dim, rows[i].type, rows[i].init, rows[i].type, dim ? 30 : 40,
            dim ? 30 : 40, dim, rows[i].type, rows[i].type, rows[i].direction, rows[i].type);
}

static void windows(void) {
  static const struct {
    const char *window, *strides, *base, *dilation, *padding, *result;
  } rows[] = {
      {"1,9,1", "1,1,1", "1,1,1", "1,1,1", "0,0,8,0,0,0", "3,9,7"}, /* cumulative */
      {"1,9,1", "1,1,1", "1,1,1", "1,1,1", "0,0,0,8,0,0", "3,9,7"}, /* from the end */
      {"1,1,7", "1,1,1", "1,1,1", "1,1,1", "0,0,0,0,6,0", "3,9,7"},
      {"1,2,2", "1,2,2", "1,1,1", "1,1,1", "0,0,0,0,0,0", "3,4,3"}, /* pooling */
      {"1,3,3", "1,2,2", "1,1,1", "1,1,1", "0,0,1,1,0,1", "3,5,3"},
      {"1,3,3", "1,3,3", "1,1,1", "1,1,1", "0,0,0,0,1,1", "3,3,3"},
      {"1,9,7", "1,1,1", "1,1,1", "1,1,1", "0,0,0,0,0,0", "3,1,1"}, /* all of it */
      {"2,5,1", "1,1,2", "1,1,1", "1,2,1", "0,0,0,0,0,0", "2,1,4"}, /* dilated */
      {"1,6,7", "1,1,1", "1,1,1", "1,1,1", "1,0,2,3,5,6", "4,9,12"},
      {"1,2,2", "1,1,2", "1,2,3", "1,1,1", "0,0,1,0,0,1", "3,17,10"}, /* holes */
      {"1,2,2", "1,1,1", "1,1,1", "1,1,1", "0,0,-2,0,1,-3", "3,6,4"}, /* cropped */
      {"1,1,1", "1,2,3", "1,1,1", "1,1,1", "0,0,0,0,0,0", "3,5,3"},
  };
  EACH(op, "add multiply maximum minimum")
  EACH(type, "f32 bf16 s32 s8")
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    for (int known = 0; known < 2; known++) {
      how h = strchr("fb", type[0]) && (!strcmp(op, "add") || !strcmp(op, "multiply"))
                  ? SUM(POSITIVE)
                  : NEAR(PLAIN, 1e-30);
      run(h,
          "(%%a: %s[3,9,7]): %%i: %s[] = constant value=%s %%c: %s[%s] = reduce_window %%a, %%i "
          "window=[%s] strides=[%s] base_dilations=[%s] window_dilations=[%s] padding=[%s] { "
          "(%%x: %s[], %%y: %s[]): %%z: %s[] = %s %%x, %%y return %%z } return %%c",
          type, type, known ? start_of(op, type) : "2", type, rows[i].result, rows[i].window,
          rows[i].strides, rows[i].base, rows[i].dilation, rows[i].padding, type, type, type, op);
    }
  EACH(op, "or and maximum add")
  EACH(window, "[1,9] [3,1]")
  run(EXACT,
      "(%%a: pred[9,9], %%i: pred[]): %%c: pred[9,9] = reduce_window %%a, %%i "
      "window=%s strides=[1,1] base_dilations=[1,1] window_dilations=[1,1] padding=%s { "
      "(%%x: pred[], %%y: pred[]): %%z: pred[] = %s %%x, %%y return %%z } return %%c",
      window, window[1] == '1' ? "[0,0,8,0]" : "[1,1,0,0]", op);
  EACH(op, "maximum minimum add")
  run(SUM(EDGES),
      "(%%a: f32[20,30], %%i: f32[]): %%c: f32[20,30] = reduce_window %%a, %%i "
      "window=[1,30] strides=[1,1] base_dilations=[1,1] window_dilations=[1,1] padding=[0,0,29,0] "
      "{ "
      "(%%x: f32[], %%y: f32[]): %%z: f32[] = %s %%x, %%y return %%z } return %%c",
      op);
  EACH(padding, "[0,0,0,8] [0,0,8,0]")
  EACH(type, FLOATS)
  run(SUM(PLAIN),
      "(%%a: %s[5,9]): %%i: %s[] = constant value=-inf %%c: %s[5,9] = reduce_window %%a, %%i "
      "window=[1,9] strides=[1,1] base_dilations=[1,1] window_dilations=[1,1] padding=%s { "
      "(%%3: %s[], %%4: %s[]): %%5: %s[] = maximum %%3, %%4 %%6: %s[] = subtract %%3, %%4 "
      "%%7: pred[] = compare %%6, %%6 direction=NE order=FLOAT %%8: %s[] = add %%3, %%4 "
      "%%9: %s[] = abs %%6 %%10: %s[] = negate %%9 %%11: %s[] = exponential %%10 "
      "%%12: %s[] = log_plus_one %%11 %%13: %s[] = add %%5, %%12 "
      "%%14: %s[] = select %%7, %%8, %%13 return %%14 } return %%c",
      type, type, type, padding, type, type, type, type, type, type, type, type, type, type, type);
}

static void pooling_gradients(void) {
  static const struct {
    const char *window, *strides, *padding, *source;
  } rows[] = {
      {"1,2,2,1", "1,2,2,1", "0,0,0,0,0,0,0,0", "2,4,4,3"},
      {"1,3,3,1", "1,2,2,1", "0,0,0,1,0,1,0,0", "2,4,4,3"},
      {"1,3,3,1", "1,1,1,1", "0,0,1,1,1,1,0,0", "2,8,8,3"},
      {"1,1,5,1", "1,3,2,1", "0,0,0,0,4,4,0,0", "2,3,6,3"},
      {"2,2,1,1", "1,1,1,1", "1,1,1,1,0,0,0,0", "3,9,8,3"},
  };
  EACH(direction, "GE LE GT")
  EACH(type, "f32 bf16 s32")
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    for (int kind = PLAIN; kind <= (strcmp(type, "f32") ? PLAIN : EDGES); kind++)
      run((how){(fill)kind, 1e-5, 1, false},
          "(%%a: %s[2,8,8,3], %%s: %s[%s]): %%i: %s[] = constant value=%d "
          "%%c: %s[2,8,8,3] = select_and_scatter %%a, %%s, %%i window=[%s] strides=[%s] "
          "padding=[%s] { "
          "(%%x: %s[], %%y: %s[]): %%p: pred[] = compare %%x, %%y direction=%s order=FLOAT "
          "return %%p }, { (%%x: %s[], %%y: %s[]): %%z: %s[] = add %%x, %%y return %%z } return "
          "%%c",
          type, type, rows[i].source, type, (int)i % 2, type, rows[i].window, rows[i].strides,
          rows[i].padding, type, type, direction, type, type, type);
}

/* -- products */

static void dots(void) {
  static const struct {
    const char *lhs, *rhs, *attrs, *result;
  } rows[] = {
      {"5,7", "7,6", "lhs_contract=[1] rhs_contract=[0]", "5,6"},
      {"7,5", "6,7", "lhs_contract=[0] rhs_contract=[1]", "5,6"},
      {"7", "7", "lhs_contract=[0] rhs_contract=[0]", ""},
      {"5,7", "7", "lhs_contract=[1] rhs_contract=[0]", "5"},
      {"7", "7,6", "lhs_contract=[0] rhs_contract=[0]", "6"},
      {"5", "6", "", "5,6"},
      {"3,5,7", "3,7,6", "lhs_batch=[0] rhs_batch=[0] lhs_contract=[2] rhs_contract=[1]", "3,5,6"},
      {"5,3,7,2", "6,2,7,3", "lhs_batch=[3,1] rhs_batch=[1,3] lhs_contract=[2] rhs_contract=[2]",
       "2,3,5,6"},
      {"5,7,2,3", "7,4,3,2,6", "lhs_contract=[1,3] rhs_contract=[0,2]", "5,2,4,2,6"},
      {"3,7", "3,7", "lhs_batch=[0] rhs_batch=[0] lhs_contract=[1] rhs_contract=[1]", "3"},
  };
  static const char *const types[][3] = {
      {"f32", "f32", "f32"},    {"f16", "f16", "f16"},   {"bf16", "bf16", "bf16"},
      {"c64", "c64", "c64"},    {"bf16", "bf16", "f32"}, {"f16", "f32", "f32"},
      {"f32", "f32", "bf16"},   {"s8", "s8", "s32"},     {"u8", "u8", "s32"},
      {"pred", "pred", "pred"}, {"s32", "s32", "s32"},   {"s8", "s8", "s8"},
      {"u64", "u64", "u64"},    {"s16", "s16", "s16"},   {"s8", "s8", "f32"},
      {"u16", "u16", "u32"},    {"pred", "pred", "s32"}, {"bf16", "f32", "f32"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
      bool edges = strchr("sup", types[t][2][0]);
      run(edges ? EXACT : SUM(PLAIN),
          "(%%a: %s[%s], %%b: %s[%s]): %%c: %s[%s] = dot_general %%a, %%b %s "
          "lhs_precision=DEFAULT rhs_precision=HIGHEST return %%c",
          types[t][0], rows[i].lhs, types[t][1], rows[i].rhs, types[t][2], rows[i].result,
          rows[i].attrs);
    }
  EACH(type, "s8 u8 pred") /* sums past 2^24 */
  run(EXACT,
      "(%%a: %s[3,5000], %%b: %s[4,5000]): %%c: s32[3,4] = dot_general %%a, %%b "
      "lhs_contract=[1] rhs_contract=[1] lhs_precision=DEFAULT rhs_precision=DEFAULT return %%c",
      type, type);
  run(HOST(EXACT),
      "(%%a: s32[50,200], %%b: s32[500,200]): %%c: s32[50,500] = dot_general %%a, %%b "
      "lhs_contract=[1] rhs_contract=[1] lhs_precision=DEFAULT rhs_precision=DEFAULT return %%c");
  EACH(type, FLOATS)
  run(SUM(POSITIVE),
      "(%%a: %s[3,3000], %%b: %s[4,3000]): %%c: %s[3,4] = dot_general %%a, %%b "
      "lhs_contract=[1] rhs_contract=[1] lhs_precision=DEFAULT rhs_precision=DEFAULT return %%c",
      type, type, type);
}

/* Sizes of a convolution with everything; the text follows from them. */
typedef struct shape {
  int n;              /* spatial dimensions */
  int batch, in, out; /* of the input, its features, the result's */
  int size[3], window[3], stride[3], low[3], high[3], input_dilation[3], window_dilation[3],
      flip[3];
  int feature_groups, batch_groups;
  int layout; /* 0: N C spatial, O I spatial; 1: N spatial C, spatial I O; 2: odd ones */
} shape;

static int spread_size(int size, int dilation) { return (size - 1) * dilation + 1; }

/* sizes in the order of a layout: first and second are the places of the two other dimensions */
static void print_sizes(char *text, int n, const int *spatial, int first, int first_size,
                        int second, int second_size) {
  int next = 0;
  *text = 0;
  for (int d = 0; d < n + 2; d++) {
    int size = d == first ? first_size : d == second ? second_size : spatial[next++];
    sprintf(text + strlen(text), "%s%d", d ? "," : "", size);
  }
}

static void print_places(char *text, int n, int first, int second) {
  *text = 0;
  for (int d = 0, any = 0; d < n + 2; d++)
    if (d != first && d != second) sprintf(text + strlen(text), "%s%d", any++ ? "," : "", d);
}

static void print_list(char *text, int n, const int *a, const int *b) {
  *text = 0;
  for (int i = 0; i < n; i++) {
    sprintf(text + strlen(text), "%s%d", i ? "," : "", a[i]);
    if (b) sprintf(text + strlen(text), ",%d", b[i]);
  }
}

static void convolve(how h, const shape *s, const char *lhs, const char *rhs, const char *to) {
  const int places[3][6] = {{0, 1, 0, 1, 0, 1}, /* N, C, O, I, N, O */
                            {0, s->n + 1, s->n + 1, s->n, 0, s->n + 1},
                            {s->n + 1, 0, 1, s->n + 1, s->n, s->n + 1}};
  const int *at = places[s->layout];
  char input[64], kernel[64], result[64], in_at[32], kernel_at[32], out_at[32];
  char strides[32], padding[64], lhs_dilation[32], rhs_dilation[32], reversal[32];
  int out[3];
  for (int i = 0; i < s->n; i++)
    out[i] = (spread_size(s->size[i], s->input_dilation[i]) + s->low[i] + s->high[i] -
              spread_size(s->window[i], s->window_dilation[i])) /
                 s->stride[i] +
             1;
  print_sizes(input, s->n, s->size, at[0], s->batch, at[1], s->in);
  print_sizes(kernel, s->n, s->window, at[2], s->out, at[3], s->in / s->feature_groups);
  print_sizes(result, s->n, out, at[4], s->batch / s->batch_groups, at[5], s->out);
  print_places(in_at, s->n, at[0], at[1]);
  print_places(kernel_at, s->n, at[2], at[3]);
  print_places(out_at, s->n, at[4], at[5]);
  print_list(strides, s->n, s->stride, NULL);
  print_list(padding, s->n, s->low, s->high);
  print_list(lhs_dilation, s->n, s->input_dilation, NULL);
  print_list(rhs_dilation, s->n, s->window_dilation, NULL);
  print_list(reversal, s->n, s->flip, NULL);
  run(h,
      "(%%a: %s[%s], %%b: %s[%s]): %%c: %s[%s] = convolution %%a, %%b strides=[%s] padding=[%s] "
      "lhs_dilation=[%s] rhs_dilation=[%s] reversal=[%s] input_batch=%d input_feature=%d "
      "input_spatial=[%s] kernel_input_feature=%d kernel_output_feature=%d kernel_spatial=[%s] "
      "output_batch=%d output_feature=%d output_spatial=[%s] feature_groups=%d batch_groups=%d "
      "lhs_precision=DEFAULT rhs_precision=DEFAULT return %%c",
      lhs, input, rhs, kernel, to, result, strides, padding, lhs_dilation, rhs_dilation, reversal,
      at[0], at[1], in_at, at[3], at[2], kernel_at, at[4], at[5], out_at, s->feature_groups,
      s->batch_groups);
}

static void convolutions(void) {
  int done = 0;
  while (done < 250) {
    shape s = {.n = (int)draw(4), .layout = (int)draw(3), .feature_groups = 1, .batch_groups = 1};
    if (!s.n && s.layout == 2) continue; /* its places are taken */
    if (!draw(3))
      s.feature_groups = 2;
    else if (!draw(3))
      s.batch_groups = 2;
    s.batch = s.batch_groups * (1 + (int)draw(2));
    s.in = s.feature_groups * (1 + (int)draw(3));
    s.out = s.feature_groups * s.batch_groups * (1 + (int)draw(3));
    bool good = true;
    for (int i = 0; i < s.n; i++) {
      s.size[i] = 3 + (int)draw(5);
      s.window[i] = 1 + (int)draw(3);
      s.stride[i] = 1 + (int)draw(2);
      s.low[i] = (int)draw(5) - 2;
      s.high[i] = (int)draw(5) - 2;
      s.input_dilation[i] = 1 + (int)draw(3) % 2;
      s.window_dilation[i] = 1 + (int)draw(3) % 2;
      s.flip[i] = (int)draw(2);
      int padded = spread_size(s.size[i], s.input_dilation[i]) + s.low[i] + s.high[i];
      good &= padded >= spread_size(s.window[i], s.window_dilation[i]);
    }
    if (!good) continue;
    done++;
    convolve(SUM(PLAIN), &s, "f32", "f32", "f32");
    if (done % 5) continue;
    convolve(SUM(PLAIN), &s, "bf16", "bf16", "bf16");
    convolve(SUM(PLAIN), &s, "f16", "f16", "f32");
    convolve(EXACT, &s, "s8", "s8", "s32");
  }
  /* JAX's gradients of a strided 3x3 convolution: of the kernel, of the input. */
  shape kernel = {.n = 2,
                  .batch = 3,
                  .in = 2,
                  .out = 4,
                  .size = {8, 8},
                  .window = {4, 4},
                  .stride = {1, 1},
                  .low = {0, 0},
                  .high = {1, 1},
                  .input_dilation = {1, 1},
                  .window_dilation = {2, 2},
                  .feature_groups = 1,
                  .batch_groups = 1};
  convolve(SUM(PLAIN), &kernel, "f32", "f32", "f32");
  shape input = {.n = 2,
                 .batch = 2,
                 .in = 4,
                 .out = 3,
                 .size = {4, 4},
                 .window = {3, 3},
                 .stride = {1, 1},
                 .low = {2, 2},
                 .high = {1, 1},
                 .input_dilation = {2, 2},
                 .window_dilation = {1, 1},
                 .feature_groups = 1,
                 .batch_groups = 1,
                 .flip = {1, 1}};
  convolve(SUM(PLAIN), &input, "f32", "f32", "f32");
  shape wide = {.n = 2,
                .batch = 1,
                .in = 64,
                .out = 8,
                .size = {12, 12},
                .window = {3, 3},
                .stride = {1, 1},
                .low = {1, 1},
                .high = {1, 1},
                .input_dilation = {1, 1},
                .window_dilation = {1, 1},
                .feature_groups = 1,
                .batch_groups = 1,
                .layout = 1};
  EACH(type, FLOATS) convolve(SUM(POSITIVE), &wide, type, type, type);
  convolve(HOST(EXACT), &wide, "s32", "s32", "s32");
}

static void transforms(void) {
  EACH(kind, "FFT IFFT") {
    run(SUM(PLAIN), "(%%a: c64[3,4,15]): %%c: c64[3,4,15] = fft %%a kind=%s length=[15] return %%c",
        kind);
    run(SUM(PLAIN), "(%%a: c64[3,4,8]): %%c: c64[3,4,8] = fft %%a kind=%s length=[4,8] return %%c",
        kind);
    run(SUM(PLAIN),
        "(%%a: c64[3,4,7]): %%c: c64[3,4,7] = fft %%a kind=%s length=[3,4,7] return %%c", kind);
  }
  EACH(n, "1 2 8 15") {
    int half = atoi(n) / 2 + 1;
    run(SUM(PLAIN), "(%%a: f32[3,%s]): %%c: c64[3,%d] = fft %%a kind=RFFT length=[%s] return %%c",
        n, half, n);
    run(SUM(PLAIN), "(%%a: c64[3,%d]): %%c: f32[3,%s] = fft %%a kind=IRFFT length=[%s] return %%c",
        half, n, n);
    run(SUM(PLAIN), "(%%a: f32[6,%s]): %%c: c64[6,%d] = fft %%a kind=RFFT length=[6,%s] return %%c",
        n, half, n);
    run(SUM(PLAIN),
        "(%%a: c64[6,%d]): %%c: f32[6,%s] = fft %%a kind=IRFFT length=[6,%s] return %%c", half, n,
        n);
  }
}

TEST_MAIN(open_engine, reductions, long_reductions, argmax, windows, pooling_gradients, dots,
          convolutions, transforms, close_engine)
