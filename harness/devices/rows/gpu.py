"""Rows of graphics processors, the provider made for the device before the one for all."""

from harness.devices.row import Completion, Option, ProviderRow, Registration, Simulation

FLAG = ("0", "1")
NVIDIA, AMD = "0x10de", "0x1002"
CUDA_WHEEL = "onnxruntime-gpu"
# The wheel owns the package `onnxruntime`, so it takes the place of the usual one.
CUDA_INSTALL = "pip uninstall -y onnxruntime && pip install 'onnxruntime-gpu[cuda,cudnn]>=1.31'"

CUDA = ProviderRow(
    key="cuda",
    kind="gpu",
    provider="CUDAExecutionProvider",
    wheel=CUDA_WHEEL,
    install=CUDA_INSTALL,
    systems=("linux", "win32"),
    options=(
        Option("device_id"),
        Option("gpu_mem_limit"),
        Option("arena_extend_strategy", ("kNextPowerOfTwo", "kSameAsRequested")),
        Option("cudnn_conv_algo_search", ("EXHAUSTIVE", "HEURISTIC", "DEFAULT")),
        Option("use_tf32", FLAG),
        Option("prefer_nhwc", FLAG),
    ),
    index_option="device_id",
    half_attention=True,  # source: the kernels that ONNX Runtime registers for it
    completion=Completion.COPY,
    vendor_id=NVIDIA,
    memory="cuda",
)
TENSORRT = ProviderRow(
    key="tensorrt",
    kind="gpu",
    provider="TensorrtExecutionProvider",
    wheel=CUDA_WHEEL,
    install=f"{CUDA_INSTALL} && pip install tensorrt-cu13",
    systems=("linux", "win32"),
    options=(
        Option("device_id"),
        Option("trt_fp16_enable", FLAG),
        Option("trt_int8_enable", FLAG),
        Option("trt_engine_cache_enable", FLAG),
        Option("trt_engine_cache_path"),
        Option("trt_max_workspace_size"),
        Option("trt_builder_optimization_level", ("0", "1", "2", "3", "4", "5")),
    ),
    index_option="device_id",
    contributed=False,
    completion=Completion.COPY,
    vendor_id=NVIDIA,
)
TENSORRT_RTX = ProviderRow(
    key="tensorrt-rtx",
    kind="gpu",
    provider="NvTensorRTRTXExecutionProvider",
    wheel="onnxruntime-ep-nv-tensorrt-rtx-cu13",
    install="pip install onnxruntime-ep-nv-tensorrt-rtx-cu13",
    systems=("linux", "win32"),
    registration=Registration.PLUGIN,
    module="onnxruntime_ep_nv_tensorrt_rtx",
    options=(Option("nv_cuda_graph_enable", FLAG), Option("nv_runtime_cache_path")),
    completion=Completion.COPY,
)
DIRECTML = ProviderRow(
    key="directml",
    kind="gpu",
    provider="DmlExecutionProvider",
    wheel="onnxruntime-directml",
    install="pip uninstall -y onnxruntime && pip install onnxruntime-directml",
    systems=("win32",),
    options=(
        Option("device_id"),
        Option("performance_preference", ("default", "high_performance")),
    ),
    index_option="device_id",
    completion=Completion.COPY,
)
MIGRAPHX = ProviderRow(
    key="migraphx",
    kind="gpu",
    provider="MIGraphXExecutionProvider",
    wheel="onnxruntime-migraphx",
    install="pip uninstall -y onnxruntime && pip install onnxruntime-migraphx"
    " (from the index of AMD's ROCm release)",
    systems=("linux",),
    options=(Option("device_id"), Option("migraphx_fp16_enable", FLAG)),
    index_option="device_id",
    completion=Completion.COPY,
    vendor_id=AMD,
)
WEBGPU = ProviderRow(
    key="webgpu",
    kind="gpu",
    provider="WebGpuExecutionProvider",
    wheel="onnxruntime-ep-webgpu",
    install="pip install 'ondevice-bench[webgpu]'",
    registration=Registration.PLUGIN,
    module="onnxruntime_ep_webgpu",
    options=(
        Option("dawnBackendType", ("Vulkan", "D3D12")),
        Option("powerPreference", ("high-performance", "low-power")),
        Option("preferredLayout", ("NCHW", "NHWC")),
        Option("enableGraphCapture", FLAG),
        Option("validationMode", ("disabled", "wgpuOnly", "basic", "full")),
        Option("storageBufferCacheMode", ("disabled", "lazyRelease", "simple", "bucket")),
        Option("uniformBufferCacheMode", ("disabled", "lazyRelease", "simple", "bucket")),
        Option("defaultBufferCacheMode", ("disabled", "lazyRelease", "simple", "bucket")),
        Option("enableInt64", FLAG),
        Option("enableRobustness", FLAG),
        Option("kvCacheQuantizationBits"),
        Option("maxStorageBufferBindingSize"),
        Option("forceCpuNodeNames"),
    ),
    completion=Completion.COPY,
    memory="webgpu",
    simulation=Simulation(
        what="software Vulkan (Mesa's lavapipe)",
        setup="install libvulkan1 and mesa-vulkan-drivers 23 or newer (.ci/software-gpu does)",
        environment=(
            ("ORT_WEBGPU_EP_ALLOW_SOFTWARE_ADAPTER", "1"),
            ("VK_ICD_FILENAMES", "/usr/share/vulkan/icd.d/lvp_icd*.json"),
        ),
    ),
)
