// The HTML page of a report, before and after the JSON of its contents.
#pragma once

#include <string_view>

namespace rae::detail {

/// From the beginning to the element that holds the JSON.
extern const std::string_view kReportPageHead;
/// The end of that element, and the code that draws the contents.
extern const std::string_view kReportPageTail;

}  // namespace rae::detail
