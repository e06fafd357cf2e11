#include "decode/stop.h"

#include <algorithm>

namespace planeloom {

Result<StopMatcher> StopMatcher::create(std::vector<std::string> stops) {
  if (stops.size() > kMostStops)
    return fail("[stop] {} stop strings, wanted at most {}", stops.size(), kMostStops);
  std::vector<Stop> prepared;
  for (std::string& text : stops) {
    if (text.empty() || text.size() > kLongestStop)
      return fail("[stop] a stop string of {} bytes, wanted 1 to {}", text.size(), kLongestStop);
    if ((static_cast<unsigned char>(text[0]) & 0xc0) == 0x80)
      return fail("[stop] a stop string begins inside a UTF-8 character");
    Stop stop;
    stop.text = std::move(text);
    stop.shorter.assign(stop.text.size(), 0);
    for (size_t i = 1, k = 0; i < stop.text.size(); ++i) {
      while (k > 0 && stop.text[i] != stop.text[k]) k = stop.shorter[k - 1];
      if (stop.text[i] == stop.text[k]) ++k;
      stop.shorter[i] = static_cast<uint16_t>(k);
    }
    prepared.push_back(std::move(stop));
  }
  return StopMatcher(std::move(prepared));
}

void StopMatcher::advance(Stop& stop, char c) {
  while (stop.matched > 0 && stop.text[stop.matched] != c)
    stop.matched = stop.shorter[stop.matched - 1];
  if (stop.text[stop.matched] == c) ++stop.matched;
}

std::string_view StopMatcher::push(std::string_view piece) {
  shown_.clear();
  for (const char c : piece) {
    if (stopped()) break;
    held_.push_back(c);
    size_t keep = 0;  // longest match so far: everything before it is safe to show
    for (Stop& stop : stops_) {
      advance(stop, c);
      keep = std::max(keep, stop.matched);
      const bool complete = stop.matched == stop.text.size();
      if (complete && (!found_ || stop.text.size() > found_->size())) found_ = &stop.text;
    }
    if (found_) keep = found_->size();
    shown_.append(held_, 0, held_.size() - keep);
    held_.erase(0, held_.size() - keep);
  }
  if (stopped()) held_.clear();
  return shown_;
}

std::string_view StopMatcher::flush() {
  shown_ = stopped() ? std::string() : held_;
  held_.clear();
  found_ = nullptr;
  for (Stop& stop : stops_) stop.matched = 0;
  return shown_;
}

}  // namespace planeloom
