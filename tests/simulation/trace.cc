#include "tests/simulation/trace.h"

#include <algorithm>
#include <cstdio>

namespace credsync::simulation {

void Trace::note(const std::string& account, const char* what, std::string_view about, std::int64_t number) {
  hash_ = mix(mix(mix(mix(hash_, static_cast<std::uint64_t>(time_.now().count())), account), what), about);
  hash_ = mix(hash_, static_cast<std::uint64_t>(number));
  Ring& ring = rings_[account];
  Line& line = ring.lines[ring.count++ % kKept];
  line.turn = lines_++;
  line.at = time_.now();
  line.what = what;
  line.about.fill('\0');
  about.copy(line.about.data(), kAbout - 1);
  line.number = number;
  if (print_) std::printf("%s\n", to_text(line, account).c_str());
}

void Trace::aside(const char* what, const std::string& about) const {
  if (print_)
    std::printf("%17.6f      . %-28s %s\n", static_cast<double>(time_.now().count()) / 1e6, what, about.c_str());
}

std::string Trace::to_text(const Line& line, const std::string& account) {
  char text[160];
  std::snprintf(text, sizeof text, "%17.6f  %-8s %-28s %s", static_cast<double>(line.at.count()) / 1e6, account.c_str(),
                line.what, line.about.data());
  std::string out = text;
  if (line.number != 0) out += " " + std::to_string(line.number);
  return out;
}

std::vector<std::string> Trace::last(const std::string& account) const {
  std::vector<std::pair<std::uint64_t, std::string>> found;
  const auto take = [&](const std::string& name) {
    const auto at = rings_.find(name);
    if (at == rings_.end()) return;
    for (std::size_t i = 0; i < std::min(at->second.count, kKept); ++i)
      found.emplace_back(at->second.lines[i].turn, to_text(at->second.lines[i], name));
  };
  take(account);
  if (!account.empty()) take("");
  std::sort(found.begin(), found.end());
  std::vector<std::string> lines;
  for (auto& [turn, text] : found)
    lines.push_back(std::move(text));
  if (lines.size() > kKept) lines.erase(lines.begin(), lines.end() - kKept);
  return lines;
}

}  // namespace credsync::simulation
