"""Latent diffusion on Representation Autoencoders: pictures from class labels, pictures to latents
and back, and training, natively on a CPU.

    import rae
    generator = rae.Generator.builtin()
    images = generator.sample(labels=[7], seed=1)  # uint8 (N, H, W, C)
    rae.save_png("picture.png", images)
"""

from ._rae import (
    BUILTIN_MODEL,
    AutoGuidance,
    Autoencoder,
    Cfg,
    EvaluationProgress,
    Generator,
    InternalGuidance,
    SamplingReport,
    SamplingWork,
    SdeOptions,
    StepInfo,
    TrainingProgress,
    __version__,
    builtin_models,
    evaluate,
    grid,
    num_threads,
    open_image,
    read_png_text,
    save_png,
    set_num_threads,
    system_info,
    train,
)
from .errors import (
    ArgumentError,
    Cancelled,
    ConfigError,
    Error,
    FileError,
    FormatError,
    MemoryError,
    NumericError,
    ShapeError,
)

__all__ = [
    "BUILTIN_MODEL",
    "ArgumentError",
    "AutoGuidance",
    "Autoencoder",
    "Cancelled",
    "Cfg",
    "ConfigError",
    "Error",
    "EvaluationProgress",
    "FileError",
    "FormatError",
    "Generator",
    "InternalGuidance",
    "MemoryError",
    "NumericError",
    "SamplingReport",
    "SamplingWork",
    "SdeOptions",
    "ShapeError",
    "StepInfo",
    "TrainingProgress",
    "__version__",
    "builtin_models",
    "evaluate",
    "grid",
    "num_threads",
    "open_image",
    "read_png_text",
    "save_png",
    "set_num_threads",
    "system_info",
    "train",
]
