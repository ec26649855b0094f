"""The operators that a model in a file may use: they compute on tensors, numbers, lists and strings in memory.

Everything else (files, other processes, global settings, output streams, code) needs --allow-pickle. The list covers
what TorchScript and torch.export write for the image models of torchvision and timm, and the functions of torch.nn.
"""

from __future__ import annotations

import re

_ATEN = """
abs absolute acos acosh add addbmm addcdiv addcmul addmm addmv addr angle asin asinh atan atan2 atanh ceil clamp
clamp_max clamp_min clip conj copysign cos cosh cumprod cumsum deg2rad degrees diff digamma div divide divmod dot erf
erfc erfinv exp exp2 expm1 fabs fix float_power floor floor_divide floordiv fmax fmin fmod frac frexp gamma gcd hypot
inner inverse isclose isfinite isinf isnan lcm ldexp lerp lgamma log log10 log1p log2 logaddexp logcumsumexp logit
logsumexp mathremainder maximum minimum mul multiply mv nan_to_num neg negative outer polygamma positive pow rad2deg
radians real imag reciprocal remainder round rsqrt rsub sgn sigmoid sign signbit sin sinc sinh sqrt square sub
subtract tan tanh true_divide trunc xlogy view_as_complex view_as_real complex polar resolve_conj resolve_neg
bitwise_and bitwise_not bitwise_or bitwise_xor bitwise_left_shift bitwise_right_shift logical_and logical_not
logical_or logical_xor eq ne lt le gt ge equal greater greater_equal less less_equal not_equal is_nonzero
__and__ __or__ __xor__ __not__ __is__ __isnot__ __lshift__ __rshift__ __contains__ __getitem__ __iand__ __ior__
__ixor__ __range_length __derive_index __round_to_zero_floordiv __interpolate __upsample
all any amax amin aminmax argmax argmin argsort bincount bucketize count_nonzero cummax cummin histc kthvalue max mean
median min mode msort nansum nanmean norm frobenius_norm nuclear_norm prod quantile nanquantile searchsorted sort std
std_mean sum topk trace trapezoid unique_consecutive _unique _unique2 unique_dim var var_mean linalg_vector_norm
baddbmm bilinear bmm cdist chain_matmul corrcoef cosine_similarity cov cross det diag diag_embed diagflat diagonal
einsum ger kron linalg_cross linalg_det linalg_eigh linalg_inv linalg_matmul linalg_matrix_norm linalg_norm linalg_qr
linalg_solve linalg_svd linalg_pinv linalg_cholesky linear matmul matrix_exp mm pairwise_distance pdist renorm svd
tensordot tril triu vander vdot linalg_vecdot linalg_multi_dot _euclidean_dist
alias as_strided as_tensor atleast_1d atleast_2d atleast_3d block_diag broadcast_tensors broadcast_to cartesian_prod
cat channel_shuffle chunk clone col2im column_stack combinations concat concatenate constant_pad_nd contiguous copy
copy_ detach dsplit dstack expand expand_as fill fill_ fill_diagonal_ flatten flip fliplr flipud gather hsplit hstack
im2col index index_add index_copy index_fill index_put index_reduce index_select lift_fresh lift_fresh_copy
masked_fill masked_scatter masked_select meshgrid moveaxis movedim narrow narrow_copy nonzero pad pad_sequence permute
pixel_shuffle pixel_unshuffle put ravel repeat repeat_interleave reshape reshape_as roll rot90 row_stack scatter
scatter_add scatter_reduce select select_scatter slice slice_scatter split split_with_sizes squeeze stack swapaxes
swapdims t take take_along_dim tensor_split tile transpose unbind unflatten unfold unsafe_chunk unsafe_split unsqueeze
view view_as vsplit vstack where zero numpy_T mT mH adjoint _unsafe_view _reshape_alias _pad_circular _pad_enum _stack
view_copy select_copy slice_copy squeeze_copy unsqueeze_copy permute_copy expand_copy transpose_copy t_copy unfold_copy
arange empty empty_like empty_strided eye full full_like hann_window hamming_window kaiser_window blackman_window
linspace logspace new_empty new_full new_ones new_zeros one_hot ones ones_like rand rand_like randn randn_like randint
randperm scalar_tensor tensor tril_indices triu_indices zeros zeros_like bernoulli multinomial normal uniform_ normal_
broadcast_shapes empty_permuted new_empty_strided
adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d
_adaptive_avg_pool2d _adaptive_avg_pool3d affine_grid_generator alpha_dropout avg_pool1d avg_pool2d avg_pool3d
batch_norm binary_cross_entropy binary_cross_entropy_with_logits celu conv1d conv2d conv3d conv_transpose1d
conv_transpose2d conv_transpose3d conv_tbc convolution _convolution _convolution_mode cross_entropy_loss dropout elu
embedding embedding_bag feature_alpha_dropout feature_dropout fractional_max_pool2d fractional_max_pool3d gelu glu
grid_sampler grid_sampler_2d grid_sampler_3d group_norm gru gru_cell hardshrink hardsigmoid hardswish hardtanh
huber_loss instance_norm kl_div l1_loss layer_norm leaky_relu log_sigmoid log_softmax _log_softmax lstm lstm_cell
max_pool1d max_pool1d_with_indices max_pool2d max_pool2d_with_indices max_pool3d max_pool3d_with_indices max_unpool2d
max_unpool3d mish mse_loss native_batch_norm native_dropout native_group_norm native_layer_norm nll_loss nll_loss_nd
_native_batch_norm_legit _native_batch_norm_legit_no_training _native_multi_head_attention _prelu_kernel prelu
reflection_pad1d reflection_pad2d reflection_pad3d relu relu6 replication_pad1d replication_pad2d replication_pad3d
rms_norm _fused_rms_norm rnn_relu rnn_tanh rrelu scaled_dot_product_attention selu silu smooth_l1_loss softmax _softmax
_safe_softmax softplus softshrink threshold _transformer_encoder_layer_fwd upsample_bicubic2d upsample_bilinear2d
upsample_linear1d upsample_nearest1d upsample_nearest2d upsample_nearest3d upsample_trilinear3d _weight_norm
_weight_norm_interface _upsample_bicubic2d_aa _upsample_bilinear2d_aa _upsample_lanczos2d_aa _upsample_nearest_exact1d
_upsample_nearest_exact2d _upsample_nearest_exact3d _scaled_dot_product_flash_attention_for_cpu
_scaled_dot_product_attention_math _pack_padded_sequence _pad_packed_sequence _trilinear norm_except_dim
native_channel_shuffle _masked_softmax
fft_fft fft_fft2 fft_fftn fft_ifft fft_ifft2 fft_ifftn fft_rfft fft_rfft2 fft_rfftn fft_irfft fft_irfft2 fft_irfftn
fft_fftshift fft_ifftshift fft_fftfreq fft_rfftfreq _fft_c2c _fft_c2r _fft_r2c stft istft special_expit special_erf
_cast_Byte _cast_Char _cast_Double _cast_Float _cast_Half _cast_Int _cast_Long _cast_Short _to_copy _shape_as_tensor
_local_scalar_dense _set_item _assert_tensor_metadata _assert_scalar _assert_async sym_size sym_stride sym_numel
sym_storage_offset sym_constrain_range sym_constrain_range_for_size type_as to cpu cuda item result_type promote_types
can_cast device dtype layout dim size numel len stride storage_offset is_complex is_contiguous is_floating_point
is_signed is_same_size is_grad_enabled is_scripting is_leaf requires_grad_ set_grad_enabled get_device element_size
is_conj is_neg is_autocast_enabled is_autocast_cpu_enabled is_coalesced has_torch_function data
Bool Complex ComplexImplicit Delete Float FloatImplicit Int IntImplicit ScalarImplicit Size append bin capitalize
center chr clear count dict endswith expandtabs extend find format get hash hex index insert isalnum isalpha isdecimal
isdigit isidentifier islower isnumeric isprintable isspace istitle isupper items join keys list ljust lower lstrip oct
ord partition percentFormat pop popitem range remove replace reverse rfind rindex rjust rpartition rsplit rstrip
setdefault sorted warn splitlines startswith str strip swapcase title update upper values zfill __upsample_bilinear
__upsample_nearest
dequantize int_repr q_per_channel_axis q_per_channel_scales q_per_channel_zero_points q_scale q_zero_point
quantize_per_channel quantize_per_tensor quantize_per_tensor_dynamic resize quantized_batch_norm quantized_max_pool2d
fake_quantize_per_channel_affine fake_quantize_per_tensor_affine _empty_affine_quantized qscheme
"""
_PRIM = """
AutogradZero BroadcastSizes CallFunction CallMethod ChunkSizes ConstantChunk Constant CreateObject DictConstruct
EnumName EnumValue GetAttr If ListConstruct ListUnpack Loop ModuleContainerIndex NumToTensor RaiseException
ReductionSizes SetAttr StringIndex TupleConstruct TupleIndex TupleSlice TupleUnpack Uninitialized isinstance abs data
device dtype grad id index is_cpu is_cuda is_ipu is_maia is_meta is_mkldnn is_mps is_mtia is_nested is_quantized
is_sparse is_sparse_csr is_vulkan is_xla is_xpu itemsize layout max min name nbytes rangelist requires_grad tolist type
unchecked_cast unchecked_unwrap_optional Return Param shape Closure unpack
"""
_TORCHVISION = """
nms roi_align roi_pool ps_roi_align ps_roi_pool deform_conv2d qnms qroi_align box_iou_rotated
"""
_QUANTIZED = re.compile(
    r"(add|add_relu|add_scalar|add_scalar_relu|batch_norm\w*|cat|cat_relu|celu|clamp|conv[123]d\w*|conv_\w+|dropout|elu|"
    r"group_norm|hardswish|instance_norm|layer_norm|leaky_relu|linear\w*|matmul|max_pool[12]d|mul|mul_relu|mul_scalar|"
    r"mul_scalar_relu|prelu|relu6|sigmoid|softmax|threshold|embedding_\w+)"
)
_PYTHON = re.compile(
    r"_operator\.(add|sub|mul|truediv|floordiv|mod|pow|neg|pos|abs|eq|ne|lt|le|gt|ge|and_|or_|xor|not_|getitem|index|"
    r"lshift|rshift)|math\.(ceil|floor|trunc|sqrt|pow|log|log2|exp)|"
    r"torch\.sym_(int|float|max|min|not|ite|sqrt|sum|fresh_size)|torch\._sym_sqrt|"
    r"torch\.ops\.higher_order\.(wrap_with_set_grad_enabled|wrap_with_autocast|cond)"
)
_LISTED = {
    namespace: frozenset(names.split())
    for namespace, names in (("aten", _ATEN), ("prim", _PRIM), ("torchvision", _TORCHVISION))
}


def listed(namespace: str, name: str) -> bool:
    """Return whether the operator `namespace::name` only computes; in-place variants (`relu_`) count as their base."""
    if namespace == "quantized":
        return _QUANTIZED.fullmatch(name) is not None
    names = _LISTED.get(namespace, frozenset())
    return name in names or (not name.endswith("__") and name.endswith("_") and name[:-1] in names)


def listed_target(target: str) -> bool:
    """Return whether a node of a `torch.export` graph may call `target`, such as "torch.ops.aten.conv2d.default"."""
    match = re.fullmatch(r"torch\.ops\.(\w+)\.(\w+)\.(\w+)", target)
    if match and match[1] in ("aten", "torchvision") and "__" not in match[3]:
        return listed(match[1], match[2])
    return _PYTHON.fullmatch(target) is not None
