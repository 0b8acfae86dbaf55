#include "ipc/cgroup.h"

#include <optional>

#include "base/text.h"

namespace credsync::ipc {
namespace {

// systemd escapes names that the kernel could take for its own files with a leading underscore.
std::string_view unescape(std::string_view component) {
  if (component.starts_with('_')) component.remove_prefix(1);
  return component;
}

Result<std::string> unit_in(std::string_view path) {
  std::string_view rest = path;
  while (rest.size() > 1) {
    rest.remove_prefix(1);  // the slash
    const std::size_t end = std::min(rest.find('/'), rest.size());
    const std::string_view name = unescape(rest.substr(0, end));
    rest.remove_prefix(end);
    if (!is_unit_name(name)) break;
    if (name.ends_with(".slice")) continue;
    if (name.starts_with("user@")) {
      return not_found("it runs below " + std::string(name) +
                       ", where a user names the units: only system units count");
    }
    return std::string(name);
  }
  return not_found("its control group " + clean_foreign_text(path) + " is not a system unit's");
}

struct Paths {
  std::optional<std::string_view> unified, named;
};

// Lines are "hierarchy:controllers:path"; the kernel lets no path hold a line feed.
Paths paths_in(std::string_view text) {
  Paths paths;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const std::size_t first = line.find(':');
    if (first == std::string_view::npos) continue;
    const std::size_t second = line.find(':', first + 1);
    if (second == std::string_view::npos || line.substr(second + 1, 1) != "/") continue;
    const std::string_view controllers = line.substr(first + 1, second - first - 1);
    if (line.substr(0, first) == "0" && controllers.empty()) paths.unified = line.substr(second + 1);
    if (controllers == "name=systemd") paths.named = line.substr(second + 1);
  }
  return paths;
}

}  // namespace

Result<std::string> system_unit_of(std::string_view cgroup_text) {
  if (cgroup_text.size() > kLongestCgroupText) return not_found("its list of control groups is too long");
  const Paths paths = paths_in(cgroup_text);
  // A hierarchy in which the process is at the root says nothing of units.
  const std::string_view unified = paths.unified.value_or("/");
  const std::string_view named = paths.named.value_or("/");
  if (unified != "/" && named != "/" && unified != named) {
    return not_found("its control groups do not agree: " + clean_foreign_text(unified) + " and " +
                     clean_foreign_text(named));
  }
  return unit_in(unified != "/" ? unified : named);
}

}  // namespace credsync::ipc
