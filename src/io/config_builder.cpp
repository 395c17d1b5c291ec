#include "config_builder.hpp"

#include <memory>
#include <utility>

namespace rae {
namespace {

/// Adds the numbers of values (with the tree itself) and of characters of a tree.
void measure(const ConfigNode& node, std::size_t& values, std::size_t& characters) {
  ++values;
  if (node.is_string()) characters += node.as_string().size();
  if (node.is_list())
    for (const auto& element : node.elements()) measure(element, values, characters);
  if (node.is_map())
    for (const auto& [key, value] : node.members()) {
      characters += key.size();
      measure(value, values, characters);
    }
}

}  // namespace

ConfigBuilder::ConfigBuilder(std::string_view text, const std::string& origin)
    : root_(std::make_shared<ConfigNode::Place>(ConfigNode::Place{nullptr, origin})) {
  if (text.size() > kMaxText)
    fail(concat("it has ", text.size(), " bytes, more than the limit of ", kMaxText));
}

void ConfigBuilder::fail(std::string_view reason) const {
  ConfigNode here;
  here.place_ = open_.empty() ? root_ : open_.back().node.place_;
  if (!open_.empty() && open_.back().has_key) here.put_below(here.place_, open_.back().key);
  raise<ConfigError>(here.where(), ": ", reason);
}

void ConfigBuilder::count(std::size_t values) {
  values_ += values;
  // Copies made by aliases count as well, so that a few lines cannot expand without limit.
  if (values_ > kMaxValues) fail(concat("more than ", kMaxValues, " values (aliases included)"));
  if (characters_ > 2 * kMaxText)
    fail(concat("more than ", 2 * kMaxText, " characters (aliases included)"));
}

bool ConfigBuilder::wants_key() const {
  return !open_.empty() && open_.back().node.is_map() && !open_.back().has_key;
}

void ConfigBuilder::key(std::string_view name) {
  Open& map = open_.back();
  if (!map.keys.emplace(name).second)
    fail(concat("the key '", name.substr(0, 100), "' appears twice"));
  characters_ += name.size();
  map.key = std::string(name);
  map.has_key = true;
}

void ConfigBuilder::begin(ConfigNode node, std::size_t anchor) {
  if (open_.size() == kMaxDepth) fail(concat("more than ", kMaxDepth, " levels of nesting"));
  count(1);
  place(node);
  open_.push_back(Open{std::move(node), anchor, {}, false, {}});
}

void ConfigBuilder::scalar(ConfigNode value, std::size_t anchor) {
  if (value.is_string()) characters_ += value.as_string().size();
  count(1);
  place(value);
  add(std::move(value), anchor);
}

void ConfigBuilder::end() {
  Open finished = std::move(open_.back());
  open_.pop_back();
  add(std::move(finished.node), finished.anchor);
}

void ConfigBuilder::alias(std::size_t anchor) {
  const auto found = anchors_.find(anchor);
  if (found == anchors_.end()) fail("an alias inside its own anchor");
  std::size_t values = 0;
  measure(found->second, values, characters_);
  count(values);
  ConfigNode copy = found->second;
  place(copy);
  add(std::move(copy), 0);
}

void ConfigBuilder::place(ConfigNode& node) const {
  if (open_.empty()) {
    node.put_below(nullptr, root_->name);
    return;
  }
  const Open& parent = open_.back();
  node.put_below(parent.node.place_, parent.node.is_list()
                                         ? concat("[", parent.node.elements().size(), "]")
                                         : parent.key);
}

void ConfigBuilder::add(ConfigNode node, std::size_t anchor) {
  if (anchor != 0) {
    std::size_t values = 0;
    measure(node, values, characters_);
    count(values);
    anchors_[anchor] = node;
  }
  if (open_.empty()) {
    if (done_) fail("more than one document");
    result_ = std::move(node);
    done_ = true;
    return;
  }
  Open& parent = open_.back();
  if (parent.node.is_list()) {
    std::get<ConfigNode::List>(parent.node.value_).push_back(std::move(node));
  } else {
    std::get<ConfigNode::Map>(parent.node.value_)
        .emplace_back(std::move(parent.key), std::move(node));
    parent.has_key = false;
  }
}

ConfigNode ConfigBuilder::finish() {
  if (!done_) place(result_);
  return std::move(result_);
}

}  // namespace rae
