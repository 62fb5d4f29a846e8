// Programs that JAX does not emit: old spellings, ops for dynamic shapes, tuples, odd constants.

// ----- einsum 1.15.0
func.func public @main(%a: tensor<4x2x3xf32>, %b: tensor<4x3x5xf32>) -> tensor<5x4x2xf32> {
  %0 = "stablehlo.einsum"(%a, %b) {einsum_config = "bik,bkj->jbi"} : (tensor<4x2x3xf32>, tensor<4x3x5xf32>) -> tensor<5x4x2xf32>
  return %0 : tensor<5x4x2xf32>
}
// ----- unary_einsum 1.15.0
func.func public @main(%a: tensor<2x3x4xf32>) -> tensor<4x2xf32> {
  %0 = "stablehlo.unary_einsum"(%a) {einsum_config = "ijk->ki"} : (tensor<2x3x4xf32>) -> tensor<4x2xf32>
  return %0 : tensor<4x2xf32>
}
// ----- dot 1.15.0
func.func public @main(%a: tensor<2x3xf32>, %b: tensor<3x4xf32>, %v: tensor<3xf32>) -> (tensor<2x4xf32>, tensor<2xf32>, tensor<f32>) {
  %0 = stablehlo.dot %a, %b, precision = [HIGHEST, HIGH] : (tensor<2x3xf32>, tensor<3x4xf32>) -> tensor<2x4xf32>
  %1 = stablehlo.dot %a, %v : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2xf32>
  %2 = stablehlo.dot %v, %v : (tensor<3xf32>, tensor<3xf32>) -> tensor<f32>
  return %0, %1, %2 : tensor<2x4xf32>, tensor<2xf32>, tensor<f32>
}
// ----- broadcast 1.15.0
func.func public @main(%a: tensor<3xf32>) -> tensor<2x4x3xf32> {
  %0 = stablehlo.broadcast %a, sizes = [2, 4] : (tensor<3xf32>) -> tensor<2x4x3xf32>
  return %0 : tensor<2x4x3xf32>
}
// ----- torch_index_select 1.15.0
func.func public @main(%a: tensor<5x7x6xf32>, %i: tensor<5x2xi32>, %j: tensor<2x3xi32>) -> (tensor<5x7x2xf32>, tensor<5x2x3x6xf32>) {
  %0 = "stablehlo.torch_index_select"(%a, %i) {dim = 2 : i64, batch_dims = 1 : i64} : (tensor<5x7x6xf32>, tensor<5x2xi32>) -> tensor<5x7x2xf32>
  %1 = "stablehlo.torch_index_select"(%a, %j) {dim = 1 : i64, batch_dims = 0 : i64} : (tensor<5x7x6xf32>, tensor<2x3xi32>) -> tensor<5x2x3x6xf32>
  return %0, %1 : tensor<5x7x2xf32>, tensor<5x2x3x6xf32>
}
// ----- batch_norm 1.15.0
func.func public @main(%x: tensor<4x3xf32>, %s: tensor<3xf32>, %o: tensor<3xf32>, %m: tensor<3xf32>, %v: tensor<3xf32>, %g: tensor<4x3xf32>) -> (tensor<4x3xf32>, tensor<4x3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<4x3xf32>, tensor<3xf32>, tensor<3xf32>) {
  %0 = "stablehlo.batch_norm_inference"(%x, %s, %o, %m, %v) {epsilon = 0.5 : f32, feature_index = 1 : i64} : (tensor<4x3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>) -> tensor<4x3xf32>
  %1:3 = "stablehlo.batch_norm_training"(%x, %s, %o) {epsilon = 0.5 : f32, feature_index = 1 : i64} : (tensor<4x3xf32>, tensor<3xf32>, tensor<3xf32>) -> (tensor<4x3xf32>, tensor<3xf32>, tensor<3xf32>)
  %2:3 = "stablehlo.batch_norm_grad"(%x, %s, %m, %v, %g) {epsilon = 0.5 : f32, feature_index = 1 : i64} : (tensor<4x3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<4x3xf32>) -> (tensor<4x3xf32>, tensor<3xf32>, tensor<3xf32>)
  return %0, %1#0, %1#1, %1#2, %2#0, %2#1, %2#2 : tensor<4x3xf32>, tensor<4x3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<4x3xf32>, tensor<3xf32>, tensor<3xf32>
}
// ----- batch_norm_f64 1.15.0
func.func public @main(%x: tensor<4x3x2xf64>, %s: tensor<3xf64>, %o: tensor<3xf64>) -> tensor<4x3x2xf64> {
  %1:3 = "stablehlo.batch_norm_training"(%x, %s, %o) {epsilon = 0.5 : f32, feature_index = 1 : i64} : (tensor<4x3x2xf64>, tensor<3xf64>, tensor<3xf64>) -> (tensor<4x3x2xf64>, tensor<3xf64>, tensor<3xf64>)
  return %1#0 : tensor<4x3x2xf64>
}
// ----- map 1.15.0
func.func public @main(%x: tensor<4xf32>, %y: tensor<4xf32>) -> tensor<4xf32> {
  %0 = "stablehlo.map"(%x, %y) ({
  ^bb0(%a: tensor<f32>, %b: tensor<f32>):
    %1 = stablehlo.multiply %a, %b : tensor<f32>
    stablehlo.return %1 : tensor<f32>
  }) {dimensions = array<i64: 0>} : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}
// ----- if 1.15.0
func.func public @main(%p: tensor<i1>, %x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = "stablehlo.if"(%p) ({
    stablehlo.return %x : tensor<4xf32>
  }, {
    %1 = stablehlo.negate %x : tensor<4xf32>
    stablehlo.return %1 : tensor<4xf32>
  }) : (tensor<i1>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}
// ----- tuple 1.15.0
func.func public @main(%x: tensor<4xf32>, %y: tensor<i32>) -> (tensor<i32>, tensor<4xf32>) {
  %0 = stablehlo.tuple %x, %y : tuple<tensor<4xf32>, tensor<i32>>
  %1 = stablehlo.tuple %0, %y : tuple<tuple<tensor<4xf32>, tensor<i32>>, tensor<i32>>
  %2 = func.call @f(%1) : (tuple<tuple<tensor<4xf32>, tensor<i32>>, tensor<i32>>) -> tuple<tensor<4xf32>, tensor<i32>>
  %3 = stablehlo.get_tuple_element %2[0] : (tuple<tensor<4xf32>, tensor<i32>>) -> tensor<4xf32>
  %4 = stablehlo.get_tuple_element %2[1] : (tuple<tensor<4xf32>, tensor<i32>>) -> tensor<i32>
  return %4, %3 : tensor<i32>, tensor<4xf32>
}
func.func private @f(%x: tuple<tuple<tensor<4xf32>, tensor<i32>>, tensor<i32>>) -> tuple<tensor<4xf32>, tensor<i32>> {
  %0 = stablehlo.get_tuple_element %x[0] : (tuple<tuple<tensor<4xf32>, tensor<i32>>, tensor<i32>>) -> tuple<tensor<4xf32>, tensor<i32>>
  return %0 : tuple<tensor<4xf32>, tensor<i32>>
}
// ----- dynamic 1.15.0
func.func public @main(%x: tensor<4x6xf32>, %z: tensor<f32>) -> (tensor<2x3xf32>, tensor<7x6xf32>, tensor<6x4xf32>, tensor<2x4x6xf32>, tensor<3x4xi32>, tensor<i32>, tensor<4x6xf32>) {
  %lo = stablehlo.constant dense<[1, 0]> : tensor<2xi64>
  %hi = stablehlo.constant dense<[3, 6]> : tensor<2xi64>
  %st = stablehlo.constant dense<[1, 2]> : tensor<2xi64>
  %zero = stablehlo.constant dense<0> : tensor<2xi64>
  %s0 = stablehlo.constant dense<[6, 4]> : tensor<2xi32>
  %s1 = stablehlo.constant dense<[2, 4, 6]> : tensor<3xi32>
  %s2 = stablehlo.constant dense<[3, 4]> : tensor<2xi32>
  %four = stablehlo.constant dense<4> : tensor<i32>
  %pl = stablehlo.constant dense<[2, 0]> : tensor<2xi64>
  %ph = stablehlo.constant dense<[1, 0]> : tensor<2xi64>
  %0 = stablehlo.real_dynamic_slice %x, %lo, %hi, %st : (tensor<4x6xf32>, tensor<2xi64>, tensor<2xi64>, tensor<2xi64>) -> tensor<2x3xf32>
  %1 = stablehlo.dynamic_pad %x, %z, %pl, %ph, %zero : (tensor<4x6xf32>, tensor<f32>, tensor<2xi64>, tensor<2xi64>, tensor<2xi64>) -> tensor<7x6xf32>
  %2 = stablehlo.dynamic_reshape %x, %s0 : (tensor<4x6xf32>, tensor<2xi32>) -> tensor<6x4xf32>
  %3 = stablehlo.dynamic_broadcast_in_dim %x, %s1, dims = [1, 2] : (tensor<4x6xf32>, tensor<3xi32>) -> tensor<2x4x6xf32>
  %4 = stablehlo.dynamic_iota %s2, dim = 1 : (tensor<2xi32>) -> tensor<3x4xi32>
  %5 = stablehlo.get_dimension_size %x, dim = 1 : (tensor<4x6xf32>) -> tensor<i32>
  %6 = stablehlo.set_dimension_size %x, %four, dim = 0 : (tensor<4x6xf32>, tensor<i32>) -> tensor<4x6xf32>
  return %0, %1, %2, %3, %4, %5, %6 : tensor<2x3xf32>, tensor<7x6xf32>, tensor<6x4xf32>, tensor<2x4x6xf32>, tensor<3x4xi32>, tensor<i32>, tensor<4x6xf32>
}
// ----- dynamic_gather 1.15.0
func.func public @main(%x: tensor<4x6xf32>, %i: tensor<3x1xi32>, %k: tensor<1x1x3x3xf32>, %a: tensor<1x1x8x8xf32>) -> (tensor<3x6xf32>, tensor<1x1x8x8xf32>) {
  %s = stablehlo.constant dense<[1, 6]> : tensor<2xi32>
  %p = stablehlo.constant dense<1> : tensor<2x2xi32>
  %0 = "stablehlo.dynamic_gather"(%x, %i, %s) {dimension_numbers = #stablehlo.gather<offset_dims = [1], collapsed_slice_dims = [0], start_index_map = [0], index_vector_dim = 1>, indices_are_sorted = true} : (tensor<4x6xf32>, tensor<3x1xi32>, tensor<2xi32>) -> tensor<3x6xf32>
  %1 = "stablehlo.dynamic_conv"(%a, %k, %p) {batch_group_count = 1 : i64, feature_group_count = 1 : i64, dimension_numbers = #stablehlo.conv<[b, f, 0, 1]x[o, i, 0, 1]->[b, f, 0, 1]>} : (tensor<1x1x8x8xf32>, tensor<1x1x3x3xf32>, tensor<2x2xi32>) -> tensor<1x1x8x8xf32>
  return %0, %1 : tensor<3x6xf32>, tensor<1x1x8x8xf32>
}
// ----- cross_replica_sum 1.15.0
module attributes {mhlo.num_replicas = 2 : i32} {
func.func public @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = "stablehlo.cross-replica-sum"(%x) {replica_groups = dense<[[0, 1]]> : tensor<1x2xi64>} : (tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}
}
// ----- one_device 1.15.0
func.func public @main(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<ui32>, tensor<ui32>, tensor<4xf32>) {
  %0 = "stablehlo.cross-replica-sum"(%x) {replica_groups = dense<0> : tensor<1x1xi64>} : (tensor<4xf32>) -> tensor<4xf32>
  %1 = "stablehlo.all_reduce"(%0) ({
  ^bb0(%a: tensor<f32>, %b: tensor<f32>):
    %9 = stablehlo.add %a, %b : tensor<f32>
    stablehlo.return %9 : tensor<f32>
  }) {replica_groups = dense<0> : tensor<1x1xi64>} : (tensor<4xf32>) -> tensor<4xf32>
  %2 = "stablehlo.collective_permute"(%x) {source_target_pairs = dense<0> : tensor<1x2xi64>} : (tensor<4xf32>) -> tensor<4xf32>
  %3 = "stablehlo.collective_permute"(%x) {source_target_pairs = dense<> : tensor<0x2xi64>} : (tensor<4xf32>) -> tensor<4xf32>
  %4 = "stablehlo.all_gather"(%2) {all_gather_dim = 0 : i64, replica_groups = dense<0> : tensor<1x1xi64>} : (tensor<4xf32>) -> tensor<4xf32>
  %5 = stablehlo.partition_id : tensor<ui32>
  %6 = stablehlo.replica_id : tensor<ui32>
  %7 = stablehlo.custom_call @Sharding(%x) : (tensor<4xf32>) -> tensor<4xf32>
  return %0, %1, %3, %4, %5, %6, %7 : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<ui32>, tensor<ui32>, tensor<4xf32>
}
// ----- sdy_one_device 1.15.0
module {
sdy.mesh @mesh = <["x"=1]>
func.func public @main(%x: tensor<4xf32> {sdy.sharding = #sdy.sharding<@mesh, [{"x"}]>}) -> tensor<4xf32> {
  %0 = sdy.sharding_constraint %x <@mesh, [{}]> : tensor<4xf32>
  %1 = sdy.manual_computation(%0) in_shardings=[<@mesh, [{"x"}]>] out_shardings=[<@mesh, [{"x"}]>] manual_axes={"x"} (%a: tensor<4xf32>) {
    %2 = stablehlo.add %a, %a : tensor<4xf32>
    sdy.return %2 : tensor<4xf32>
  } : (tensor<4xf32>) -> tensor<4xf32>
  %3 = sdy.reshard %1 <@mesh, [{}]> : tensor<4xf32>
  return %3 : tensor<4xf32>
}
}
// ----- mesh_axes 1.17.0
module attributes {mhlo.num_partitions = 8 : i32} {
sdy.mesh @mesh = <["x"=2, "y"=4]>
func.func public @main(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) {
  %0 = "stablehlo.all_reduce"(%x) ({
  ^bb0(%a: tensor<f32>, %b: tensor<f32>):
    %9 = stablehlo.add %a, %b : tensor<f32>
    stablehlo.return %9 : tensor<f32>
  }) {replica_groups = #stablehlo.replica_group_mesh_axes<mesh = @mesh, axes = [#stablehlo.axis_ref<name = "x">]>, channel_handle = #stablehlo.channel_handle<handle = 1, type = 1>, use_global_device_ids} : (tensor<4xf32>) -> tensor<4xf32>
  %1 = "stablehlo.all_reduce"(%x) ({
  ^bb0(%a: tensor<f32>, %b: tensor<f32>):
    %9 = stablehlo.add %a, %b : tensor<f32>
    stablehlo.return %9 : tensor<f32>
  }) {replica_groups = #stablehlo.replica_group_mesh_axes<mesh = @mesh, axes = [#stablehlo.axis_ref<name = "y">, #stablehlo.axis_ref<name = "x">]>, channel_handle = #stablehlo.channel_handle<handle = 2, type = 1>, use_global_device_ids} : (tensor<4xf32>) -> tensor<4xf32>
  %2 = "stablehlo.all_reduce"(%x) ({
  ^bb0(%a: tensor<f32>, %b: tensor<f32>):
    %9 = stablehlo.add %a, %b : tensor<f32>
    stablehlo.return %9 : tensor<f32>
  }) {replica_groups = #stablehlo.replica_group_mesh_axes<mesh = @mesh, axes = [#stablehlo.axis_ref<name = "y", sub_axis_info = (1)2>]>, channel_handle = #stablehlo.channel_handle<handle = 3, type = 1>, use_global_device_ids} : (tensor<4xf32>) -> tensor<4xf32>
  return %0, %1, %2 : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
}
}
// ----- constants 1.15.0
func.func public @main() -> (tensor<3xi2>, tensor<3xi4>, tensor<3xui4>, tensor<2xi8>, tensor<9xi1>, tensor<8xi1>, tensor<1xi1>, tensor<20xi1>, tensor<20xi1>, tensor<2xcomplex<f64>>, tensor<2xcomplex<f32>>, tensor<2xf8E4M3FN>, tensor<2xf8E5M2FNUZ>, tensor<2xf16>, tensor<0x3xf32>, tensor<5xi4>, tensor<2xi64>, tensor<2xui64>) {
  %0 = stablehlo.constant dense<[1, -2, -1]> : tensor<3xi2>
  %1 = stablehlo.constant dense<[7, -8, -1]> : tensor<3xi4>
  %2 = stablehlo.constant dense<[7, 8, 15]> : tensor<3xui4>
  %3 = stablehlo.constant dense<[127, -128]> : tensor<2xi8>
  %4 = stablehlo.constant dense<[true, false, true, true, false, false, true, false, true]> : tensor<9xi1>
  %5 = stablehlo.constant dense<[true, true, false, true, true, true, true, true]> : tensor<8xi1>
  %6 = stablehlo.constant dense<true> : tensor<1xi1>
  %7 = stablehlo.constant dense<true> : tensor<20xi1>
  %8 = stablehlo.constant dense<false> : tensor<20xi1>
  %9 = stablehlo.constant dense<[(1.0, 2.0), (-3.0, 0.5)]> : tensor<2xcomplex<f64>>
  %10 = stablehlo.constant dense<(1.0, -2.0)> : tensor<2xcomplex<f32>>
  %11 = stablehlo.constant dense<[1.0, -0.5]> : tensor<2xf8E4M3FN>
  %12 = stablehlo.constant dense<[1.0, -0.5]> : tensor<2xf8E5M2FNUZ>
  %13 = stablehlo.constant dense<[1.0, -65504.0]> : tensor<2xf16>
  %14 = stablehlo.constant dense<> : tensor<0x3xf32>
  %15 = stablehlo.constant dense<-3> : tensor<5xi4>
  %16 = stablehlo.constant dense<[-9223372036854775808, 9223372036854775807]> : tensor<2xi64>
  %17 = stablehlo.constant dense<[18446744073709551615, 1]> : tensor<2xui64>
  return %0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17 : tensor<3xi2>, tensor<3xi4>, tensor<3xui4>, tensor<2xi8>, tensor<9xi1>, tensor<8xi1>, tensor<1xi1>, tensor<20xi1>, tensor<20xi1>, tensor<2xcomplex<f64>>, tensor<2xcomplex<f32>>, tensor<2xf8E4M3FN>, tensor<2xf8E5M2FNUZ>, tensor<2xf16>, tensor<0x3xf32>, tensor<5xi4>, tensor<2xi64>, tensor<2xui64>
}
// ----- captures 1.15.0
func.func public @main(%n: tensor<i32>, %x: tensor<4xf32>, %y: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xi32>) {
  %one = stablehlo.constant dense<1> : tensor<i32>
  %c = stablehlo.constant dense<[1, 2, 3, 4]> : tensor<4xi32>
  %0:2 = stablehlo.while(%i = %n, %a = %x) : tensor<i32>, tensor<4xf32>
  cond {
    %1 = stablehlo.compare LT, %i, %n, SIGNED : (tensor<i32>, tensor<i32>) -> tensor<i1>
    stablehlo.return %1 : tensor<i1>
  } do {
    %2 = "stablehlo.case"(%i) ({
      %3 = stablehlo.add %a, %y : tensor<4xf32>
      stablehlo.return %3 : tensor<4xf32>
    }, {
      %3 = func.call @twice(%x) : (tensor<4xf32>) -> tensor<4xf32>
      %4 = func.call @twice(%3) : (tensor<4xf32>) -> tensor<4xf32>
      stablehlo.return %4 : tensor<4xf32>
    }) : (tensor<i32>) -> tensor<4xf32>
    %5 = stablehlo.add %i, %one : tensor<i32>
    stablehlo.return %5, %2 : tensor<i32>, tensor<4xf32>
  }
  %6 = "stablehlo.case"(%n) ({
    %7 = stablehlo.add %c, %c : tensor<4xi32>
    stablehlo.return %7 : tensor<4xi32>
  }) : (tensor<i32>) -> tensor<4xi32>
  return %0#1, %6 : tensor<4xf32>, tensor<4xi32>
}
func.func private @twice(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = stablehlo.add %x, %x : tensor<4xf32>
  return %0 : tensor<4xf32>
}
// ----- rng_tokens 1.15.0
func.func public @main(%a: tensor<f32>, %b: tensor<f32>, %t: !stablehlo.token) -> (tensor<3x2xf32>, !stablehlo.token, tensor<2xf32>) {
  %s = stablehlo.constant dense<[3, 2]> : tensor<2xi64>
  %0 = stablehlo.rng %a, %b, %s, distribution = NORMAL : (tensor<f32>, tensor<f32>, tensor<2xi64>) -> tensor<3x2xf32>
  %1 = stablehlo.create_token : !stablehlo.token
  %2 = stablehlo.after_all %1, %t : !stablehlo.token
  %3 = stablehlo.composite "my.op" %b {decomposition = @impl} : (tensor<f32>) -> tensor<2xf32>
  return %0, %2, %3 : tensor<3x2xf32>, !stablehlo.token, tensor<2xf32>
}
func.func private @impl(%b: tensor<f32>) -> tensor<2xf32> {
  %0 = stablehlo.broadcast_in_dim %b, dims = [] : (tensor<f32>) -> tensor<2xf32>
  return %0 : tensor<2xf32>
}
// ----- exponential_v1 1.0.0
func.func public @main(%x: tensor<4xf32>, %y: tensor<2x4xf32>, %i: tensor<2x1xi32>) -> (tensor<4xf32>, tensor<2xf32>) {
  %0 = stablehlo.exponential %x : tensor<4xf32>
  %1 = "stablehlo.gather"(%y, %i) {dimension_numbers = #stablehlo.gather<collapsed_slice_dims = [1], operand_batching_dims = [0], start_indices_batching_dims = [0], start_index_map = [1], index_vector_dim = 1>, indices_are_sorted = false, slice_sizes = array<i64: 1, 1>} : (tensor<2x4xf32>, tensor<2x1xi32>) -> tensor<2xf32>
  return %0, %1 : tensor<4xf32>, tensor<2xf32>
}
// ----- custom_call 1.15.0
func.func public @main(%x: tensor<4x2xf32>) -> (tensor<4x2xf32>, tensor<3xf32>) {
  %0:2 = stablehlo.custom_call @foo(%x) {api_version = 4 : i32, backend_config = {a = 1 : i32, b = 2.5 : f64, c = "text", d = true, e = array<i64: 1, 2>}, has_side_effect = true, operand_layouts = [dense<[1, 0]> : tensor<2xindex>], result_layouts = [dense<[1, 0]> : tensor<2xindex>, dense<0> : tensor<1xindex>]} : (tensor<4x2xf32>) -> (tensor<4x2xf32>, tensor<3xf32>)
  stablehlo.custom_call @dce_sink(%x) {has_side_effect = true} : (tensor<4x2xf32>) -> ()
  return %0#0, %0#1 : tensor<4x2xf32>, tensor<3xf32>
}
// ----- giant_splat 1.15.0
func.func public @main(%i: tensor<i32>) -> tensor<2xf32> {
  %0 = stablehlo.constant dense<1.5> : tensor<1099511627776xf32>
  %1 = stablehlo.dynamic_slice %0, %i, sizes = [2] : (tensor<1099511627776xf32>, tensor<i32>) -> tensor<2xf32>
  return %1 : tensor<2xf32>
}
// ----- accuracy 1.15.0
func.func public @main(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>, tensor<4xi1>) {
  %0 = stablehlo.tanh %x {result_accuracy = #stablehlo.result_accuracy<mode = #stablehlo.result_accuracy_mode<HIGHEST>>} : tensor<4xf32>
  %1 = stablehlo.logistic %0 : tensor<4xf32>
  %2 = stablehlo.compare GT, %0, %1, TOTALORDER : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xi1>
  return %0, %1, %2 : tensor<4xf32>, tensor<4xf32>, tensor<4xi1>
}
