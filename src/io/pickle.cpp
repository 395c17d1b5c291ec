// A stack machine with the opcodes that protocols 2 to 5 use for plain data. Objects are indices,
// so nothing here recurses except the check of the finished tree, whose depth is limited.
#include "pickle.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "pickle_names.hpp"
#include "rae/error.hpp"
#include "rae/io/file.hpp"

namespace rae::detail {
namespace {

/// Limit of the length of a key, and the number of bytes of a string that count as one value.
constexpr std::size_t kMaxKey = 1024, kTextUnit = 256;
/// Limit of the number of different reasons for skipped objects; further objects share one reason.
constexpr std::size_t kMaxReasons = 1000;

/// The part of a storage that a persistent id names.
struct Window {
  std::size_t storage = 0;
  std::int64_t begin = 0, numel = 0;
};

class Machine {
 public:
  Machine(std::span<const std::byte> bytes, const std::string& origin)
      : bytes_(bytes), origin_(origin) {}

  Pickle run() {
    if (take(1) != 0x80) fail("does not begin with a protocol; is this a pickle?");
    const std::uint64_t protocol = take(1);
    if (protocol < 2 || protocol > 5) fail(concat("protocol ", protocol, "; expected 2 to 5"));
    while (step()) {
    }
    out_.size = at_;
    return std::move(out_);
  }

 private:
  [[noreturn]] void fail(std::string_view reason) const {
    raise<FormatError>(origin_, ": pickle: ", reason, " (at byte ", at_, ")");
  }

  // Input.
  std::string_view take_text(std::uint64_t count) {
    if (count > bytes_.size() - at_) fail("it ends early; is the file truncated?");
    const auto out = as_text(bytes_.subspan(at_, static_cast<std::size_t>(count)));
    at_ += static_cast<std::size_t>(count);
    return out;
  }
  std::uint64_t take(std::size_t count) {
    std::uint64_t out = 0;
    const auto text = take_text(count);
    std::memcpy(&out, text.data(), count);
    return out;
  }
  std::string_view take_line() {
    const auto rest = as_text(bytes_.subspan(at_, std::min<std::size_t>(bytes_.size() - at_, 256)));
    const auto end = rest.find('\n');
    if (end == std::string_view::npos) fail("a global's name does not end; is the file truncated?");
    at_ += end + 1;
    return rest.substr(0, end);
  }

  // Stack.
  void push(PickleId id) {
    if (stack_.size() == kMaxPickleValues)
      fail(concat("more than ", kMaxPickleValues, " values on the stack"));
    stack_.push_back(id);
  }
  PickleId add(PickleValue value) {
    if (out_.values.size() == kMaxPickleValues)
      fail(concat("more than ", kMaxPickleValues, " objects"));
    out_.values.push_back(std::move(value));
    return static_cast<PickleId>(out_.values.size() - 1);
  }
  void push_new(PickleKind kind, std::int64_t integer = 0) {
    push(add({kind, integer, 0, {}, {}}));
  }
  void push_text(std::string_view text) { push(add({PickleKind::text, 0, 0, text, {}})); }
  std::size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }
  PickleId pop() {
    if (stack_.size() <= floor()) fail("the stack is empty");
    const PickleId id = stack_.back();
    stack_.pop_back();
    return id;
  }
  std::vector<PickleId> pop_to_mark() {
    if (marks_.empty()) fail("a mark is missing");
    const auto begin = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
    std::vector<PickleId> out(begin, stack_.end());
    stack_.erase(begin, stack_.end());
    marks_.pop_back();
    return out;
  }
  /// The value on the top of the stack, which an opcode changes; null for a skipped object.
  PickleValue* top(PickleKind kind, std::string_view needed_by) {
    if (stack_.size() <= floor()) fail("the stack is empty");
    PickleValue& value = out_.values[stack_.back()];
    if (value.kind == PickleKind::opaque) return nullptr;
    if (value.kind != kind) fail(concat(needed_by, " of ", kind_name(value.kind)));
    return &value;
  }
  const PickleValue& expect(PickleId id, PickleKind kind, std::string_view subject) const {
    const PickleValue& value = out_.values[id];
    if (value.kind != kind)
      fail(concat(subject, ": expected ", kind_name(kind), ", got ", kind_name(value.kind)));
    return value;
  }

  void tuple(std::vector<PickleId> items) {
    push(add({PickleKind::tuple, 0, 0, {}, std::move(items)}));
  }
  void tuple_of(int count) {
    std::vector<PickleId> items(static_cast<std::size_t>(count));
    for (std::size_t i = items.size(); i-- > 0;) items[i] = pop();
    tuple(std::move(items));
  }
  void extend(PickleKind kind, const std::vector<PickleId>& items, std::string_view opcode) {
    PickleValue* target = top(kind, opcode);
    if (kind == PickleKind::dict && items.size() % 2 != 0)
      fail(concat(opcode, ": a key without a value"));
    if (target != nullptr) target->items.insert(target->items.end(), items.begin(), items.end());
  }

  bool is_opaque(PickleId id) const { return out_.values[id].kind == PickleKind::opaque; }

  /// The index of a skipped object in the table of its kind.
  std::int64_t opaque_index(std::string reason, std::string name = {}) {
    if (reasons_.size() >= kMaxReasons && reasons_.find(reason) == reasons_.end()) {
      reason = "is an object that is not a tensor";
      name.clear();
    }
    const auto [found, is_new] = reasons_.try_emplace(reason, out_.opaques.size());
    if (is_new) out_.opaques.push_back({std::move(name), std::move(reason)});
    return static_cast<std::int64_t>(found->second);
  }
  void push_opaque(std::string reason, std::string name = {}) {
    push_new(PickleKind::opaque, opaque_index(std::move(reason), std::move(name)));
  }
  const PickleOpaque& opaque(PickleId id) const {
    return out_.opaques[static_cast<std::size_t>(out_.values[id].integer)];
  }

  void put(std::uint64_t index) {
    if (stack_.size() <= floor()) fail("the stack is empty");
    if (memo_.size() == kMaxPickleValues)
      fail(concat("more than ", kMaxPickleValues, " memo entries"));
    memo_[index] = stack_.back();
  }
  void get(std::uint64_t index) {
    const auto found = memo_.find(index);
    if (found == memo_.end()) fail(concat("the memo has no entry ", index));
    push(found->second);
  }

  void long1() {
    const std::uint64_t count = take(1);
    if (count > 8) return skip(count, "is an integer of more than 64 bits");
    std::uint64_t value = take(static_cast<std::size_t>(count));
    if (count > 0 && count < 8 && (value >> (8 * count - 1)) != 0)
      value |= ~std::uint64_t{0} << (8 * count);
    push_new(PickleKind::integer, static_cast<std::int64_t>(value));
  }
  /// Skips an object that is stored as bytes.
  void skip(std::uint64_t bytes, std::string_view reason) {
    (void)take_text(bytes);
    push_opaque(std::string(reason));
  }
  void real() {
    std::uint64_t bits = 0;  // big-endian
    for (const char c : take_text(8)) bits = bits << 8 | static_cast<unsigned char>(c);
    push(add({PickleKind::real, 0, std::bit_cast<double>(bits), {}, {}}));
  }

  /// A class or function. Unknown ones become opaque values: they are never called, so that it is
  /// safe to go on.
  void global(std::string_view module, std::string_view name) {
    const std::string full = concat(shown(module), ".", shown(name));
    for (const auto& [known, id] : kPickleGlobals)
      if (known == full) return push_new(PickleKind::global, id);
    push_opaque(concat("is an object of '", full, "', which is not read"), full);
  }

  bool step();
  void reduce();
  void call(std::int64_t function, const std::vector<PickleId>& arguments);
  void new_object(int arguments);
  void build();
  void dict(std::int64_t function, const std::vector<PickleId>& arguments);
  void tensor(const std::vector<PickleId>& arguments, bool second_version);
  void persistent_id();
  std::size_t storage(PickleStorage wanted);
  void finish();
  std::size_t check(PickleId id, int depth);
  bool check_key(const PickleValue& key, std::unordered_set<std::string>& keys) const;

  std::span<const std::byte> bytes_;
  const std::string& origin_;
  std::size_t at_ = 0;
  Pickle out_;
  std::vector<PickleId> stack_;
  std::vector<std::size_t> marks_;
  std::unordered_map<std::uint64_t, PickleId> memo_;
  std::vector<Window> windows_;
  std::size_t copied_ = 0;
  std::unordered_map<std::string_view, std::size_t> storages_;
  std::unordered_map<std::string, std::size_t> reasons_;

  /// Results of `check` for a value: the number of values below it, and their depth.
  struct Checked {
    bool open = false, done = false;
    int height = 0;
    std::size_t count = 0;
  };
  std::vector<Checked> checked_;
};

bool Machine::step() {
  const auto opcode = static_cast<unsigned char>(take(1));
  switch (opcode) {
    case '(':
      if (marks_.size() == kMaxPickleValues) fail("too many marks");
      marks_.push_back(stack_.size());
      return true;
    case '.': finish(); return false;
    case 'N': push_new(PickleKind::none); return true;
    case 0x88: push_new(PickleKind::boolean, 1); return true;
    case 0x89: push_new(PickleKind::boolean, 0); return true;
    case 'J': push_new(PickleKind::integer, static_cast<std::int32_t>(take(4))); return true;
    case 'K': push_new(PickleKind::integer, static_cast<std::int64_t>(take(1))); return true;
    case 'M': push_new(PickleKind::integer, static_cast<std::int64_t>(take(2))); return true;
    case 0x8a: long1(); return true;
    case 'G': real(); return true;
    case 'U':  // SHORT_BINSTRING, BINSTRING: strings of Python 2
    case 0x8c: push_text(take_text(take(1))); return true;
    case 'T':
    case 'X': push_text(take_text(take(4))); return true;
    case 0x8d: push_text(take_text(take(8))); return true;
    case '}': push_new(PickleKind::dict); return true;
    case ']': push_new(PickleKind::list); return true;
    case ')': push_new(PickleKind::tuple); return true;
    case 'a': {
      const PickleId item = pop();
      extend(PickleKind::list, {item}, "APPEND");
      return true;
    }
    case 's': {
      const PickleId value = pop(), key = pop();
      extend(PickleKind::dict, {key, value}, "SETITEM");
      return true;
    }
    case 'e': extend(PickleKind::list, pop_to_mark(), "APPENDS"); return true;
    case 'u': extend(PickleKind::dict, pop_to_mark(), "SETITEMS"); return true;
    case 't': tuple(pop_to_mark()); return true;
    case 0x85: tuple_of(1); return true;
    case 0x86: tuple_of(2); return true;
    case 0x87: tuple_of(3); return true;
    case 'q': put(take(1)); return true;
    case 'r': put(take(4)); return true;
    case 0x94: put(memo_.size()); return true;
    case 'h': get(take(1)); return true;
    case 'j': get(take(4)); return true;
    case 0x95: (void)take(8); return true;  // FRAME: a hint for readers of streams
    case 'c': {
      const auto module = take_line();
      global(module, take_line());
      return true;
    }
    case 0x93: {
      const PickleId name = pop(), module = pop();
      global(expect(module, PickleKind::text, "STACK_GLOBAL").text,
             expect(name, PickleKind::text, "STACK_GLOBAL").text);
      return true;
    }
    case 'R': reduce(); return true;
    case 0x81: new_object(1); return true;  // NEWOBJ
    case 0x92: new_object(2); return true;  // NEWOBJ_EX
    case 'b': build(); return true;
    case '0': (void)pop(); return true;
    case '1': (void)pop_to_mark(); return true;
    case 'C': skip(take(1), "is a byte string"); return true;
    case 'B': skip(take(4), "is a byte string"); return true;
    case 0x8e:
    case 0x96: skip(take(8), "is a byte string"); return true;
    case 0x8b: skip(take(4), "is an integer of more than 64 bits"); return true;
    case 0x8f: push_opaque("is a set"); return true;
    case 0x90:  // ADDITEMS
      (void)pop_to_mark();
      if (stack_.size() <= floor() || !is_opaque(stack_.back())) fail("ADDITEMS without a set");
      return true;
    case 0x91:
      (void)pop_to_mark();
      push_opaque("is a set");
      return true;
    case 'Q': persistent_id(); return true;
    default: break;
  }
  --at_;
  for (const auto& [refused, name] : kRefusedOpcodes)
    if (refused == opcode)
      fail(concat("the opcode ", name,
                  " is not allowed; only tensors, containers, strings and numbers are read"));
  fail(concat("unknown opcode ", static_cast<int>(opcode)));
}

void Machine::reduce() {
  const PickleId arguments = pop(), callable = pop();
  const PickleValue& function = out_.values[callable];
  if (function.kind == PickleKind::opaque) return push(callable);
  if (function.kind != PickleKind::global) fail(concat("REDUCE of ", kind_name(function.kind)));
  call(function.integer, expect(arguments, PickleKind::tuple, "arguments of REDUCE").items);
}

/// Pushes the value that a known function would return.
void Machine::call(std::int64_t function, const std::vector<PickleId>& arguments) {
  const auto need = [&](std::string_view name, std::size_t count) {
    if (arguments.size() != count)
      fail(concat(name, ": expected ", count, " arguments, got ", arguments.size()));
  };
  switch (function) {
    case kOrderedDict:
    case kDefaultDict: return dict(function, arguments);
    case kSize:
      need("torch.Size", 1);
      (void)expect(arguments[0], PickleKind::tuple, "torch.Size");
      return push(arguments[0]);
    case kRebuildTensor: return tensor(arguments, false);
    case kRebuildTensorV2: return tensor(arguments, true);
    case kRebuildParameter:
    case kRebuildParameterWithState:
      need("_rebuild_parameter", function == kRebuildParameter ? 3 : 4);
      if (!is_opaque(arguments[0]))
        (void)expect(arguments[0], PickleKind::tensor, "_rebuild_parameter");
      (void)expect(arguments[1], PickleKind::boolean, "_rebuild_parameter");
      return push(arguments[0]);
    case kRebuildFromType: {  // (function, class, its arguments, attributes)
      need("_rebuild_from_type_v2", 4);
      // A class of its own may give the elements another meaning.
      for (const int i : {1, 0})
        if (is_opaque(arguments[static_cast<std::size_t>(i)]))
          return push(arguments[static_cast<std::size_t>(i)]);
      const auto inner = expect(arguments[0], PickleKind::global, "_rebuild_from_type_v2").integer,
                 type = expect(arguments[1], PickleKind::global, "_rebuild_from_type_v2").integer;
      if (type != kTensorClass || inner < kRebuildTensor || inner > kRebuildParameterWithState)
        fail("_rebuild_from_type_v2: expected a function that makes a tensor");
      return call(inner, expect(arguments[2], PickleKind::tuple, "_rebuild_from_type_v2").items);
    }
    default: fail("REDUCE of a class of storages");
  }
}

/// An instance of a class: its constructor's arguments are dropped.
void Machine::new_object(int arguments) {
  for (int i = 0; i < arguments; ++i) (void)pop();
  const PickleId type = pop();
  if (is_opaque(type)) return push(type);
  (void)expect(type, PickleKind::global, "NEWOBJ");
  fail("the opcode NEWOBJ is not allowed for a class that is read");
}

/// Python 3 fills an empty OrderedDict by SETITEMS; Python 2 passes a list of pairs. The argument
/// of a defaultdict is the function that makes missing values.
void Machine::dict(std::int64_t function, const std::vector<PickleId>& arguments) {
  if (arguments.size() > 1)
    fail(concat("OrderedDict: expected at most 1 argument, got ", arguments.size()));
  std::vector<PickleId> items;
  if (arguments.size() == 1 && function == kOrderedDict) {
    const auto& pairs = expect(arguments[0], PickleKind::list, "OrderedDict").items;
    // No other opcode copies values; the same list may be passed many times.
    if ((copied_ += pairs.size()) > kMaxPickleValues)
      fail(concat("more than ", kMaxPickleValues, " values in lists of pairs"));
    for (const PickleId pair : pairs) {
      const PickleValue& value = out_.values[pair];
      if ((value.kind != PickleKind::list && value.kind != PickleKind::tuple) ||
          value.items.size() != 2)
        fail("OrderedDict: expected a list of pairs");
      items.insert(items.end(), value.items.begin(), value.items.end());
    }
  }
  push(add({PickleKind::dict, 1, 0, {}, std::move(items)}));
}

/// Attributes of an OrderedDict, in which state_dict() stores `_metadata` (versions of modules), or
/// of a skipped object. They are parsed as strictly as everything else, and dropped.
void Machine::build() {
  const PickleId state = pop();
  const PickleValue* target = top(PickleKind::dict, "BUILD");
  if (target == nullptr) return;
  if (target->integer != 1) fail("BUILD of a plain dict");
  if (!is_opaque(state)) (void)expect(state, PickleKind::dict, "BUILD");
}

std::size_t Machine::storage(PickleStorage wanted) {
  if (wanted.numel < 0 || wanted.numel > std::numeric_limits<std::int64_t>::max() / 16)
    fail(concat("a storage of ", wanted.numel, " elements"));
  const auto [found, is_new] = storages_.try_emplace(wanted.key, out_.storages.size());
  if (is_new) {
    out_.storages.push_back(std::move(wanted));
  } else if (const auto& known = out_.storages[found->second]; known.dtype != wanted.dtype ||
                                                               known.numel != wanted.numel ||
                                                               known.foreign != wanted.foreign) {
    const auto type = [](const PickleStorage& of) {
      return of.foreign.empty() ? name_of(of.dtype) : std::string_view(of.foreign);
    };
    fail(concat("storage '", shown(wanted.key), "' has ", known.numel, " elements of ", type(known),
                " and ", wanted.numel, " of ", type(wanted)));
  }
  return found->second;
}

/// ('storage', class, key, device, numel [, None or (key of a view, begin, numel)])
void Machine::persistent_id() {
  constexpr std::string_view kSubject = "the id of a storage";
  const std::vector<PickleId>& parts = expect(pop(), PickleKind::tuple, kSubject).items;
  if (parts.size() != 5 && parts.size() != 6)
    fail(concat(kSubject, ": expected 5 or 6 parts, got ", parts.size()));
  if (expect(parts[0], PickleKind::text, kSubject).text != "storage")
    fail(concat(kSubject, ": expected 'storage'"));
  PickleStorage wanted;
  if (is_opaque(parts[1])) {
    wanted.foreign = opaque(parts[1]).name;
    if (wanted.foreign.empty()) fail(concat(kSubject, ": expected a class of storages"));
    for (const auto& [name, size] : kForeignStorages)
      if (name == wanted.foreign) wanted.element_size = size;
  } else {
    const std::int64_t type = expect(parts[1], PickleKind::global, kSubject).integer;
    if (type < kStorage) fail(concat(kSubject, ": expected a class of storages"));
    wanted.dtype = static_cast<DType>(type - kStorage);
    wanted.element_size = size_of(wanted.dtype);
  }
  const auto key = expect(parts[2], PickleKind::text, kSubject).text;
  (void)expect(parts[3], PickleKind::text, kSubject);  // the device of the tensor
  const std::int64_t numel = expect(parts[4], PickleKind::integer, kSubject).integer;
  wanted.key = key;
  wanted.numel = numel;
  Window window{storage(std::move(wanted)), 0, numel};
  if (parts.size() == 6 && out_.values[parts[5]].kind != PickleKind::none) {
    const auto& view = expect(parts[5], PickleKind::tuple, kSubject).items;
    if (view.size() != 3) fail(concat(kSubject, ": a view of ", view.size(), " parts"));
    window.begin = expect(view[1], PickleKind::integer, kSubject).integer;
    window.numel = expect(view[2], PickleKind::integer, kSubject).integer;
    if (window.begin < 0 || window.begin > numel || window.numel < 0 ||
        window.numel > numel - window.begin)
      fail(concat("a view of ", window.numel, " elements from ", window.begin,
                  " does not fit into its storage of ", numel));
  }
  windows_.push_back(window);
  push_new(PickleKind::storage, static_cast<std::int64_t>(windows_.size() - 1));
}

/// (storage, offset, extents, strides [, requires_grad, hooks [, flags]])
void Machine::tensor(const std::vector<PickleId>& arguments, bool second_version) {
  constexpr std::string_view kSubject = "a tensor";
  const std::size_t least = second_version ? 6 : 4, most = second_version ? 7 : 4;
  if (arguments.size() < least || arguments.size() > most)
    fail(concat(kSubject, ": ", arguments.size(), " arguments"));
  if (is_opaque(arguments[0])) return push(arguments[0]);
  const Window window = windows_[static_cast<std::size_t>(
      expect(arguments[0], PickleKind::storage, kSubject).integer)];
  if (const std::string& foreign = out_.storages[window.storage].foreign; !foreign.empty())
    return push_opaque(concat("has elements of '", foreign, "', which are not supported"));
  const std::int64_t offset = expect(arguments[1], PickleKind::integer, kSubject).integer;
  const auto& extents = expect(arguments[2], PickleKind::tuple, kSubject).items;
  const auto& strides = expect(arguments[3], PickleKind::tuple, kSubject).items;
  // The flags of lazy negation and conjugation would change the values.
  if (arguments.size() == 7 && out_.values[arguments[6]].kind != PickleKind::none &&
      (is_opaque(arguments[6]) || !expect(arguments[6], PickleKind::dict, kSubject).items.empty()))
    return push_opaque("has flags, such as a lazy negation, which are not supported");
  if (extents.size() != strides.size())
    fail(concat("a tensor with ", extents.size(), " extents and ", strides.size(), " strides"));
  if (extents.size() > static_cast<std::size_t>(kMaxRank))
    return push_opaque(
        concat("has rank ", extents.size(), "; at most ", kMaxRank, " are supported"));

  PickleTensor out{window.storage, window.begin, {}, {}};
  std::array<index_t, kMaxRank> sizes{};
  std::vector<std::pair<std::int64_t, std::int64_t>>
      order;  // (stride, extent) of the dimensions with more than one index
  for (std::size_t i = 0; i < extents.size(); ++i) {
    sizes[i] = expect(extents[i], PickleKind::integer, kSubject).integer;
    out.strides[i] = expect(strides[i], PickleKind::integer, kSubject).integer;
    if (sizes[i] < 0) fail(concat("a negative extent ", sizes[i]));
    if (out.strides[i] < 0) fail(concat("a negative stride ", out.strides[i]));
    if (sizes[i] > 1) order.emplace_back(out.strides[i], sizes[i]);
  }
  try {
    out.shape = Shape(std::span<const index_t>(sizes.data(), extents.size()));
  } catch (const ShapeError& error) {
    fail(error.what());
  }
  const auto outside = [&] {
    fail(concat("a tensor ", out.shape, " from ", offset, " does not fit into its storage of ",
                window.numel, " elements"));
  };
  if (offset < 0 || offset > window.numel) outside();
  if (out.shape.numel() > 0) {
    if (offset == window.numel) outside();
    // In the order of strides, each stride must be larger than the largest offset within the
    // dimensions before it.
    std::sort(order.begin(), order.end());
    std::int64_t reach = 0;
    for (const auto& [stride, extent] : order) {
      if (stride <= reach)
        return push_opaque(concat("has the shape ", out.shape,
                                  " and overlapping elements, a stride of ", stride,
                                  " (expand); save a copy of it (contiguous)"));
      if (extent - 1 > (window.numel - 1 - offset - reach) / stride) outside();
      reach += (extent - 1) * stride;
    }
  }
  out.offset += offset;
  out_.tensors.push_back(out);
  push_new(PickleKind::tensor, static_cast<std::int64_t>(out_.tensors.size() - 1));
}

void Machine::finish() {
  if (!marks_.empty()) fail("it stops with an open mark");
  out_.root = pop();
  if (!stack_.empty()) fail(concat("it stops with ", stack_.size() + 1, " values"));
  checked_.resize(out_.values.size());
  (void)check(out_.root, 0);
}

/// Number of values in the tree of `id`, shared ones as often as they appear; a long string counts
/// as several. Throws FormatError.
std::size_t Machine::check(PickleId id, int depth) {
  const PickleValue& value = out_.values[id];
  Checked& known = checked_[id];
  if (known.open) fail("a container contains itself");
  if (depth + known.height > kMaxPickleDepth)
    fail(concat("containers are nested more than ", kMaxPickleDepth, " deep"));
  if (known.done) return known.count;
  if (value.kind == PickleKind::global || value.kind == PickleKind::storage) {
    const std::int64_t index = opaque_index(concat("is ", kind_name(value.kind)));
    out_.values[id] = {PickleKind::opaque, index, 0, {}, {}};
  }
  known.open = true;
  known.count = 1 + value.text.size() / kTextUnit;
  std::unordered_set<std::string> keys;
  std::vector<PickleId> kept;
  const bool is_dict = value.kind == PickleKind::dict;
  for (std::size_t i = 0; i < value.items.size(); ++i) {
    if (is_dict) {
      const PickleValue& key = out_.values[value.items[i]];
      if (!check_key(key, keys)) {
        ++i;
        continue;
      }
      known.count += 1 + key.text.size() / kTextUnit;
      kept.insert(kept.end(), {value.items[i], value.items[i + 1]});
      ++i;
    }
    known.count += check(value.items[i], depth + 1);
    known.height = std::max(known.height, checked_[value.items[i]].height + 1);
    if (known.count > kMaxPickleValues)
      fail(concat("its tree has more than ", kMaxPickleValues, " values"));
  }
  if (is_dict) out_.values[id].items = std::move(kept);
  known.open = false;
  known.done = true;
  return known.count;
}

/// True for a key that can be part of a name; members with other keys are dropped. Throws
/// FormatError for keys that Python does not allow, long and repeated ones.
bool Machine::check_key(const PickleValue& key, std::unordered_set<std::string>& keys) const {
  if (key.kind == PickleKind::list || key.kind == PickleKind::dict)
    fail(concat("a key is ", kind_name(key.kind)));
  if (key.kind != PickleKind::text && key.kind != PickleKind::integer) return false;
  if (key.text.size() > kMaxKey)
    fail(concat("a key of ", key.text.size(), " bytes; at most ", kMaxKey, " are supported"));
  if (!keys.insert(pickle_key(key)).second)
    fail(concat("the key '", shown(pickle_key(key)), "' appears twice"));
  return true;
}

}  // namespace

std::string pickle_key(const PickleValue& key) {
  return key.kind == PickleKind::integer ? std::to_string(key.integer) : std::string(key.text);
}

Pickle read_pickle(std::span<const std::byte> bytes, const std::string& origin) {
  return Machine(bytes, origin).run();
}

}  // namespace rae::detail
