// Templates of URLs and parameters: what is written in braces comes back, nothing is filled in that was not asked for.
//
// The first line is the template, then lines "name=value", or "name=value~pattern" with what the value is held to.
#include "daemon/provider/template.h"

#include <algorithm>

#include "daemon/provider/pattern.h"
#include "daemon/provider/url.h"
#include "tests/fuzz/fuzz.h"

using namespace credsync;
using namespace credsync::fuzz;

namespace {

std::string with_doubled_braces(std::string_view text) {
  std::string out;
  for (const char c : text)
    out.append(c == '{' || c == '}' ? 2 : 1, c);
  return out;
}

}  // namespace

void run(Input input) {
  const std::string_view text = input.line();
  std::map<std::string, provider::Variable> declared;
  provider::StringMap given;
  bool held = false;  // to a pattern, which may allow anything
  while (!input.rest().empty() && given.size() < 8) {
    const std::string_view line = input.line();
    const std::size_t equals = std::min(line.find('='), line.size());
    const std::string name(line.substr(0, equals));
    const std::string_view rest = line.substr(std::min(equals + 1, line.size()));
    const std::size_t tilde = std::min(rest.find('~'), rest.size());
    given[name] = rest.substr(0, tilde);
    declared[name] = {};
    if (tilde == rest.size()) continue;
    declared[name].pattern = with_repeats(rest.substr(tilde + 1), 2 * provider::kMaxPatternBytes);
    held = held || !declared[name].pattern.empty();
  }
  const auto names = provider::names_in_template(text);
  const auto out = provider::expand(text, declared, given);
  const auto resolved = provider::resolve(declared, given);
  if (resolved) {
    HOLDS(*resolved == given);
    for (const auto& [name, value] : given) {  // nothing that could end a host or a path
      HOLDS(value.size() <= provider::kMaxVariableBytes);
      HOLDS(!declared[name].pattern.empty() ||
            (!value.empty() && value.find_first_of("/?#@:%\\{} \r\n") == value.npos));
    }
  }
  if (!names) {
    HOLDS(!out);
    return;
  }
  for (const std::string& name : *names)
    HOLDS(!name.empty() && name.size() <= 64 && std::count(names->begin(), names->end(), name) == 1);
  if (!out) return;
  for (const std::string& name : *names)
    HOLDS(given.contains(name) || name == provider::kTokenVariable || name == provider::kClientIdVariable);
  // Literal text passes as it is, whatever it holds.
  const auto literal = provider::expand_resolved(with_doubled_braces(text), {});
  HOLDS(literal && *literal == text);
  if (held) return;
  const std::string filled = provider::fill_reserved(*out, provider::kTokenVariable, "T0ken");
  HOLDS(filled.find("{token}") == filled.npos);
  // A host stays the host that the template says, whatever the values.
  const auto before = provider::parse_url(text);
  const auto after = provider::parse_url(*out);
  if (before && after && names->empty()) HOLDS(before->host == after->host);
}
