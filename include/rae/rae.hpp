// What an application needs: the pipelines, pictures, tensors in files, and the number of threads. Parts of the library have headers of
// their own.
#pragma once

#include "rae/core/parallel.hpp"
#include "rae/io/image.hpp"
#include "rae/io/safetensors.hpp"
#include "rae/kernels/gemm.hpp"
#include "rae/pipeline/autoencoder.hpp"
#include "rae/pipeline/generator.hpp"
#include "rae/pipeline/model_search.hpp"
#include "rae/pipeline/official_model.hpp"
#include "rae/pipeline/weight_types.hpp"
#include "rae/version.hpp"
