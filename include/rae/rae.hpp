// What an application needs: the pipelines, pictures, tensors in files, and the number of threads.
// Parts of the library have headers of their own.
#pragma once

#include "rae/core/parallel.hpp"
#include "rae/formats/official/open.hpp"
#include "rae/generate/autoencoder.hpp"
#include "rae/generate/generator.hpp"
#include "rae/generate/preset.hpp"
#include "rae/generate/token_mask.hpp"
#include "rae/io/image.hpp"
#include "rae/io/safetensors.hpp"
#include "rae/kernels/gemm.hpp"
#include "rae/load/model_search.hpp"
#include "rae/spec/auto_dtype.hpp"
#include "rae/spec/weight_types.hpp"
#include "rae/version.hpp"
