#include "serve/events.hpp"

#include "rae/io/config.hpp"

namespace rae::serve {

std::string event(std::string_view name, std::string_view data) {
  return concat("event: ", name, "\ndata: ", data, "\n\n");
}

std::string keep_alive_event() { return ": waiting\n\n"; }

std::string events_of(const News& news) {
  if (news.state == JobState::queued)
    return event(
        "queued",
        ConfigNode::map({{"position", static_cast<std::int64_t>(news.position)}}).to_json());
  if (!news.progress) return {};
  const Progress& progress = *news.progress;
  std::string out = event("progress", ConfigNode::map({{"step", progress.step},
                                                       {"steps", progress.steps},
                                                       {"seconds", progress.seconds}})
                                          .to_json());
  if (progress.previews.empty()) return out;
  ConfigNode::List images;
  for (const auto& preview : progress.previews) images.emplace_back(preview);
  return out + event("preview", ConfigNode::map({{"step", progress.step},
                                                 {"images", ConfigNode::list(std::move(images))}})
                                    .to_json());
}

}  // namespace rae::serve
