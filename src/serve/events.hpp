// Server-sent events: the progress, the previews and the answer of a job as lines of text. Source:
// the HTML standard, section 9.2.
#pragma once

#include <string>
#include <string_view>

#include "serve/queue.hpp"

namespace rae::serve {

/// One event. `data` must have no line end, which JSON on one line has not.
[[nodiscard]] std::string event(std::string_view name, std::string_view data);

/// A comment, which clients ignore. It shows that the connection is alive.
[[nodiscard]] std::string keep_alive_event();

/// The events of news: "queued" {"position"}, "progress" {"step", "steps", "seconds"} and "preview"
/// {"step", "images"}. Empty without any.
[[nodiscard]] std::string events_of(const News& news);

}  // namespace rae::serve
