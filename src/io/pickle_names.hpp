// The names in pickles: the classes and functions that the unpickler knows, the opcodes that it
// refuses, and strings for messages. Nothing is ever called: each known global stands for a value
// that the unpickler builds.
//
// Source: torch/_utils.py, torch/_tensor.py and torch/storage.py; CPython's pickletools.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "pickle.hpp"
#include "rae/core/dtype.hpp"

namespace rae::detail {

/// Numbers of the globals; a class of storages is kStorage + DType.
enum PickleGlobal : std::int64_t {
  kOrderedDict,
  kDefaultDict,
  kSize,
  kTensorClass,
  kRebuildTensor,
  kRebuildTensorV2,
  kRebuildParameter,
  kRebuildParameterWithState,
  kRebuildFromType,
  kStorage
};

inline constexpr std::pair<std::string_view, std::int64_t> kPickleGlobals[] = {
    {"collections.OrderedDict", kOrderedDict},
    {"collections.defaultdict", kDefaultDict},
    {"torch.Size", kSize},
    {"torch.Tensor", kTensorClass},
    {"torch.nn.parameter.Parameter", kTensorClass},
    {"torch.nn.parameter.Buffer", kTensorClass},
    {"torch._utils._rebuild_tensor", kRebuildTensor},
    {"torch._utils._rebuild_tensor_v2", kRebuildTensorV2},
    {"torch._utils._rebuild_parameter", kRebuildParameter},
    {"torch._utils._rebuild_parameter_with_state", kRebuildParameterWithState},
    {"torch._tensor._rebuild_from_type_v2", kRebuildFromType},
    {"torch.DoubleStorage", kStorage + static_cast<int>(DType::f64)},
    {"torch.FloatStorage", kStorage + static_cast<int>(DType::f32)},
    {"torch.HalfStorage", kStorage + static_cast<int>(DType::f16)},
    {"torch.BFloat16Storage", kStorage + static_cast<int>(DType::bf16)},
    {"torch.LongStorage", kStorage + static_cast<int>(DType::int64)},
    {"torch.IntStorage", kStorage + static_cast<int>(DType::int32)},
    {"torch.ShortStorage", kStorage + static_cast<int>(DType::int16)},
    {"torch.CharStorage", kStorage + static_cast<int>(DType::int8)},
    {"torch.ByteStorage", kStorage + static_cast<int>(DType::uint8)},
    {"torch.BoolStorage", kStorage + static_cast<int>(DType::boolean)},
    {"torch.storage.UntypedStorage", kStorage + static_cast<int>(DType::uint8)},
};

/// Classes of storages whose elements are not supported, and the bytes of an element.
inline constexpr std::pair<std::string_view, std::size_t> kForeignStorages[] = {
    {"torch.ComplexDoubleStorage", 16}, {"torch.ComplexFloatStorage", 8},
    {"torch.QInt32Storage", 4},         {"torch.QInt8Storage", 1},
    {"torch.QUInt8Storage", 1},         {"torch.QUInt4x2Storage", 1},
    {"torch.QUInt2x4Storage", 1},
};

/// Names of opcodes that are refused, for messages. Protocols 2 to 5 write none of them.
inline constexpr std::pair<unsigned char, std::string_view> kRefusedOpcodes[] = {
    {'2', "DUP"},     {'F', "FLOAT"},        {'I', "INT"},
    {'L', "LONG"},    {'P', "PERSID"},       {'S', "STRING"},
    {'V', "UNICODE"}, {'d', "DICT"},         {'l', "LIST"},
    {'i', "INST"},    {'o', "OBJ"},          {'g', "GET"},
    {'p', "PUT"},     {0x82, "EXT1"},        {0x83, "EXT2"},
    {0x84, "EXT4"},   {0x97, "NEXT_BUFFER"}, {0x98, "READONLY_BUFFER"}};

/// A kind of values, for messages.
inline std::string_view kind_name(PickleKind kind) {
  constexpr std::string_view kNames[] = {"None",
                                         "a boolean",
                                         "an integer",
                                         "a number",
                                         "a string",
                                         "a list",
                                         "a tuple",
                                         "a dict",
                                         "a tensor",
                                         "a skipped object",
                                         "a class or function",
                                         "a storage"};
  return kNames[static_cast<std::size_t>(kind)];
}

/// A string of a hostile file for a message: shortened, and without control characters.
inline std::string shown(std::string_view text) {
  std::string out(text.substr(0, 100));
  std::replace_if(
      out.begin(), out.end(),
      [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, '?');
  return text.size() > 100 ? out + "..." : out;
}

}  // namespace rae::detail
