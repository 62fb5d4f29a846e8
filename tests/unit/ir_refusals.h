/* SPDX-License-Identifier: Apache-2.0
 * One line of IR each that the verifier must refuse, with a piece of the message, and lines that
 * it must accept. Values: see wrap() in ir_test.c. */
#ifndef JM_TESTS_IR_REFUSALS_H
#define JM_TESTS_IR_REFUSALS_H

#define ADD(type) "{ (%a: " type ", %b: " type "): %r: " type " = add %a, %b return %r }"

static const struct {
  const char *body, *message;
} refusals[] = {
    /* the table's columns */
    {"%x: f32[4] = add %f", "1 operands instead of 2"},
    {"%x: f32[4], %y: f32[4] = abs %f", "2 results instead of 1"},
    {"%x: pred[4] = abs %p", "not defined for element type pred"},
    {"%x: s32[4] = sine %n", "not defined for element type s32"},
    {"%x: token[] = add %t, %t", "not defined for element type token"},
    {"%x: f32[4] = dynamic_slice %f, %t sizes=[4]", "operand 1 is a token"},
    {"%x: f32[4] = abs %f | %s", "captures without a region"},
    {"%x: token[4] = create_token", "a tensor of tokens"},
    /* elementwise */
    {"%x: f32[5] = sine %f", "operand 0 and the result differ in type"},
    {"%x: f64[4] = add %f, %d", "operand 0 and the result differ in type"},
    {"%x: f32[4] = add %f, %s", "operand 1 and the result differ in type"},
    {"%x: c64[4] = abs %c", "element type must be f32"},
    {"%x: f32[2] = real %c", "differ in shape"},
    {"%x: c64[4] = imag %c", "element type must be f32"},
    {"%x: f32[4] = is_finite %f", "element type must be pred"},
    {"%x: f32[4] = reduce_precision %f mantissa_bits=3", "bits out of range"},
    {"%x: s32[5] = convert %f", "differ in shape"},
    {"%x: c64[4] = complex %f, %d", "the operands differ in type"},
    {"%x: c128[4] = complex %f, %f", "element type must be c64"},
    {"%x: f32[4] = compare %f, %f", "element type must be pred"},
    {"%x: pred[4] = compare %n, %n order=TOTAL", "order TOTAL is for floating point"},
    {"%x: pred[4] = compare %n, %f", "the operands differ in type"},
    {"%x: f32[2,3] = select %p, %g, %g", "neither a scalar nor of the result's shape"},
    {"%x: f32[4] = select %p, %f, %n", "on_true, on_false and the result differ"},
    {"%x: token[] = select %q, %t, %t", "operand 1 is a token"},
    {"%x: f32[4] = clamp %s, %f, %k", "operand 2 is neither"},
    {"%x: f32[2,3] = clamp %s, %f, %s", "operand and result differ"},
    {"%x: f32[4] = map %f { (%a: f64[]): return %a }", "argument 0 of the region is not a scalar"},
    {"%x: s32[4] = map %f { (%a: f32[]): return %a }", "does not return a scalar"},
    {"%x: f32[4] = map %f { (%a: f32[]): return }", "region 0 returns 0 values instead of 1"},
    {"%x: f32[4] = map { (): return }", "no operand"},
    /* special functions */
    {"%x: f32[4] = igamma %f, %s", "operand 1 and the result differ in type"},
    {"%x: u32[4], %y: u32[2] = threefry2x32 %i, %i, %i, %i", "not of one type of u32"},
    {"%x: s32[4], %y: s32[4] = threefry2x32 %n, %n, %n, %n", "not of one type of u32"},
    {"%x: u32[4], %y: u32[4] = threefry2x32 %n, %n, %n, %n", "operand 0 is neither of the"},
    /* data movement */
    {"%x: s64[4] = bitcast_convert %f", "one more dimension of the ratio"},
    {"%x: u8[4,3] = bitcast_convert %f", "one more dimension of the ratio"},
    {"%x: f64[4] = bitcast_convert %c", "no common bits"},
    {"%x: s32[5] = bitcast_convert %f", "the shapes differ"},
    {"%x: f32[4,4] = broadcast_in_dim %f", "one result dimension per operand dimension"},
    {"%x: f32[4,4] = broadcast_in_dim %f dims=[2]", "one result dimension per operand dimension"},
    {"%x: f32[3,3] = broadcast_in_dim %g dims=[1,1]", "one result dimension per operand dimension"},
    {"%x: f32[5] = broadcast_in_dim %f dims=[0]", "neither 1 nor the result's"},
    {"%x: f32[8] = concatenate %f, %f dim=1", "dim out of range"},
    {"%x: f32[9] = concatenate %f, %f", "don't add up"},
    {"%x: f32[8] = concatenate %f, %n", "operand 1 and the result differ"},
    {"%x: f32[5,5] = concatenate %g, %h", "operand 0 and the result differ in dimension 1"},
    {"%x: f32[0] = concatenate", "no operand"},
    {"%x: f32[2] = constant", "no data"},
    {"%x: f32[2] = iota dim=1", "dim out of range"},
    {"%x: f32[] = iota", "dim out of range"},
    {"%x: f32[6] = pad %f, %s low=[1] high=[2] interior=[0]", "not have the padded size"},
    {"%x: f32[4] = pad %f, %s low=[0] high=[0]", "rank or a padding's length"},
    {"%x: f32[4] = pad %f, %i low=[0] high=[0] interior=[0]", "operand 1 is not a scalar"},
    {"%x: f32[1] = pad %f, %s low=[0] high=[0] interior=[-1]", "negative interior"},
    {"%x: f32[4] = pad %f, %s low=[9223372036854775807] high=[9] interior=[0]", "padded size"},
    {"%x: f32[5] = reshape %f", "differ in number of elements"},
    {"%x: s32[4] = reshape %f", "element type must be f32"},
    {"%x: f32[4] = reverse %f dims=[1]", "dims out of range"},
    {"%x: f32[2,3] = reverse %g dims=[1,1]", "dims out of range or not unique"},
    {"%x: f32[3,2] = transpose %g permutation=[0,0]", "permutation is none"},
    {"%x: f32[2,3] = transpose %g permutation=[1,0]", "not have the permuted size"},
    {"%x: f32[2] = slice %f start=[3] limit=[5] stride=[1]", "sliced out of bounds"},
    {"%x: f32[2] = slice %f start=[-1] limit=[1] stride=[1]", "sliced out of bounds"},
    {"%x: f32[2] = slice %f start=[0] limit=[4] stride=[0]", "sliced out of bounds"},
    {"%x: f32[3] = slice %f start=[0] limit=[4] stride=[2]", "must have size 2"},
    {"%x: f32[4] = slice %f", "need the operand's rank"},
    {"%x: f32[5] = dynamic_slice %f, %i sizes=[5]", "size of dimension 0 out of range"},
    {"%x: f32[2] = dynamic_slice %f, %i, %i sizes=[2]", "2 starts for rank 1"},
    {"%x: f32[1,1] = dynamic_slice %g, %i, %k sizes=[1,1]", "the starts differ in type"},
    {"%x: f32[2] = dynamic_slice %f, %s sizes=[2]", "is not an integer scalar"},
    {"%x: f32[4] = dynamic_update_slice %f, %g, %i", "differ in element type or rank"},
    {"%x: f32[2,3] = dynamic_update_slice %g, %h, %i, %i", "the update is larger"},
    {"%x: f32[4] = dynamic_update_slice %f, %f", "0 starts for rank 1"},
    /* gather and scatter */
    {"%x: f32[5,3] = gather %g, %ix offset_dims=[1] collapsed_slice_dims=[0] "
     "start_index_map=[0,1] index_vector_dim=1 slice_sizes=[1,3]",
     "2 dimensions are indexed"},
    {"%x: f32[5,3] = gather %g, %ix offset_dims=[1] collapsed_slice_dims=[2] "
     "start_index_map=[0] index_vector_dim=1 slice_sizes=[1,3]",
     "collapsed (inserted)"},
    {"%x: f32[5,3] = gather %g, %ix offset_dims=[2] collapsed_slice_dims=[0] "
     "start_index_map=[0] index_vector_dim=1 slice_sizes=[1,3]",
     "offset_dims must be sorted"},
    {"%x: f32[5,3] = gather %g, %ix offset_dims=[1] start_index_map=[0] index_vector_dim=1 "
     "slice_sizes=[1,3]",
     "must cover the operand"},
    {"%x: f32[5,3] = gather %g, %ix offset_dims=[1] collapsed_slice_dims=[0] "
     "start_index_map=[2] index_vector_dim=1 slice_sizes=[1,3]",
     "indexed dimensions"},
    {"%x: f32[5,3] = gather %g, %ix offset_dims=[1] collapsed_slice_dims=[0] "
     "start_index_map=[0] index_vector_dim=3 slice_sizes=[1,3]",
     "index_vector_dim out of range"},
    {"%x: f32[5,3] = gather %g, %ix offset_dims=[1] collapsed_slice_dims=[0] "
     "start_index_map=[0] index_vector_dim=1 slice_sizes=[2,3]",
     "slice size of dimension 0"},
    {"%x: f32[5,3] = gather %g, %ix offset_dims=[1] collapsed_slice_dims=[0] "
     "start_index_map=[0] index_vector_dim=1 slice_sizes=[1,4]",
     "slice size of dimension 1"},
    {"%x: f32[5,3] = gather %g, %ix offset_dims=[1] collapsed_slice_dims=[0] "
     "start_index_map=[0] index_vector_dim=1 slice_sizes=[1,2]",
     "has not the slice's size"},
    {"%x: f32[6,3] = gather %g, %ix offset_dims=[1] collapsed_slice_dims=[0] "
     "start_index_map=[0] index_vector_dim=1 slice_sizes=[1,3]",
     "batch dimensions"},
    {"%x: f32[5,3] = gather %g, %ix offset_dims=[1] collapsed_slice_dims=[0] "
     "start_index_map=[0] index_vector_dim=1 slice_sizes=[0,3]",
     "an empty slice"},
    {"%x: f32[5,3] = gather %g, %ix offset_dims=[1] operand_batching_dims=[0] "
     "start_indices_batching_dims=[1] start_index_map=[1] index_vector_dim=1 slice_sizes=[1,3]",
     "batching dimensions of the indices"},
    {"%x: f32[5,3] = gather %g, %ix offset_dims=[1] operand_batching_dims=[0] "
     "start_indices_batching_dims=[0] start_index_map=[1] index_vector_dim=1 slice_sizes=[1,3]",
     "batching dimension 0 differs in size"},
    {"%x: f32[1,3] = gather %g, %f offset_dims=[1] collapsed_slice_dims=[0] "
     "start_index_map=[0] index_vector_dim=1 slice_sizes=[1,3]",
     "the indices are not integers"},
    {"%x: f32[4] = scatter %f, %ix, %f inserted_window_dims=[0] "
     "scatter_dims_to_operand_dims=[0] index_vector_dim=1 " ADD("f32[]"),
     "scatter dimensions"},
    {"%x: f32[4] = scatter %f, %ix " ADD("f32[]"), "as many inputs as updates"},
    {"%x: f32[4] = scatter %f, %ix, %n inserted_window_dims=[0] "
     "scatter_dims_to_operand_dims=[0] index_vector_dim=1 " ADD("f32[]"),
     "update 0 differs"},
    {"%x: f32[4] = scatter %f, %ix, %g update_window_dims=[1,0] "
     "scatter_dims_to_operand_dims=[0] index_vector_dim=1 " ADD("f32[]"),
     "update_window_dims"},
    {"%y: f32[5] = broadcast_in_dim %s %x: f32[4] = scatter %f, %ix, %y inserted_window_dims=[0] "
     "scatter_dims_to_operand_dims=[0] index_vector_dim=1 " ADD("f64[]"),
     "argument 0 of region 0"},
    {"%y: f32[5,7] = broadcast_in_dim %s %x: f32[4] = scatter %f, %ix, %y update_window_dims=[1] "
     "scatter_dims_to_operand_dims=[0] index_vector_dim=1 " ADD("f32[]"),
     "larger than the input"},
    /* reductions, windows, sorting */
    {"%x: f32[] = reduce %f, %s dims=[1] " ADD("f32[]"), "dims out of range"},
    {"%x: f32[4] = reduce %f, %s dims=[0] " ADD("f32[]"), "without dims"},
    {"%x: f32[] = reduce %f, %i dims=[0] " ADD("f32[]"), "init 0 is not a scalar"},
    {"%x: f32[] = reduce %f dims=[0] " ADD("f32[]"), "as many inputs as inits"},
    {"%x: f64[] = reduce %f, %s dims=[0] " ADD("f32[]"), "another element type than its input"},
    {"%x: f32[] = reduce %f, %s dims=[0] " ADD("f64[]"), "argument 0 of region 0"},
    {"%x: f32[] = reduce %f, %s dims=[0] { (%a: f32[]): return %a }", "1 arguments instead of 2"},
    {"%x: f32[], %y: f32[] = reduce %f, %g, %s, %s dims=[0] " ADD("f32[]"), "input 1 has another"},
    {"%x: f32[3] = reduce_window %f, %s window=[0] strides=[1] base_dilations=[1] "
     "window_dilations=[1] padding=[0,0] " ADD("f32[]"),
     "a positive entry per dimension"},
    {"%x: f32[3] = reduce_window %f, %s window=[2] strides=[1] base_dilations=[1] "
     "window_dilations=[1] padding=[0] " ADD("f32[]"),
     "padding needs two entries"},
    {"%x: f32[4] = reduce_window %f, %s window=[2] strides=[1] base_dilations=[1] "
     "window_dilations=[1] padding=[0,0] " ADD("f32[]"),
     "as many elements as windows"},
    {"%x: f32[4] = reduce_window %f, %s window=[2] strides=[1] "
     "base_dilations=[9223372036854775807] window_dilations=[1] padding=[0,0] " ADD("f32[]"),
     "as many elements as windows"},
    {"%x: f32[4] = select_and_scatter %f, %f, %s window=[2] strides=[2] padding=[0,0] "
     "{ (%a: f32[], %b: f32[]): %r: pred[] = compare %a, %b return %r }, " ADD("f32[]"),
     "as many elements as windows"},
    {"%y: f32[2] = broadcast_in_dim %s %x: f32[4] = select_and_scatter %f, %y, %s window=[2] "
     "strides=[2] padding=[0,0] " ADD("f32[]") ", " ADD("f32[]"),
     "select does not return a pred"},
    {"%x: f32[4] = select_and_scatter %f, %n, %s window=[2] strides=[2] padding=[0,0] " ADD(
         "f32[]") ", " ADD("f32[]"),
     "another element type than the operand"},
    {"%x: f32[4] = sort %f dim=1 { (%a: f32[], %b: f32[]): %r: pred[] = compare %a, %b return %r }",
     "dim out of range"},
    {"%x: f32[4] = sort %f " ADD("f32[]"), "does not return a pred"},
    {"%x: f32[4], %y: f32[2,3] = sort %f, %g " ADD("f32[]"), "or the shapes do"},
    {"%x: f32[4], %y: s32[4] = sort %f, %n { (%a: f32[], %b: s32[], %c: f32[], %d: s32[]): "
     "%r: pred[] = compare %a, %c return %r }",
     "argument 1 of the region"},
    {"%x: f32[5], %y: s32[5] = top_k %f k=5", "k is not in the range"},
    {"%x: f32[2], %y: s64[2] = top_k %f k=2", "s32 indices"},
    {"%x: f32[3], %y: s32[3] = top_k %f k=2", "k as the last dimension"},
    /* products and transforms */
    {"%x: f32[2,5] = dot_general %g, %h lhs_contract=[1] rhs_contract=[1]", "differs in size"},
    {"%x: f32[2,4] = dot_general %g, %h lhs_contract=[1] rhs_contract=[0]", "result's shape"},
    {"%x: f32[2,5] = dot_general %g, %h lhs_contract=[2] rhs_contract=[0]", "out of range"},
    {"%x: f32[2,5] = dot_general %g, %h lhs_contract=[1]", "differ in length"},
    {"%x: f32[4] = dot_general %f, %n lhs_batch=[0] rhs_batch=[0]", "can't be multiplied"},
    {"%x: c64[4] = dot_general %f, %f lhs_batch=[0] rhs_batch=[0]", "can't be multiplied"},
    {"%x: f32[4] = dot_general %f, %f lhs_batch=[0] rhs_batch=[0] accumulation=\"f32\"",
     "the algorithm is incomplete"},
#define CONV(output, strides, padding, in, out, groups)                                     \
  "%x: " output " = convolution %im, %ke strides=" strides " padding=" padding              \
  " lhs_dilation=[1,1] rhs_dilation=[1,1] reversal=[0,0] input_feature=3 input_spatial=" in \
  " kernel_input_feature=2 kernel_output_feature=3 kernel_spatial=[0,1] output_feature=3"   \
  " output_spatial=" out " feature_groups=" groups " batch_groups=1"
    {CONV("f32[2,6,6,4]", "[1,1]", "[0,0,0,1]", "[1,2]", "[1,2]", "1"), "spatial dimension 1"},
    {CONV("f32[2,6,6,4]", "[0,1]", "[0,0,0,0]", "[1,2]", "[1,2]", "1"), "one is out of range"},
    {CONV("f32[2,6,6,4]", "[1,1]", "[0,0,0,0]", "[1,1]", "[1,2]", "1"), "dimension numbers"},
    {CONV("f32[2,6,6,4]", "[1,1]", "[0,0,0,0]", "[1,2]", "[1,3]", "1"), "dimension numbers"},
    {CONV("f32[2,6,6,4]", "[1,1]", "[0,0,0,0]", "[1,2]", "[1,2]", "0"), "group counts"},
    {CONV("f32[2,6,6,4]", "[1,1]", "[0,0,0,0]", "[1,2]", "[1,2]", "2"), "does not divide"},
    {CONV("f32[1,6,6,4]", "[1,1]", "[0,0,0,0]", "[1,2]", "[1,2]", "1"), "result's batch"},
    {CONV("f32[2,6,4]", "[1,1]", "[0,0,0,0]", "[1,2]", "[1,2]", "1"), "one rank of at least 2"},
    {"%x: c64[4] = fft %c length=[5]", "length is not that"},
    {"%x: c64[4] = fft %f kind=RFFT length=[4]", "wrong size"},
    {"%x: f32[4] = fft %c length=[4]", "element types"},
    {"%x: c64[4] = fft %c", "1 to 3 of the operand's dimensions"},
    {"%x: f32[2,3] = cholesky %g", "square matrices"},
    {"%x: f32[2,4,4] = triangular_solve %m, %m", "transpose_a is not given"},
    {"%x: f32[3,5] = triangular_solve %g, %h transpose_a=NO_TRANSPOSE left_side=true",
     "the shapes of a and b don't fit"},
    {"%x: u64[2], %y: u32[3] = rng_bit_generator %f", "not defined for element type f32"},
    {"%z: u64[4] = concatenate %u, %u %x: u64[4], %y: u32[3] = rng_bit_generator %z",
     "not of this algorithm's size"},
    {"%x: u64[2], %y: pred[3] = rng_bit_generator %u", "neither integers nor floating point"},
    {"%x: f32[3] = rng %s, %s", "no such distribution"},
    {"%x: s32[3] = rng %i, %i distribution=NORMAL", "no such distribution"},
    {"%x: f32[3] = rng %s, %f distribution=UNIFORM", "operand 1 is not a scalar"},
    /* control */
    {"%x: s32[] = while %i { (%i: s32[]): return %i }, { (%i: s32[]): return %i }",
     "the condition does not return a pred"},
    {"%x: s64[] = while %i { (%i: s32[]): %p: pred[] = compare %i, %i return %p }, "
     "{ (%i: s32[]): return %i }",
     "carry 0 has not one type"},
    {"%x: s32[] = while %i { (%i: s32[]): %p: pred[] = compare %i, %i return %p }, "
     "{ (%i: s32[]): return }",
     "region 1 returns 0 values instead of 1"},
    {"%x: s32[] = while %i | %s { (%i: s32[], %s: f32[]): %p: pred[] = compare %i, %i return %p }, "
     "{ (%i: s32[], %s: f64[]): return %i }",
     "capture 0 has another type than region 1's"},
    {"%x: s32[] = while %i | %s { (): %p: pred[] = constant value=true return %p }, "
     "{ (): return }",
     "0 arguments for 1 captures"},
    {"%x: s32[] = case<0> %i", "no branch"},
    {"%x: s32[] = case<1> %k | %i { (%i: s32[]): return %i }", "neither an s32 nor a pred"},
    {"%x: s32[] = case<1> %q | %i { (%i: s32[]): return %i }", "1 branches for a pred"},
    {"%x: f32[] = case<1> %i | %i { (%i: s32[]): return %i }", "result 0 of branch 0"},
    {"%x: f32[] = case<1> %i | %s { (%i: s32[], %s: f32[]): return %s }",
     "1 arguments instead of 0"},
    {"%x: f32[] = optimization_barrier %f", "operand 0 and its result differ"},
    {"%x: f32[4], %y: f32[4] = optimization_barrier %f", "as many operands as results"},
    {"%x: f32[4] = fusion %f { (): return }", "0 arguments instead of 1"},
    {"%x: f32[4] = fusion %f { (%a: f64[4]): return %a }", "operand 0 and its argument differ"},
    {"%x: f32[5] = fusion %f { (%a: f32[4]): return %a }", "result 0 differs in type"},
    {"%x: f32[4] = fusion %f | %s { (%a: f32[4], %b: f32[]): return %a }", "none is a capture"},

    {"%x: f32[4] = sliced %f | %s parts=[2] dims=[0,0] { (%a: f32[2], %b: f32[]): return %a }",
     "none is a capture"},
    {"%x: f32[4] = sliced %f parts=[0] dims=[0,0] { (%a: f32[2]): return %a }",
     "parts are no list"},
    {"%x: f32[4] = sliced %f parts=[2] dims=[0] { (%a: f32[2]): return %a }", "too few dimensions"},
    {"%x: f32[4] = sliced %f parts=[2,1] dims=[0,0,0,-1] { (%a: f32[2]): return %a }",
     "dims of operand or result 0 are not its own"},
    {"%x: f32[4] = sliced %f parts=[2] dims=[0,-1] { (%a: f32[2]): return %a }",
     "dims of operand or result 1 are not its own"},
    {"%x: f32[4] = sliced %f parts=[4] dims=[0,0] { (%a: f32[2]): return %a }",
     "slice of operand or result 0 has another type"},
    {"%x: f32[] = after_all %t", "the result is no token"},
    {"%x: token[] = after_all %t, %f", "operand 1 is no token"},
    {"%x: f32[] = custom_call %f", "no target"},
    /* several participants */
    {"%x: f32[8] = all_gather %f", "don't fit this exchange"},
    {"%x: f32[4] = all_gather %f replica_groups=[1] group_size=1", "participant 1 of 1"},
    {"%x: f32[4] = all_gather %f dim=1", "don't fit this exchange"},
    {"%x: f32[4] = all_gather %f replica_groups=[0] group_size=2", "group_size does not divide"},
    {"%x: f32[4] = all_reduce %f " ADD("f64[]"), "argument 0 of region 0"},
    {"%x: f32[4] = all_to_all %f split_count=2", "split_count is not the number"},
    {"%x: f32[4] = reduce_scatter %f dim=-1 " ADD("f32[]"), "dim out of range"},
    {"%x: f32[4] = collective_permute %f source_target_pairs=[0]", "a source without a target"},
    {"%x: f32[4] = unreduce %f", "not in exactly one group"},
    {"%x: f32[4] = unreduce %f replica_groups=[0,0] group_size=2", "not in exactly one group"},
    {"%x: s32[] = partition_id", "the result is not a u32"},
    {"%x: f32[4] = sharding_constraint %f parts=[1,1,2]", "1 devices don't have"},
    {"%x: f32[4] = sharding_constraint %f parts=[0,0]", "more dimensions than its array"},
    {"%x: f32[4] = sharding_constraint %f open=[1]", "out of range"},
    {"%x: f32[2] = full_to_shard %f", "another type than the sharding says"},
    {"%x: f32[8] = shard_to_full %f", "another type than the sharding says"},
};

static const char *const acceptances[] = {
    "%x: u8[4,4] = bitcast_convert %f",
    "%y: u8[4] = bitcast_convert %p",
    "%x: f32[4] = broadcast_in_dim %s",
    "%x: f32[0] = concatenate %e",
    "%x: f32[2] = pad %f, %s low=[-1] high=[-1] interior=[0]",
    "%x: f32[5,3] = gather %g, %ix offset_dims=[1] collapsed_slice_dims=[0] start_index_map=[0] "
    "index_vector_dim=1 slice_sizes=[1,3]",
    "%y: f32[5] = broadcast_in_dim %s %x: f32[4] = scatter %f, %ix, %y inserted_window_dims=[0] "
    "scatter_dims_to_operand_dims=[0] index_vector_dim=1 " ADD("f32[]"),
    "%x: f32[0] = reduce_window %e, %s window=[2] strides=[1] base_dilations=[1] "
    "window_dilations=[1] padding=[0,0] " ADD("f32[]"),
    "%y: f32[2] = broadcast_in_dim %s %x: f32[4] = select_and_scatter %f, %y, %s window=[2] "
    "strides=[2] padding=[0,0] { (%a: f32[], %b: f32[]): %r: pred[] = compare %a, %b return %r "
    "}, " ADD("f32[]"),
    "%x: f64[2,5] = dot_general %g, %h lhs_contract=[1] rhs_contract=[0]",
    CONV("f32[2,6,6,4]", "[1,1]", "[0,0,0,0]", "[1,2]", "[1,2]", "1"),
    "%x: c64[3] = fft %f kind=RFFT length=[4]",
    "%x: f32[2,4,4] = triangular_solve %m, %m transpose_a=ADJOINT",
    "%x: f32[4] = all_reduce %f " ADD("f32[]"),
    "%x: f32[4], %y: token[] = optimization_barrier %f, %t",
    "%x: f32[4] = fusion %f { (%a: f32[4]): return %a }",
    "%x: f32[4] = sliced %f parts=[2] dims=[0,0] { (%a: f32[2]): return %a }",
    "%x: token[] = case<1> %i | %t { (%t: token[]): return %t }",
};

#endif
