"""Rows of families that reach neural processors, and the same families on other classes."""

from dataclasses import replace

from harness.devices.row import Option, ProviderRow, Registration, Simulation

FLAG = ("0", "1")

QNN = ProviderRow(
    key="qnn",
    kind="npu",
    provider="QNNExecutionProvider",
    wheel="onnxruntime-qnn",
    install="pip install 'ondevice-bench[qnn]'",
    systems=("linux", "win32"),
    registration=Registration.PLUGIN,
    module="onnxruntime_qnn",
    defaults=(("backend_type", "htp"), ("offload_graph_io_quantization", "0")),
    options=(
        Option("backend_path"),
        Option("soc_model"),
        Option("htp_arch"),
        Option("vtcm_mb"),
        Option(
            "htp_performance_mode",
            (
                *("burst", "balanced", "default", "high_performance", "high_power_saver"),
                *("low_balanced", "low_power_saver", "power_saver", "extreme_power_saver"),
                "sustained_high_performance",
            ),
        ),
        Option("htp_graph_finalization_optimization_mode", ("0", "1", "2", "3")),
        Option("enable_htp_fp16_precision", FLAG),
        Option("offload_graph_io_quantization", FLAG),
        Option("qnn_context_priority", ("low", "normal", "normal_high", "high")),
    ),
    needs_static=True,
    needs_qdq=True,
    contributed=False,
    context=True,
    simulation=Simulation(
        what="x86 emulation of the HTP",
        setup="Linux or Windows on x86-64; the wheel carries it",
        # Graphs with a Gather are refused without a chip: Snapdragon X Elite's number
        options=(("soc_model", "60"),),
    ),
)
QNN_GPU = replace(
    QNN,
    key="qnn-gpu",
    kind="gpu",
    defaults=(("backend_type", "gpu"),),
    options=(Option("backend_path"),),
    needs_qdq=False,
    context=False,
    simulation=None,
)
OPENVINO_NPU = ProviderRow(
    key="openvino-npu",
    kind="npu",
    provider="OpenVINOExecutionProvider",
    wheel="onnxruntime-ep-openvino",
    install="pip install 'ondevice-bench[openvino]'",
    systems=("linux", "win32"),
    registration=Registration.PLUGIN,
    module="onnxruntime_ep_openvino",
    metadata=(("ov_device", "NPU"),),
    options=(Option("load_config"), Option("cache_dir"), Option("num_of_threads")),
    needs_static=True,
    needs_qdq=True,
    contributed=False,
)
OPENVINO_GPU = replace(
    OPENVINO_NPU,
    key="openvino-gpu",
    kind="gpu",
    metadata=(("ov_device", "GPU"),),
    needs_static=False,
    needs_qdq=False,
)
OPENVINO_CPU = replace(
    OPENVINO_GPU, key="openvino-cpu", kind="cpu", metadata=(("ov_device", "CPU"),)
)
# The older wheel has a runtime of its own, 1.24, in place of the usual one, and no plugin.
OPENVINO_LEGACY = ProviderRow(
    key="openvino-legacy",
    kind="cpu",
    provider="OpenVINOExecutionProvider",
    wheel="onnxruntime-openvino",
    install="pip uninstall -y onnxruntime && pip install --no-deps 'onnxruntime-openvino>=1.24'",
    systems=("linux", "win32"),
    defaults=(("device_type", "CPU"),),
    options=(
        *(Option("device_type"), Option("load_config"), Option("cache_dir")),
        *(Option("precision", ("FP32", "FP16", "ACCURACY")), Option("num_of_threads")),
    ),
    needs_static=True,  # of fused graphs it leaves the attention to others
    contributed=False,
)
VITISAI = ProviderRow(
    key="vitisai",
    kind="npu",
    provider="VitisAIExecutionProvider",
    wheel="onnxruntime-vitisai",
    install="install AMD's Ryzen AI Software and use the Python environment that it makes",
    systems=("linux", "win32"),
    options=(
        *(Option("config_file"), Option("xclbin"), Option("cache_dir"), Option("cache_key")),
        Option("target"),
    ),
    needs_static=True,
    needs_qdq=True,
    contributed=False,
)
COREML_NPU = ProviderRow(
    key="coreml-npu",
    kind="npu",
    provider="CoreMLExecutionProvider",
    wheel="onnxruntime",
    install="pip install onnxruntime",
    systems=("darwin",),
    defaults=(("ModelFormat", "MLProgram"), ("MLComputeUnits", "CPUAndNeuralEngine")),
    options=(
        Option("ModelFormat", ("MLProgram", "NeuralNetwork")),
        Option("RequireStaticInputShapes", FLAG),
        Option("ModelCacheDirectory"),
        Option("SpecializationStrategy", ("Default", "FastPrediction")),
    ),
    needs_static=True,
    contributed=False,
)
COREML_GPU = replace(
    COREML_NPU,
    key="coreml-gpu",
    kind="gpu",
    defaults=(("ModelFormat", "MLProgram"), ("MLComputeUnits", "CPUAndGPU")),
)
